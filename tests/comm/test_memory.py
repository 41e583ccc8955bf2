"""What is particular to connections in memory."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jobqueue.comm import connect, listen
from jobqueue.errors import CommError
from jobqueue.protocol.payload import Payload


def test_messages_are_handed_over_as_they_are(lab: Any) -> None:
    """Not encoded, not copied."""

    async def check() -> None:
        async with lab.wire("memory") as wire:
            client, server = await wire.pair()
            payload = Payload(b"", [bytearray(10)])
            client.comm.send([("result", payload)])
            assert (await server.wait_messages(1))[0][1] is payload

    lab.run(check())


def test_what_is_sent_arrives_at_once(lab: Any) -> None:
    """A turn of the event loop costs more than all else between client and scheduler."""

    async def check() -> None:
        async with lab.wire("memory") as wire:
            client, server = await wire.pair()
            client.comm.send([("first", 1)])
            await server.wait_messages(1)  # started, from now on
            client.comm.send([("second", 2)])
            assert server.messages == [("first", 1), ("second", 2)]

    lab.run(check())


def test_an_answer_waits_until_the_question_is_asked(lab: Any) -> None:
    """Nobody is called back from inside a `send` of his own, and no two ends recurse."""

    async def check() -> None:
        async with lab.wire("memory") as wire:
            client, server = await wire.connect(), await wire.accept()
            sending = False

            def answer(messages: Any) -> None:
                ((_, number),) = messages
                server.comm.send([("answer", number)])
                server.on_messages(messages)

            def ask_again(messages: Any) -> None:
                nonlocal sending
                assert not sending
                client.on_messages(messages)
                if len(client.messages) < 2000:
                    sending = True
                    client.comm.send([("question", len(client.messages))])
                    sending = False

            server.comm.start(answer, server.on_closed)
            client.comm.start(ask_again, client.on_closed)
            client.comm.send([("question", 0)])
            await client.wait_messages(2000)
            assert client.messages == [("answer", number) for number in range(2000)]
            assert server.messages == [("question", number) for number in range(2000)]

    lab.run(check())


def test_a_name_is_taken_until_its_listener_is_closed(lab: Any) -> None:
    """Two listeners cannot share one; without a name each gets its own."""

    async def check() -> None:
        first = await listen("memory://a", hello={}, on_comm=print)
        with pytest.raises(CommError, match="memory://a is in use"):
            await listen("memory://a", hello={}, on_comm=print)
        first.close()
        second = await listen("memory://a", hello={}, on_comm=print)
        first.close()
        with pytest.raises(CommError, match="memory://a is in use"):
            await listen("memory://a", hello={}, on_comm=print)
        second.close()
        unnamed = [await listen("memory://", hello={}, on_comm=print) for _ in range(2)]
        assert unnamed[0].address != unnamed[1].address
        for listener in unnamed:
            listener.close()

    lab.run(check())


def test_another_threads_event_loop_is_refused(lab: Any) -> None:
    """Messages would cross threads; the error says so instead."""

    async def check() -> None:
        async with lab.wire("memory") as wire:
            errors: list[BaseException] = []

            def elsewhere() -> None:
                try:
                    asyncio.run(connect(wire.listener.address, hello={"role": "client"}))
                except CommError as error:
                    errors.append(error)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join)
            assert "belongs to another event loop" in str(errors[0])

    lab.run(check())
