"""What locks, events, semaphores, queues and variables have in common: they live in the scheduler.

An object here is a name and a way to ask. It can be made anywhere, in programs and in tasks, and
pickled: everybody who names the same thing means the same one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Generator
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from jobqueue.comm.loop import ended_within
from jobqueue.errors import CommError, ConfigError, JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol import references
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.running import giving_way
from jobqueue.protocol.serialize import dumps

if TYPE_CHECKING:
    from jobqueue.client.client import Client

PATIENCE: Final = 0.02
"""Seconds that a task waits before it makes way for others: most questions are answered sooner."""


class Named:
    """Something in the scheduler that is known by its kind and its name.

    Parameters
    ----------
    name
        Text of up to 1000 characters; None for a new one that nobody else has.
    client
        Through which it is reached; by default the running task's, or else the last one made.

    Attributes
    ----------
    name
        Whoever uses the same one means the same thing.
    """

    kind: ClassVar[str]

    def __init__(self, name: str | None = None, client: Client | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"{type(self).__name__}({name!r}): a name is text")
        self.name = f"{self.kind}-{secrets.token_hex(16)}" if name is None else name
        self._client = client

    @property
    def client(self) -> Client:
        """The client through which it is reached.

        Raises
        ------
        ClientClosed
            It was given none, and there is none here.
        """
        from jobqueue.client.client import Client

        return self._client if self._client is not None else Client.current()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __await__(self) -> Generator[Any, None, Self]:
        """Return the object itself: with an asynchronous client people write `await Queue()`."""
        return self._made().__await__()

    async def _made(self) -> Self:
        self._client_here()._check_open()
        return self

    # -- asking ------------------------------------------------------------------------------------

    def _client_here(self) -> Client:
        """Return the client; its scheduler knows all that it has to."""
        return self.client

    def _now(
        self,
        operation: str,
        *args: Any,
        finish: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """Ask what is answered at once; to be awaited if the client is asynchronous."""
        client = self._client_here()
        return self._sync(client, self._ask(client, operation, *args), finish)

    async def _ask(self, client: Client, operation: str, *args: Any) -> Any:
        """Ask what is answered at once."""
        client._check_open()
        return await client._connection.ask("coordinate", (self.kind, self.name, operation, args))

    def _say(self, client: Client, operation: str, *args: Any) -> None:
        """Say what is not answered."""
        arguments = (self.kind, self.name, operation, args)
        client._connection.say((m.ASK, 0, "coordinate", arguments))

    async def _wait(
        self, client: Client, operation: str, *args: Any, within: float | None
    ) -> tuple[int, Any]:
        """Ask what may be answered later, and wait for so many seconds, or for as long as it takes.

        Returns
        -------
        tuple
            The question's number, by which the scheduler knows what it got, and the answer. It is
            true also when the time runs out: the scheduler is then asked to answer at once.

        Raises
        ------
        JobQueueError
            The answer is an exception; or it does not come, and will not (the client is closed,
            the jobs fail).
        """
        arguments = (self.kind, self.name, operation, args)
        client._check_open()
        number, answer = client._connection.pose("coordinate", arguments)
        try:
            reason = await _in_time(client, answer, within)
            if not answer.done():
                self._say(client, "hurry", number)
            try:
                got = await answer
            except CommError:
                if reason is None:
                    raise
                raise copy(reason) from None
        except asyncio.CancelledError:
            self._say(client, "withdraw", number)
            raise
        finally:
            del answer  # as in `_block`
        if reason is not None and not got:
            raise copy(reason)
        return number, got

    def _sync(
        self,
        client: Client,
        coroutine: Coroutine[Any, Any, Any],
        finish: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """Run a coroutine and return what `finish` makes of its answer.

        In the user's thread; or where it is awaited, if the client is asynchronous.
        """
        if client.asynchronous:
            return _then(coroutine, finish)
        return finish(_block(client, coroutine))

    async def _here(self, client: Client, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await a coroutine that belongs into the client's event loop, from any other."""
        loop = client._connection.loop
        if loop is asyncio.get_running_loop():
            return await coroutine
        with giving_way():  # a task that is a coroutine
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


async def _in_time(
    client: Client, answer: asyncio.Future[Any], within: float | None
) -> JobQueueError | None:
    """Wait for an answer, as long as time and the cluster allow; return what is wrong with it."""
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    if within is not None and within <= 0:
        return None
    try:
        with client._waits.guard(wake) as guard:
            waiting = {answer, woken}
            await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            return guard.error
    except JobQueueError as outage:  # it was known before
        return outage


async def _then(coroutine: Coroutine[Any, Any, Any], finish: Callable[[Any], Any]) -> Any:
    return finish(await coroutine)


def _block(client: Client, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in the client's event loop, and wait in this thread.

    A task makes way for others if it takes longer.
    """
    if client._forked or client._waits.in_loop_thread:
        return client._sync(coroutine)  # says what is wrong with that
    done = asyncio.run_coroutine_threadsafe(coroutine, client._connection.loop)
    try:
        if not ended_within(done, PATIENCE):
            with giving_way():
                ended_within(done, None)
        return done.result()
    except BaseException:
        done.cancel()  # a Ctrl-C, or the task is cancelled by force; otherwise without effect
        raise
    finally:
        del done  # its exception's traceback holds this frame: nothing is to wait for the collector


def serialize(value: Any) -> tuple[Serialized, list[str]]:
    """Return a value as it is kept by the scheduler, and the keys of the futures inside."""
    with references.mentioning() as found:
        serialized = dumps(value, own=True)
    return serialized, list(dict.fromkeys(future.key for future in found))
