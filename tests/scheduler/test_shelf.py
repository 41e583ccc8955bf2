"""Datasets in the scheduler: what is kept for them, and for how long."""

from __future__ import annotations

import pytest

from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.scheduler.shelf import MOST_DATASETS, Shelf
from jobqueue.scheduler.thing import Desk


class Room:
    """Writes down what a shelf has answered, and which elements it keeps."""

    def __init__(self) -> None:
        self.answers = {}
        self.kept = []
        self.full_at = 1000
        self.shelf = Shelf(
            "datasets",
            Desk(self.answers.__setitem__, None, self.admit, self.kept.append, self.kept.remove),
        )

    def admit(self, element) -> None:
        if len(self.kept) >= self.full_at:
            raise CoordinationError("full")
        self.kept.append(element)


@pytest.fixture
def room():
    """An empty shelf."""
    return Room()


def test_a_dataset_is_kept_until_it_is_withdrawn_and_whoever_got_it_has_it(room):
    """Only then nothing is kept any more, and the shelf can be forgotten."""
    room.shelf.publish("q1", [("a", b"1", ["x"]), ("b", b"2", [])], False)
    room.shelf.get("q2", "a")
    assert room.answers == {"q1": None, "q2": [b"1"]}
    room.shelf.unpublish("q3", "a")
    room.shelf.unpublish("q4", "b")
    assert [element.value for element in room.kept] == [b"1"]
    assert not room.shelf.idle
    room.shelf.taken("q2")
    assert room.kept == []
    assert room.shelf.idle


def test_a_client_that_is_gone_waits_for_nothing(room):
    """What it had got is not kept for it."""
    client = object()
    question = (client, 1)
    room.shelf.publish("q1", [("a", b"1", ["x"])], False)
    room.shelf.get(question, "a")
    room.shelf.unpublish("q2", "a")
    room.shelf.forget(client)
    assert room.kept == []


def test_several_are_kept_or_none(room):
    """If there is no room for all, or a name is taken, or is none."""
    room.full_at = 1
    with pytest.raises(CoordinationError, match="full"):
        room.shelf.publish("q", [("a", b"1", []), ("b", b"2", [])], False)
    with pytest.raises(ConfigError, match="is text of up to 1000 characters"):
        room.shelf.publish("q", [("a", b"1", []), ("b" * 1001, b"2", [])], False)
    assert room.kept == []
    assert room.shelf.idle
    room.shelf.elements = {str(number): None for number in range(MOST_DATASETS)}
    with pytest.raises(CoordinationError, match="the limit is 100000"):
        room.shelf.publish("q", [("a", b"1", [])], False)


def test_the_list_of_names_in_a_message_has_an_end(room):
    """However many there are."""
    room.full_at = 1000
    room.shelf.publish("q", [(f"{n:03}", b"", []) for n in range(500)], False)
    with pytest.raises(CoordinationError, match=r"there are '000', .*, '019', …$"):
        room.shelf.get("q", "x")
    room.shelf.names("q")
    assert len(room.answers["q"]) == 500
