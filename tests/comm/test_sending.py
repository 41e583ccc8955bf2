"""Messages that do not fit into one frame, or cannot travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.comm import send
from jobqueue.errors import FrameError, SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message


class Narrow:
    """A connection whose frames hold so many items, and that cannot carry objects."""

    def __init__(self, width: int = 3) -> None:
        self.width = width
        self.frames: list[Sequence[Message]] = []

    def send(self, messages: Sequence[Message]) -> None:
        if any(type(item) is object for message in messages for item in message[-1]):
            raise SerializationError("an object")
        if sum(len(message[-1]) for message in messages) > self.width:
            raise FrameError("too large")
        self.frames.append(messages)


def sent(
    messages: Sequence[Message], **options: int
) -> tuple[list[Message], list[tuple[Message, str]]]:
    """What arrives, and what does not."""
    comm, refused = Narrow(**options), list[tuple[Message, str]]()
    send(comm, messages, lambda message, error: refused.append((message, str(error))))
    return [message for frame in comm.frames for message in frame], refused


def test_what_does_not_fit_into_a_frame_goes_in_several():
    """In order: first message by message, then a message item by item."""
    messages = [(m.FREE, ["a"]), (m.RUN, list("bcdefgh")), (m.FREE, ["i", "j", "k"])]
    arrived, refused = sent(messages)
    assert [key for _, items in arrived for key in items] == list("abcdefghijk")
    assert {operation for operation, _ in arrived} == {m.FREE, m.RUN}
    assert refused == []


def test_fields_before_the_items_come_with_every_part():
    """A cancellation with force stays one, however many keys it names."""
    arrived, _ = sent([(m.CANCEL, True, list("abcdefgh"))])
    assert len(arrived) > 1
    assert all(message[:2] == (m.CANCEL, True) for message in arrived)


def test_what_cannot_travel_is_refused_alone():
    """Its neighbours arrive, and whoever waits for it is told."""
    odd = object()
    arrived, refused = sent([(m.FREE, ["a", "b"]), (m.SUBMIT, b"f", None, ["c", odd, "d"])])
    assert [key for *_, items in arrived for key in items] == list("abcd")
    assert refused == [((m.SUBMIT, b"f", None, [odd]), "an object")]


def test_an_answer_is_never_cut():
    """Its list is one thing: half of it would be another answer."""
    answer = (m.ANSWER, 7, list("abcdefgh"))
    assert sent([(m.FREE, ["a"]), answer]) == ([(m.FREE, ["a"])], [(answer, "too large")])


KEYS = st.lists(st.text(max_size=3), max_size=9)


@given(st.lists(st.tuples(st.sampled_from([m.FREE, m.RUN, m.DONE]), KEYS)), st.integers(1, 5))
def test_nothing_is_lost_doubled_or_moved(messages: list[tuple[Any, ...]], width: int):
    """However frames and messages are cut, each peer hears all of it in order."""
    arrived, refused = sent(messages, width=width)
    said = [(operation, key) for operation, keys in messages for key in keys]
    assert [(operation, key) for operation, keys in arrived for key in keys] == said
    assert refused == []
