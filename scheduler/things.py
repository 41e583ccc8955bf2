"""What clients coordinate by: events, semaphores (a lock is one), queues and variables.

Pure. What they have in common stands in `thing.py`.

What a question got from a queue is the client's when it says `taken`. Until then it can be undone,
also by the client's end: nothing is lost on the way to one that does not wait any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.thing import Desk, Element, Question, Thing


class Event(Thing):
    """A flag that can be waited for."""

    def __init__(self, label: str, desk: Desk) -> None:
        super().__init__(label, desk)
        self.flag = False

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not self.waiting and not self.flag

    def wait(self, question: Question) -> None:
        """Answer True once it is set."""
        self.waiting[question] = None
        self.serve()

    def set(self, question: Question) -> None:
        """Set it, and let all go on that wait."""
        self.flag = True
        self.serve()
        self.desk.answer(question, None)

    def clear(self, question: Question) -> None:
        """Unset it."""
        self.flag = False
        self.desk.answer(question, None)

    def is_set(self, question: Question) -> None:
        """Answer whether it is set."""
        self.desk.answer(question, self.flag)

    def serve(self) -> None:
        """Let all go on that wait, if it is set."""
        if self.flag:
            waiting, self.waiting = self.waiting, {}
            for question in waiting:
                self.desk.answer(question, True)


class Semaphore(Thing):
    """So many leases and no more. A lease is known by the question that asked for it."""

    def __init__(self, label: str, desk: Desk) -> None:
        super().__init__(label, desk)
        self.limit = 0  # none has been named yet
        self.leases: dict[Question, None] = {}
        self.closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not self.waiting and not self.leases and not self.closed

    def acquire(self, question: Question, limit: int) -> None:
        """Answer True once there is a lease for it."""
        if self.closed:
            raise CoordinationError(f"{self.label} was closed: use one with another name")
        if limit < 1:
            raise ConfigError(f"{self.label}: max_leases={limit} is less than 1")
        if not self.idle and limit != self.limit:
            raise ConfigError(
                f"{self.label} is in use with max_leases={self.limit}, not {limit}: all who use it "
                "must agree"
            )
        self.limit = limit
        self.waiting[question] = None
        self.serve()

    def release(self, question: Question, number: int) -> None:
        """Give back the lease that a question of this client got."""
        if (question[0], number) not in self.leases:
            raise CoordinationError(f"{self.label} is not held here: acquire it first")
        self.withdraw((question[0], number))
        self.desk.answer(question, None)

    def get_value(self, question: Question) -> None:
        """Answer how many leases there are."""
        self.desk.answer(question, len(self.leases))

    def withdraw(self, question: Question) -> None:
        """Undo a question, and the lease it got."""
        super().withdraw(question)
        if self.leases.pop(question, self) is not self:
            self.serve()

    def close(self, question: Question) -> None:
        """Refuse whoever waits, and all who come later."""
        self.closed = True
        self.leases.clear()
        super().close(question)

    def serve(self) -> None:
        """Give leases to those that wait, as long as there are any."""
        while self.waiting and len(self.leases) < self.limit:
            question = next(iter(self.waiting))
            del self.waiting[question]
            self.leases[question] = None
            self.desk.answer(question, True)

    def _questions(self) -> Iterable[Question]:
        return [*self.waiting, *self.leases]


class Queue(Thing):
    """Elements in the order in which they were put.

    Those who wait to get wait in `waiting` with the number of elements they want, those who wait to
    put in `putting` with their element.
    """

    not_in_time = None

    def __init__(self, label: str, desk: Desk) -> None:
        super().__init__(label, desk)
        self.maxsize = 0  # without bound
        self.elements: deque[Element] = deque()
        self.putting: dict[Question, Element] = {}
        self.given: dict[Question, list[Element]] = {}  # and not taken yet

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not (self.waiting or self.putting or self.elements or self.given or self.maxsize)

    def open(self, question: Question, maxsize: int) -> None:
        """Bound it, unless it is bounded: who comes first decides."""
        if not self.maxsize and maxsize > 0:
            self.maxsize = maxsize
        self.desk.answer(question, None)

    def put(self, question: Question, value: Serialized, keys: Sequence[str]) -> None:
        """Answer True once there is room for an element, and it is in."""
        element = Element(value, keys)
        self.desk.admit(element)
        self.putting[question] = element
        self.serve()

    def get(self, question: Question, batch: int) -> None:
        """Answer with so many values once they are there; 0 for all that are there now."""
        if 0 < self.maxsize < batch:
            raise ConfigError(
                f"{self.label} holds {self.maxsize} elements at most: a batch of {batch} never "
                "comes"
            )
        if batch > 0:
            self.waiting[question] = batch
        else:
            self._give(question, len(self.elements))
        self.serve()

    def qsize(self, question: Question) -> None:
        """Answer how many elements are in it."""
        self.desk.answer(question, len(self.elements))

    def taken(self, question: Question) -> None:
        """Take in that what a question got has arrived."""
        for element in self.given.pop(question, ()):
            self.desk.drop(element)

    def hurry(self, question: Question) -> None:
        """Answer a question now, if it still waits."""
        super().hurry(question)
        element = self.putting.pop(question, None)
        if element is not None:
            self.desk.drop(element)
            self.desk.answer(question, False)

    def withdraw(self, question: Question) -> None:
        """Undo a question; what it got is at the head of the queue again."""
        super().withdraw(question)
        element = self.putting.pop(question, None)
        if element is not None:
            self.desk.drop(element)
        self.elements.extendleft(reversed(self.given.pop(question, ())))
        self.serve()

    def close(self, question: Question) -> None:
        """Forget all that is in it; refuse whoever waits."""
        for element in (*self.elements, *self.putting.values()):
            self.desk.drop(element)
        self.elements.clear()
        self.waiting.update(self.putting)
        self.putting = {}
        self.maxsize = 0
        super().close(question)

    def serve(self) -> None:
        """Bring those that put and those that get together, each in their order."""
        while True:
            while self.putting and not 0 < self.maxsize <= len(self.elements):
                question = next(iter(self.putting))
                self.elements.append(self.putting.pop(question))
                self.desk.answer(question, True)
            if not self.waiting:
                return
            question, batch = next(iter(self.waiting.items()))
            if len(self.elements) < batch:
                return
            del self.waiting[question]
            self._give(question, batch)

    def _give(self, question: Question, count: int) -> None:
        elements = [self.elements.popleft() for _ in range(count)]
        if elements:
            self.given[question] = elements
        self.desk.answer(question, [element.value for element in elements])

    def _questions(self) -> Iterable[Question]:
        return [*self.waiting, *self.putting, *self.given]


class Variable(Thing):
    """One value that can be replaced."""

    not_in_time = None

    def __init__(self, label: str, desk: Desk) -> None:
        super().__init__(label, desk)
        self.element: Element | None = None
        self.given: dict[Question, Element] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not self.waiting and self.element is None and not self.given

    def set(self, question: Question, value: Serialized, keys: Sequence[str]) -> None:
        """Replace the value."""
        element = Element(value, keys)
        self.desk.admit(element)
        if self.element is not None:
            self.desk.drop(self.element)
        self.element = element
        self.serve()
        self.desk.answer(question, None)

    def get(self, question: Question) -> None:
        """Answer with the value, in a list, once there is one."""
        self.waiting[question] = None
        self.serve()

    def delete(self, question: Question) -> None:
        """Forget the value. Whoever waits waits for the next one."""
        if self.element is not None:
            self.desk.drop(self.element)
            self.element = None
        self.desk.answer(question, None)

    def taken(self, question: Question) -> None:
        """Take in that the value has arrived, and futures in it are wanted by their client."""
        element = self.given.pop(question, None)
        if element is not None:
            self.desk.drop(element)

    def withdraw(self, question: Question) -> None:
        """Undo a question."""
        super().withdraw(question)
        self.taken(question)

    def serve(self) -> None:
        """Give the value to those that wait."""
        if self.element is None:
            return
        waiting, self.waiting = self.waiting, {}
        for question in waiting:
            if self.element.keys:
                self.desk.hold(self.element)
                self.given[question] = self.element
            self.desk.answer(question, [self.element.value])

    def _questions(self) -> Iterable[Question]:
        return [*self.waiting, *self.given]
