"""A client's connection to its scheduler.

Whatever is said in one turn of the event loop, from whichever thread, leaves as one frame, in
order. Other threads wake the loop once per batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from jobqueue.client.states import Book
from jobqueue.comm import Comm
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized

Fetched = Callable[[Serialized | Failure], object]
"""Called in the event loop with a value that was fetched, or why there is none."""


class Connection:
    """Says what the client has to say, and keeps its book of what it hears.

    Parameters
    ----------
    on_outage
        Called with the text of an outage, or None when it is over.
    on_closed
        Called when the connection has ended.
    """

    def __init__(
        self,
        *,
        on_outage: Callable[[str | None], object],
        on_closed: Callable[[CommError], object],
    ) -> None:
        self.book = Book(self.release)
        self.number = 0
        self._on_closed = on_closed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._comm: Comm | None = None
        # Messages, and the bare keys of tasks that no future is left of.
        self._outbox: deque[Message | str] = deque()
        self._scheduled = False
        self._fetches: dict[str, list[Fetched]] = {}
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0
        self._handlers: dict[str, Callable[..., object]] = {
            m.FINISHED: self.book.finish,
            m.FAILED: self.book.fail,
            m.CANCELLED: self.book.cancel,
            m.LOST: self.book.lose,
            m.FETCHED: self._fetched,
            m.FETCH_FAILED: lambda key, failure: self._fetched(key, Failure(*failure)),
            m.OUTAGE: on_outage,
            m.ANSWER: self._answered,
            m.WELCOME: lambda number: None,
        }

    async def start(self, comm: Comm) -> None:
        """Begin; returns when the scheduler has said its welcome."""
        self._loop = asyncio.get_running_loop()
        welcome = self._loop.create_future()

        def on_welcome(number: int) -> None:
            self.number = number
            if not welcome.done():
                welcome.set_result(None)

        def on_closed(reason: CommError) -> None:
            if not welcome.done():
                welcome.set_exception(reason)
            self._closed(reason)

        self._handlers[m.WELCOME] = on_welcome
        self._comm = comm
        comm.start(self._on_messages, on_closed)
        await welcome

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it lives in."""
        assert self._loop is not None
        return self._loop

    # -- from any thread ---------------------------------------------------------------------------

    def say(self, *messages: Message) -> None:
        """Say something, soon."""
        self._outbox.extend(messages)
        self._schedule()

    def release(self, key: str) -> None:
        """Say, soon, that no future is left of a task."""
        self._outbox.append(key)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop is closed: the interpreter, or the user's program, ends
                self._outbox.clear()

    # -- in the event loop -------------------------------------------------------------------------

    def _flush(self) -> None:
        self._scheduled = False
        messages: list[Message] = []
        released: list[str] = []
        for _ in range(len(self._outbox)):
            item = self._outbox.popleft()
            if isinstance(item, str):
                released.append(item)
                continue
            if released:
                messages.append((m.RELEASE, released))
                released = []
            messages.append(item)
        if released:
            messages.append((m.RELEASE, released))
        if self._comm is not None and messages:
            self._comm.send(messages)

    def fetch(self, key: str, callback: Fetched) -> None:
        """Ask for a value that did not come along."""
        if self._comm is None:
            callback(Failure.of(CommError("the connection to the scheduler has ended")))
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
        """
        if self._comm is None:
            raise CommError("the connection to the scheduler has ended")
        self._asked += 1
        number = self._asked
        answer = self._questions[number] = self.loop.create_future()
        self.say((m.ASK, number, question, arguments))
        try:
            return await answer
        finally:
            self._questions.pop(number, None)

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

    def _closed(self, reason: CommError) -> None:
        self._comm = None
        error = CommError(f"the connection to the scheduler has ended: {reason}")
        self.abort_questions(error)
        fetches, self._fetches = self._fetches, {}
        for callbacks in fetches.values():
            for callback in callbacks:
                callback(Failure.of(error))
        self._on_closed(reason)

    def _on_messages(self, messages: Sequence[Message]) -> None:
        handlers = self._handlers
        for message in messages:
            handlers[message[0]](*message[1:])

    def _fetched(self, key: str, value: Serialized | Failure) -> None:
        for callback in self._fetches.pop(key, ()):
            callback(value)

    def _answered(self, number: int, answer: Any) -> None:
        waiting = self._questions.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
