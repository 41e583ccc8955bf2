"""What all that clients coordinate by has in common: a name, questions that wait, and a desk.

Pure. A *question* is a client's record and the number of what it asked. Each method of a thing
takes the one it serves and answers it, now or when it is time. Waiting questions are served in
their order. `things.py` and `shelf.py` have the kinds that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jobqueue.errors import CoordinationError
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.records import ClientRecord

Question = tuple[ClientRecord, int]
"""Who asked, and the number by which the answer is known."""


class Element(NamedTuple):
    """A value in a queue or a variable, unopened, and the keys of the futures inside."""

    value: Serialized
    keys: Sequence[str]


class Desk:
    """What things need of the room they are in.

    Parameters
    ----------
    answer
        Answers a question.
    refuse
        Answers a question with an exception.
    admit
        Is told of each element that comes; refuses by raising, or holds it.
    hold, drop
        Are told each time that an element is kept, and when it is kept no more.
    """

    def __init__(
        self,
        answer: Callable[[Question, Any], None],
        refuse: Callable[[Question, Exception], None],
        admit: Callable[[Element], None],
        hold: Callable[[Element], None],
        drop: Callable[[Element], None],
    ) -> None:
        self.answer = answer
        self.refuse = refuse
        self.admit = admit
        self.hold = hold
        self.drop = drop


class Thing:
    """What all have in common: a name, and questions that wait.

    Parameters
    ----------
    label
        What it is called in messages.
    desk
        The room it is in.
    """

    not_in_time: Any = False
    """The answer to a question that is not to wait any longer."""

    def __init__(self, label: str, desk: Desk) -> None:
        self.label = label
        self.desk = desk
        self.waiting: dict[Question, Any] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not self.waiting

    def hurry(self, question: Question) -> None:
        """Answer a question now, if it still waits."""
        if question in self.waiting:
            del self.waiting[question]
            self.desk.answer(question, self.not_in_time)
            self.serve()

    def withdraw(self, question: Question) -> None:
        """Undo a question: nobody is there any more to hear the answer."""
        if self.waiting.pop(question, self) is not self:
            self.serve()

    def taken(self, question: Question) -> None:
        """Take in that what a question got has arrived."""

    def forget(self, client: ClientRecord) -> None:
        """Undo all that a client asked: it is gone."""
        for question in [question for question in self._questions() if question[0] is client]:
            self.withdraw(question)

    def close(self, question: Question) -> None:
        """Refuse whoever waits, and be forgotten."""
        error = CoordinationError(f"{self.label} was closed")
        waiting, self.waiting = self.waiting, {}
        for other in waiting:
            self.desk.refuse(other, error)
        self.desk.answer(question, None)

    def serve(self) -> None:
        """Answer questions that wait, as far as that can be done now."""

    def _questions(self) -> Iterable[Question]:
        return list(self.waiting)
