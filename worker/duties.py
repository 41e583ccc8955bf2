"""What a worker does with what its scheduler tells it, as long as they are connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from jobqueue.comm import Credentials
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.running import Host
from jobqueue.worker.board import Board
from jobqueue.worker.calls import Calls
from jobqueue.worker.devices import Devices
from jobqueue.worker.executor import Executor
from jobqueue.worker.intake import Intake
from jobqueue.worker.interrupts import Interrupts, wait_ended
from jobqueue.worker.link import Link
from jobqueue.worker.peers import Answer, Peers, answer_message, serialized_from
from jobqueue.worker.preload import import_from
from jobqueue.worker.room import Room
from jobqueue.worker.store import Store


class Duties:
    """The tasks, results, calls and actors of one worker. Lives in its event loop.

    Parameters
    ----------
    host
        The worker, as its tasks find it.
    nthreads
        How many tasks run at the same time.
    store
        Where results are.
    board
        Where its threads show what they run.
    credentials
        The worker's.
    link
        The way to the scheduler.
    devices
        What tasks are lent that take some.
    on_stuck
        Called with the key of a task that was to be interrupted and does not end.

    Attributes
    ----------
    handlers
        What to call with the fields of each kind of message.
    """

    def __init__(
        self,
        host: Host,
        nthreads: int,
        store: Store,
        *,
        board: Board,
        credentials: Credentials | None,
        link: Link,
        devices: Devices,
        on_stuck: Callable[[str], object],
    ) -> None:
        self._store = store
        self._link = link
        self._say = link.say
        self._loop = asyncio.get_running_loop()
        self.executor = Executor(
            nthreads,
            store,
            board=board,
            where=host.name,
            wake=lambda: link.in_loop(self._send_results),
            host=host,
            link=link,
            devices=devices,
        )
        self._relays: dict[str, asyncio.Future[Answer]] = {}
        self._peers = Peers(credentials, self._relay)
        self._intake = Intake(self.executor, store, self._peers, self._say)
        self.calls = Calls(host, link)
        self._interrupts = Interrupts(on_stuck)
        self._lingering: list[str] = []  # as the scheduler was told
        self._mentioned: dict[str, list[Any]] = {}  # futures that a result holds, until it is told
        self._answering: set[asyncio.Task[None]] = set()
        self._room = Room(store.send_ahead)  # for what the scheduler is sent
        self.handlers: dict[str, Callable[..., None]] = {
            m.RESERVED: self._intake.reserve,
            m.RUN: self._intake.run,
            m.FUNCTIONS: self._add_functions,
            m.FORGET_FUNCTIONS: self.executor.functions.forget,
            m.FREE: self._free,
            m.CANCEL: self._cancel,
            m.RECALL: self._recall,
            m.SEND: self._send,
            m.STORE: self._keep,
            m.COPY: self._intake.copy,
            m.RELAYED: self._relayed,
            m.CALL: self.calls.call,
            m.MENTIONED: self._forget_mentioned,
            m.INLINE_LIMIT: self.executor.set_inline_limit,
            m.IMPORT_FROM: import_from,
        }

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self.executor.idle and self._intake.idle and self.calls.idle

    @property
    def expendable(self) -> bool:
        """Whether nothing runs, and nothing is here that could not be had again."""
        return self.executor.at_rest and self.calls.idle and not self.calls.has_actors

    def forget(self) -> None:
        """Drop everything that the scheduler has brought about.

        Whatever it asked for will be done by others; one that comes back knows nothing of what is
        here, and uses the same keys for something else.
        """
        self._interrupts.clear()
        self._intake.clear()
        self.executor.start_over()
        self._lingering = []
        self._store.clear()
        self.calls.clear()
        self._mentioned.clear()
        for relay in self._relays.values():
            relay.cancel()
        self._relays.clear()
        for answering in self._answering:
            answering.cancel()
        self._link.forget()

    def close(self) -> None:
        """Begin nothing more. What runs goes on, for all that anybody can do."""
        self._interrupts.clear()
        self._intake.clear()
        self.executor.close()
        self._peers.close()
        self.calls.clear()

    async def wait_ended(self) -> bool:
        """Interrupt what runs, for a little while; return whether all of it has ended."""
        return await wait_ended(self.executor.abandon())

    def _send_results(self) -> None:
        done, failed, gone, mentions, cut_off = self.executor.take_results()
        if self._link.comm is None:  # what ends while there is no scheduler, nobody will ask for
            for key, *_ in done:
                self._store.discard(key)
            return
        messages: list[Message] = []
        for key, futures in mentions:
            self._mentioned[key] = futures  # alive until the scheduler keeps what they stand for
            messages.append((m.MENTIONS, key, [future.key for future in futures]))
        if done:
            messages.append((m.DONE, done))
        if failed:
            messages.append((m.FAILED, failed))
        messages.extend((m.INPUT_GONE, key, source) for key, source in gone)
        messages.extend((m.CUT_OFF, key, failure) for key, failure in cut_off)
        self._link.send(messages)
        if self._lingering:
            self._tell_lingering()

    def _tell_lingering(self) -> None:
        keys = self.executor.lingering()
        if keys != self._lingering:
            self._lingering = keys
            self._say((m.LINGERING, keys))

    def _add_functions(self, functions: Iterable[tuple[bytes, str, bytes]]) -> None:
        for fid, name, pickle in functions:
            self.executor.functions.add(fid, name, pickle)

    def _free(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._store.discard(key)
            self._intake.freed(key)
            self.calls.drop_actor(key)

    def _cancel(self, force: bool, keys: Iterable[str]) -> None:
        self._send_results()  # they were computed before this was heard
        keys = set(keys)
        for key in keys:
            self._intake.withdraw(key)
            self.calls.drop_actor(key)
        runs = self.executor.abandon(keys)
        if runs:
            self._tell_lingering()
        if force and runs:
            self._interrupts.add(runs)

    def _recall(self, keys: Iterable[str]) -> None:
        self._say((m.RETURNED, [key for key in keys if self._intake.withdraw(key)]))

    def _send(self, number: int, key: str) -> None:
        task = asyncio.create_task(self._answer(number, key))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, number: int, key: str) -> None:
        async with self._room.of(self._store.size(key)):
            self._say(answer_message(number, await serialized_from(self._store, key)))
            await self._link.drain()

    def _keep(self, items: Iterable[tuple[str, Serialized]]) -> None:
        for key, value in items:
            self._store.put_serialized(key, value)
            self._say((m.COPIED, [key], []))

    def _relay(self, key: str) -> asyncio.Future[Answer]:
        waiting = self._relays.get(key)
        if waiting is None:
            waiting = self._relays[key] = self._loop.create_future()
            self._say((m.RELAY, key))
        return waiting

    def _relayed(self, key: str, value: Serialized | None, failure: Any) -> None:
        waiting = self._relays.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(Failure(*failure) if failure else value)

    def _forget_mentioned(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._mentioned.pop(key, None)
