"""A way between workers and their scheduler that can be cut, half or entirely.

Bytes are passed on as they are. What the two ends notice of trouble is what they would notice of
the same trouble in a network: a connection that ends, on both sides or on one, or that is silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PIECE = 1 << 18


class Link:
    """One connection: from a worker to the proxy, and on from there."""

    def __init__(
        self,
        worker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        scheduler: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        flowing: asyncio.Event,
    ) -> None:
        self.worker, self.scheduler = worker, scheduler
        self.dark = flowing  # the proxy's: whether anything flows at all
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.port: int = scheduler[1].get_extra_info("sockname")[1]

    async def serve(self) -> None:
        """Pass bytes on both ways until both are over."""
        await asyncio.gather(
            self._pass(self.worker[0], self.scheduler[1]),
            self._pass(self.scheduler[0], self.worker[1]),
        )

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await source.read(PIECE):
                await self.flowing.wait()
                await self.dark.wait()
                target.write(data)
                await target.drain()
        with contextlib.suppress(OSError):
            await self.flowing.wait()
            await self.dark.wait()
            target.close()

    def abort(self, *ends: str) -> None:
        """End it abruptly, as seen from these ends."""
        for end in ends:
            transport = getattr(self, end)[1].transport
            if not transport.is_closing():  # asyncio stumbles over a second end
                transport.abort()


class Proxy:
    """Listens on loopback and passes on to another port of it, in a thread of its own.

    Examples
    --------
    >>> with Proxy(8786) as proxy:  # doctest: +SKIP
    ...     agent = start_agent(f"tls://127.0.0.1:{proxy.port}")
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._do(self._start())

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._flowing.wait()
            other = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        link = Link((reader, writer), other, self._flowing)
        self._links.append(link)
        try:
            await link.serve()
        except asyncio.CancelledError:
            return  # the proxy is closed
        finally:
            self._links.remove(link)
            link.abort("worker", "scheduler")

    def ports(self) -> list[int]:
        """Return what the scheduler knows the connections by: the ports they come from."""

        async def ask() -> list[int]:
            return [link.port for link in self._links]

        return self._do(ask())

    def _on(self, port: int, function: Callable[[Link], object]) -> bool:
        """Do something to the link that comes from a port; return whether there is one."""

        async def act() -> bool:
            found = [link for link in self._links if link.port == port]
            for link in found:
                function(link)
            return bool(found)

        return self._do(act())

    def cut(self, port: int, *ends: str) -> bool:
        """End a connection for both its ends, or for one: "worker", "scheduler".

        The other one hears nothing any more, and is not told why. Returns whether there was such a
        connection.
        """

        def act(link: Link) -> None:
            link.flowing.clear()
            link.abort(*(ends or ("worker", "scheduler")))
            if len(ends) != 1:
                link.flowing.set()

        return self._on(port, act)

    def freeze(self, port: int) -> bool:
        """Let nothing pass any more; both ends think that they are connected."""
        return self._on(port, lambda link: link.flowing.clear())

    def darken(self) -> None:
        """Let nothing pass on any connection, nor a new one begin."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def heal(self) -> None:
        """Let everything pass again that has not been cut."""

        async def act() -> None:
            self._flowing.set()
            for link in self._links:
                link.flowing.set()

        self._do(act())

    def close(self) -> None:
        """End everything."""

        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
