"""The datasets that clients publish for each other: collections and futures, by their names.

Pure. A shelf holds them as a variable holds its value, but says at once if there is none, and knows
all its names. What a client got is kept for it until it says `taken`, whoever withdraws the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.thing import Desk, Element, Question, Thing

LONGEST_NAME: Final = 1000
"""Characters of a dataset's name."""

MOST_DATASETS: Final = 100_000
"""Datasets that are there at a time."""

NAMED: Final = 20
"""Datasets whose names are told whoever asks for another."""


class Shelf(Thing):
    """Values by name."""

    def __init__(self, label: str, desk: Desk) -> None:
        super().__init__(label, desk)
        self.elements: dict[str, Element] = {}
        self.given: dict[Question, Element] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not self.elements and not self.given

    def publish(
        self,
        question: Question,
        items: Sequence[tuple[str, Serialized, Sequence[str]]],
        override: bool,
    ) -> None:
        """Keep several datasets, or none if one of them cannot be kept.

        Parameters
        ----------
        question
            Who asks.
        items
            For each its name, the value, and the keys of the futures inside.
        override
            Whether they may take the places of others.
        """
        for name, *_ in items:
            _check_name(name)
        taken = [name for name, *_ in items if name in self.elements]
        if taken and not override:
            raise CoordinationError(
                f"a dataset {taken[0]!r} is published already: choose another name, withdraw it "
                "with unpublish_dataset(), or replace it with override=True"
            )
        if len(self.elements) + len(items) - len(taken) > MOST_DATASETS:
            raise CoordinationError(
                f"dataset {items[0][0]!r:.100}: {len(self.elements)} are published already, the "
                f"limit is {MOST_DATASETS}; withdraw some with unpublish_dataset()"
            )
        for name, element in self._admit(items):
            self._take_away(name)
            self.elements[name] = element
        self.desk.answer(question, None)

    def get(self, question: Question, name: str) -> None:
        """Answer with a value, in a list."""
        element = self._known(name)
        if element.keys:
            self.desk.hold(element)
            self.given[question] = element
        self.desk.answer(question, [element.value])

    def unpublish(self, question: Question, name: str) -> None:
        """Keep a dataset no more."""
        self._known(name)
        self._take_away(name)
        self.desk.answer(question, None)

    def names(self, question: Question) -> None:
        """Answer with all names, sorted."""
        self.desk.answer(question, sorted(self.elements))

    def taken(self, question: Question) -> None:
        """Take in that a value has arrived, and futures in it are wanted by their client."""
        element = self.given.pop(question, None)
        if element is not None:
            self.desk.drop(element)

    def withdraw(self, question: Question) -> None:
        """Undo a question."""
        self.taken(question)

    def _admit(
        self, items: Sequence[tuple[str, Serialized, Sequence[str]]]
    ) -> list[tuple[str, Element]]:
        admitted: list[tuple[str, Element]] = []
        try:
            for name, value, keys in items:
                element = Element(value, keys)
                self.desk.admit(element)
                admitted.append((name, element))
        except CoordinationError:
            for _, element in admitted:
                self.desk.drop(element)
            raise
        return admitted

    def _known(self, name: str) -> Element:
        _check_name(name)
        element = self.elements.get(name)
        if element is None:
            names = sorted(self.elements)
            listed = ", ".join(map(repr, names[:NAMED])) + (", …" if len(names) > NAMED else "")
            raise CoordinationError(
                f"no dataset {name!r:.100} is published: "
                + (f"there are {listed}" if names else "there is none at all")
            )
        return element

    def _take_away(self, name: str) -> None:
        element = self.elements.pop(name, None)
        if element is not None:
            self.desk.drop(element)

    def _questions(self) -> Iterable[Question]:
        return list(self.given)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"the name of a dataset is text of up to {LONGEST_NAME} characters, not {name!r:.100}"
        )
