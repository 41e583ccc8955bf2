"""A client's connection to its scheduler.

Whatever is said in one turn of the event loop, from whichever thread, leaves as one frame, in
order. Other threads wake the loop once per batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from jobqueue.client.states import Book
from jobqueue.comm import Comm, send
from jobqueue.errors import (
    ClientClosed,
    CommClosed,
    CommError,
    ConnectionLost,
    FrameError,
    SerializationError,
)
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized

logger = logging.getLogger("jobqueue.client")

SWEEP = 0.2
"""Seconds between two looks for futures that are gone."""

Fetched = Callable[[Serialized | Failure], object]
"""Called in the event loop with a value that was fetched, or why there is none."""


class Connection:
    """Says what the client has to say, and keeps its book of what it hears.

    Parameters
    ----------
    on_outage
        Called with an outage (`Failure.to_wire`), or None when it is over.
    on_stranded
        Called with whether some tasks, but not all, wait in vain.
    on_closed
        Called when the connection has ended.

    Attributes
    ----------
    number
        The client's, on its scheduler.
    scheduler, address
        What tells that scheduler from all others, and where it is.
    on_sweep
        Called in the event loop now and then, to say what may be said late.
    """

    def __init__(
        self,
        *,
        on_outage: Callable[[Sequence[Any] | None], object],
        on_stranded: Callable[[bool], object] = lambda some: None,
        on_closed: Callable[[CommError], object],
    ) -> None:
        self.book = Book()
        self.number = 0
        self.scheduler = self.address = ""
        self.thread = 0
        self.on_sweep: Callable[[], object] = lambda: None
        self._on_closed = on_closed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._comm: Comm | None = None
        self._outbox: deque[Message] = deque()
        self._numbers = itertools.count(1)
        self._said = self._heard = 0
        self._scheduled = False
        self._lost = False  # it has not ended from this side
        self._farewell: CommError | None = None  # why it ends, if the scheduler has said so
        self._fetches: dict[str, list[Fetched]] = {}
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0
        self._handlers: dict[str, Callable[..., object]] = {
            m.FINISHED: self.book.finish,
            m.FAILED: self.book.fail,
            m.CANCELLED: self.book.cancel,
            m.LOST: self.book.lose,
            m.GONE: self.book.gone,
            m.FETCHED: self._fetched,
            m.FETCH_FAILED: lambda key, failure: self._fetched(key, Failure(*failure)),
            m.OUTAGE: on_outage,
            m.STRANDED: on_stranded,
            m.ANSWER: self._answered,
            m.REFUSED: self._refused,
            m.CALLED: self._answered,
            m.WELCOME: lambda number: None,
            m.END: self._end_announced,
        }

    async def start(self, comm: Comm) -> None:
        """Begin; returns when the scheduler has said its welcome."""
        self._loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        welcome = self._loop.create_future()

        def on_welcome(number: int) -> None:
            self.number = number
            if not welcome.done():
                welcome.set_result(None)

        def on_closed(reason: CommError) -> None:
            if not welcome.done():
                welcome.set_exception(reason)
            self._closed(reason)

        self.scheduler, self.address = str(comm.peer.get("id", "")), comm.peer_address
        self._handlers[m.WELCOME] = on_welcome
        self._comm = comm
        comm.start(self._on_messages, on_closed)
        self._loop.call_later(SWEEP, self._sweep)
        await welcome

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it lives in."""
        if self._loop is None:
            raise self.book.closed or ClientClosed("the client is not started: await it first")
        return self._loop

    @property
    def in_thread(self) -> bool:
        """Whether the calling thread is that event loop's."""
        return threading.get_ident() == self.thread

    def disown(self, error: ClientClosed) -> None:
        """Let go of everything without touching it: it belongs to the process that was forked."""
        self._loop = None
        self.book.lock = threading.RLock()  # a thread that did not come along may have held it
        for state in self.book.states.values():
            state.waiters = None
        self.book.close(error)

    # -- from any thread ---------------------------------------------------------------------------

    def say(self, *messages: Message) -> None:
        """Say something, soon."""
        self._outbox.extend(messages)
        self._said = next(self._numbers)
        self._schedule()

    def wait_until_heard(self) -> None:
        """Wait until the scheduler has taken in all that was said; also if somebody else said it.

        In the event loop's own thread, which must not wait, it has no effect.
        """
        if self._said == self._heard or self.in_thread or self.book.closed is not None:
            return
        with contextlib.suppress(CommError):  # then there is nobody to hear it
            asyncio.run_coroutine_threadsafe(self.be_heard(), self.loop).result()

    def _schedule(self) -> None:
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop is closed: asyncio.run() is over
                self._scheduled = False
                self._outbox.clear()
                self.book.dropped.clear()
                self.book.closed = self.book.closed or ClientClosed(
                    "the event loop in which this client lived is closed: make a new client in the "
                    "one that runs now"
                )
                raise copy(self.book.closed) from None

    # -- in the event loop -------------------------------------------------------------------------

    def _flush(self) -> None:
        self._scheduled = False
        # In this order: of each future counted here, the task was submitted before it was dropped.
        dropped = len(self.book.dropped)
        messages = [self._outbox.popleft() for _ in range(len(self._outbox))]
        if dropped and (unused := self.book.take_unused(dropped)):
            messages.append((m.RELEASE, unused))
        if self._comm is not None and messages:
            send(self._comm, messages, self._refuse)

    def _sweep(self) -> None:
        """Tell of futures that are gone: dropping one wakes nobody, see `Future.__del__`."""
        if self._comm is not None and self._loop is not None:
            self.on_sweep()
            self._flush()
            self._loop.call_later(SWEEP, self._sweep)

    def _refuse(self, message: Message, error: FrameError | SerializationError) -> None:
        """Let those wait no more whose message cannot be sent."""
        if message[0] in (m.SUBMIT, m.SCATTER):
            text = f"task {message[-1][0][0]!r} cannot be sent: {error}"
            self.book.fail((item[0], Failure.of(SerializationError(text))) for item in message[-1])
        elif message[0] in (m.ASK, m.CALL):
            what = "a call" if message[0] == m.CALL else f"what was asked ({message[2]})"
            text = f"{what} cannot be sent: {error}"
            self._refused(message[1], Failure.of(SerializationError(text)))
        else:
            logger.error("a message cannot be sent operation=%s: %s", message[0], error)

    def fetch(self, key: str, callback: Fetched) -> None:
        """Ask for a value that did not come along."""
        if self._comm is None:
            callback(Failure.of(self._closed_client(key)))
            return
        waiting = self._fetches.setdefault(key, [])
        waiting.append(callback)
        if len(waiting) == 1:
            self.say((m.FETCH, [key]))

    async def ask(self, question: str, arguments: Any = None) -> Any:
        """Ask the scheduler something and return its answer.

        Raises
        ------
        CommError
            The connection ends before the answer comes.
        Exception
            The scheduler's answer is an exception.
        """
        number, answer = self.pose(question, arguments)
        try:
            return await answer
        finally:
            self._questions.pop(number, None)
            del answer  # its exception's traceback holds this frame, and so the client

    def pose(self, question: str, arguments: Any = None) -> tuple[int, asyncio.Future[Any]]:
        """Ask the scheduler something; return the question's number, and where its answer comes.

        Raises
        ------
        CommError
            The connection has ended.
        """
        number, answer = self._expect()
        self.say((m.ASK, number, question, arguments))
        return number, answer

    async def call(
        self, workers: Sequence[str] | None, call: Serialized, actor: str | None = None
    ) -> list[tuple[str, Serialized | None, Sequence[Any] | None]]:
        """Have workers call something at once; return what `jobqueue.protocol.messages.CALLED` has.

        Parameters
        ----------
        workers
            Names; None for all, or for the one that has the actor.
        call, actor
            As in `jobqueue.protocol.messages.CALL`.

        Raises
        ------
        CommError
            The connection ends before all have answered.
        Exception
            The scheduler's answer is an exception.
        """
        number, answer = self._expect()
        self.say((m.CALL, number, workers, call, actor))
        try:
            return await answer  # type: ignore[no-any-return]
        finally:
            self._questions.pop(number, None)

    def call_soon(self, workers: Sequence[str] | None, call: Serialized) -> None:
        """Have workers call something, and let nobody wait for it."""
        self._asked += 1
        self.say((m.CALL, self._asked, workers, call, None))

    def _expect(self) -> tuple[int, asyncio.Future[Any]]:
        if self._comm is None:
            kind = ConnectionLost if self._lost else CommError
            raise kind("the connection to the scheduler has ended")
        self._asked += 1
        answer = self._questions[self._asked] = self.loop.create_future()
        return self._asked, answer

    def say_all(self) -> None:
        """Say what is to be said, dropped futures included, before anything that is said later."""
        self._flush()

    async def be_heard(self) -> None:
        """Return when the scheduler has taken in all that was said until now.

        Raises
        ------
        CommError
            The connection has ended.
        """
        said = self._said
        number, answer = self._expect()
        # Any question: answers come in order. Not by `say`, which would count it as unheard.
        self._outbox.append((m.ASK, number, "who-has", []))
        self._schedule()
        try:
            await answer
        finally:
            self._questions.pop(number, None)
        self._heard = said

    def abort_questions(self, error: Exception) -> None:
        """Let no question wait for its answer any more."""
        for answer in self._questions.values():
            if not answer.done():
                answer.set_exception(error)

    async def close(self) -> None:
        """Say what is left to say, then end the connection."""
        self._flush()
        comm, self._comm = self._comm, None
        if comm is not None:
            comm.close()
            await comm.wait_closed()

    def end_soon(self) -> None:
        """End the connection without waiting: the client was collected. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._end_now)

    def _end_now(self) -> None:
        comm, self._comm = self._comm, None
        if comm is not None:
            comm.close()

    def _end_announced(self, reason: str) -> None:
        self._farewell = CommClosed(reason)

    def _closed(self, reason: CommError) -> None:
        reason = self._farewell or reason
        self._comm = None
        self._lost = True
        error = ConnectionLost(f"the connection to the scheduler has ended: {reason}")
        self.abort_questions(error)
        fetches, self._fetches = self._fetches, {}
        for key, callbacks in fetches.items():
            for callback in callbacks:
                callback(Failure.of(self._closed_client(key)))
        self._on_closed(reason)

    def _on_messages(self, messages: Sequence[Message]) -> None:
        handlers = self._handlers
        for message in messages:
            handlers[message[0]](*message[1:])

    def _fetched(self, key: str, value: Serialized | Failure) -> None:
        for callback in self._fetches.pop(key, ()):
            callback(value)

    def _answered(self, number: int, answer: Any) -> None:
        waiting = self._questions.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _refused(self, number: int, failure: Sequence[Any]) -> None:
        waiting = self._questions.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(Failure(*failure).to_exception())

    def _closed_client(self, key: str) -> ClientClosed:
        return (ConnectionLost if self._lost else ClientClosed)(
            f"the result of task {key!r} was still on a worker when the client's connection "
            "ended: gather results before closing the client"
        )
