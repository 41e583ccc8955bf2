"""What a client's connection says, in which order, and what it makes of frames too large."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from jobqueue.client.connection import Connection
from jobqueue.errors import (
    ClientClosed,
    CommClosed,
    ConnectionLost,
    FrameError,
    SerializationError,
)
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure


class FakeComm:
    """Keeps what is sent; a frame of more than `limit` items is too large."""

    peer: ClassVar = {"role": "scheduler", "id": "5"}
    peer_address = "memory://5"

    def __init__(self, limit=1_000_000):
        self.frames = []
        self.limit = limit

    def start(self, on_messages, on_closed):
        self.hear, self.lose = on_messages, on_closed
        on_messages([(m.WELCOME, 3)])

    def send(self, messages):
        size = sum(len(message[-1]) if isinstance(message[-1], list) else 1 for message in messages)
        if size > self.limit:
            raise FrameError(f"{size} items are too many")
        self.frames.append(messages)

    def close(self):
        self.lose(CommClosed("this side closed the connection"))

    async def wait_closed(self):
        pass


def in_loop(scenario, limit=1_000_000):
    """Run a coroutine function with a started connection and its comm."""

    async def main():
        ended = []
        connection = Connection(on_outage=lambda text: None, on_closed=ended.append)
        comm = FakeComm(limit)
        await connection.start(comm)
        await scenario(connection, comm)
        await connection.close()
        assert len(ended) == 1

    asyncio.run(main())


def test_one_turn_is_one_frame():
    """What is said in one turn of the loop goes together, in order; drops come last."""

    async def scenario(connection, comm):
        assert connection.number == 3
        state, _ = connection.book.open("a")
        connection.say((m.FUNCTIONS, ["f"]))
        connection.say((m.SUBMIT, b"f", None, [("a", b"", None)]))
        connection.book.drop(state)
        await asyncio.sleep(0)
        assert [message[0] for message in comm.frames[0]] == [m.FUNCTIONS, m.SUBMIT, m.RELEASE]
        assert comm.frames[0][2] == (m.RELEASE, ["a"])
        assert len(comm.frames) == 1

    in_loop(scenario)


def test_a_dropped_future_is_told_of_though_nothing_else_is_said():
    """Dropping wakes nobody, so that no Ctrl-C is lost in it; the loop looks by itself."""

    async def scenario(connection, comm):
        state, _ = connection.book.open("a")
        connection.book.drop(state)
        async with asyncio.timeout(30):
            while not comm.frames:  # noqa: ASYNC110 - the fake tells nobody
                await asyncio.sleep(0.01)
        assert comm.frames == [[(m.RELEASE, ["a"])]]

    in_loop(scenario)


def test_frames_that_are_too_large_go_in_pieces():
    """Messages one by one, and tasks in halves."""

    async def scenario(connection, comm):
        items = [(f"a-{n}", b"", None) for n in range(10)]
        connection.say((m.SUBMIT, b"f", None, items), (m.CANCEL, False, ["x"]))
        await asyncio.sleep(0)
        sent = [message for frame in comm.frames for message in frame]
        assert [item for message in sent[:-1] for item in message[-1]] == items
        assert all(message[:3] == (m.SUBMIT, b"f", None) for message in sent[:-1])
        assert sent[-1] == (m.CANCEL, False, ["x"])

    in_loop(scenario, limit=3)


def test_what_cannot_be_sent_fails(caplog):
    """A task that is too large by itself fails with the reason, others go on."""

    async def scenario(connection, comm):
        state, _ = connection.book.open("a")
        connection.say((m.SUBMIT, b"f", None, [("a", b"", None)]))
        connection.say((m.KEEP, ["a"]))
        asked = asyncio.ensure_future(connection.ask("run-on-scheduler", b""))
        called = asyncio.ensure_future(connection.call(None, b""))
        await asyncio.sleep(0)
        with pytest.raises(SerializationError, match=r"what was asked .run-on-scheduler. cannot"):
            await asked
        with pytest.raises(SerializationError, match="a call cannot be sent"):
            await called
        assert "task 'a' cannot be sent: 1 items are too many" in str(state.exception())
        assert "operation=keep" in caplog.text

    in_loop(scenario, limit=0)


def test_fetches_are_shared():
    """Several who want one value ask once."""

    async def scenario(connection, comm):
        got = []
        connection.fetch("a", got.append)
        connection.fetch("a", got.append)
        await asyncio.sleep(0)
        assert comm.frames == [[(m.FETCH, ["a"])]]
        comm.hear([(m.FETCHED, "a", b"value")])
        assert got == [b"value", b"value"]

    in_loop(scenario)


def test_the_end_of_the_connection_answers_everybody():
    """Fetches and questions under way, and those that come later."""

    async def scenario(connection, comm):
        got = []
        connection.fetch("a", got.append)
        question = asyncio.ensure_future(connection.ask("situation"))
        await asyncio.sleep(0)
        comm.lose(CommClosed("the peer is gone"))
        connection.fetch("b", got.append)
        assert all(isinstance(failure, Failure) for failure in got)
        assert [type(failure.to_exception()) for failure in got] == [ConnectionLost] * 2
        with pytest.raises(ConnectionLost, match="the peer is gone"):
            await question
        with pytest.raises(ConnectionLost, match="has ended"):
            await connection.ask("situation")

    in_loop(scenario)


def test_what_was_said_has_been_heard_once_an_answer_came():
    """It is asked for only if something was said since; threads may wait for it."""

    async def scenario(connection, comm):
        connection.say((m.KEEP, ["a"]))
        waiting = asyncio.ensure_future(asyncio.to_thread(connection.wait_until_heard))
        async with asyncio.timeout(30):
            while not comm.frames or comm.frames[-1][-1][0] != m.ASK:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not waiting.done()
        comm.hear([(m.ANSWER, comm.frames[-1][-1][1], {})])
        await waiting
        frames = len(comm.frames)
        await asyncio.to_thread(connection.wait_until_heard)
        assert len(comm.frames) == frames
        connection.say((m.KEEP, ["a"]))
        connection.wait_until_heard()  # not in the event loop's own thread
        lost = asyncio.ensure_future(connection.be_heard())
        await asyncio.sleep(0)
        comm.lose(CommClosed("the peer is gone"))
        with pytest.raises(ConnectionLost):
            await lost

    in_loop(scenario)


def test_what_is_said_when_the_event_loop_has_ended():
    """Nobody would ever hear it: that is said, and the client is closed from then on."""

    async def main():
        connection = Connection(on_outage=lambda text: None, on_closed=lambda reason: None)
        await connection.start(FakeComm())
        return connection

    connection = asyncio.run(main())
    for _ in range(2):
        with pytest.raises(ClientClosed, match="event loop in which this client lived is closed"):
            connection.say((m.CANCEL, False, ["a"]))
    assert isinstance(connection.book.closed, ClientClosed)


def test_a_scheduler_that_says_farewell():
    """What it gives as the reason counts, not how the connection ended."""

    async def scenario(connection, comm):
        question = asyncio.ensure_future(connection.ask("workers"))
        await asyncio.sleep(0)
        comm.hear([(m.END, "the cluster was closed")])
        comm.lose(CommClosed("memory://5 closed the connection"))
        with pytest.raises(ConnectionLost, match="has ended: the cluster was closed"):
            await question

    in_loop(scenario)
