"""What every transport must do; one body of tests over all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.errors import (
    AuthenticationFailed,
    CommClosed,
    CommError,
    HandshakeRefused,
    SerializationError,
)
from jobqueue.protocol.payload import Payload

STREAMS = ("unix", "tcp", "tls")


@pytest.fixture(params=["memory", *STREAMS])
def scheme(request: pytest.FixtureRequest) -> str:
    """Each transport."""
    return str(request.param)


def test_each_side_knows_the_other(lab: Any, scheme: str) -> None:
    """The hellos are exchanged, and addresses say where the ends are."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            assert client.comm.peer["role"] == "scheduler"
            assert server.comm.peer == {"role": "client", "name": "c"}
            assert client.comm.peer_address == wire.listener.address
            assert server.comm.peer_address.startswith(f"{scheme}://")
            assert repr(server.comm).endswith(f"to client at {server.comm.peer_address}, open>")

    lab.run(check())


def test_messages_arrive_in_order_both_ways(lab: Any, scheme: str) -> None:
    """Small and large frames keep their order, in both directions at once."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            batch = [("m", i, b"x" * (i * 997 % 70_000 if i % 50 else 1 << 20)) for i in range(300)]
            for message in batch:
                client.comm.send([message])
                server.comm.send([message, ("and", message[1])])
            assert await server.wait_messages(300) == batch
            got = await client.wait_messages(600)
            assert got[::2] == batch

    lab.run(check())


def test_many_small_frames_arrive(lab: Any, scheme: str) -> None:
    """Twenty thousand frames sent in one turn of the loop arrive, each as it was sent."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            for number in range(20_000):
                client.comm.send([("n", number)])
            assert await server.wait_messages(20_000) == [("n", i) for i in range(20_000)]
            assert client.comm.pending_bytes == 0

    lab.run(check())


def test_other_threads_may_send_at_once(lab: Any, scheme: str) -> None:
    """Where the transport allows it; each thread's messages stay in order among the loop's own."""
    count = 2000

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            refused: list[int] = []

            def send(name: str) -> None:
                for number in range(count):
                    while not client.comm.send_now([(name, number)]):
                        refused.append(number)
                        if scheme in ("memory", "tls"):
                            return

            async def send_here() -> None:
                for number in range(count):
                    client.comm.send([("loop", number)])
                    if not number % 10:
                        await asyncio.sleep(0)

            await asyncio.gather(
                asyncio.to_thread(send, "a"), asyncio.to_thread(send, "b"), send_here()
            )
            senders = ["loop"] if scheme in ("memory", "tls") else ["loop", "a", "b"]
            messages = await server.wait_messages(count * len(senders))
            for sender in senders:
                assert [n for name, n in messages if name == sender] == list(range(count))
            client.comm.close()
            assert not client.comm.send_now([("late",)])

    lab.run(check())


def test_payloads_with_several_buffers_arrive(lab: Any, scheme: str) -> None:
    """Buffers of all sizes, empty ones too, come back in order beside their heads."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            sizes = (0, 1, 70_000, 30 << 20, 0, 300_000)
            buffers = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
            first = Payload(b"head", [memoryview(b) for b in buffers])
            second = Payload(b"h" * 200_000, [b"tail"])
            client.comm.send([("r", first), ("r", 5, second), ("r", Payload(b"", []))])
            got = await server.wait_messages(3)
            assert [bytes(b) for b in got[0][1].buffers] == buffers
            assert bytes(got[0][1].head) == b"head"
            assert (bytes(got[1][2].head), bytes(got[1][2].buffers[0])) == (b"h" * 200_000, b"tail")
            assert got[2][1].nbytes == 0

    lab.run(check())


@pytest.mark.parametrize("stream", STREAMS)
def test_what_cannot_travel_leaves_the_connection_alone(lab: Any, stream: str) -> None:
    """A buffer that is not contiguous is the sender's error; nothing of the batch is sent."""

    async def check() -> None:
        async with lab.wire(stream) as wire:
            client, server = await wire.pair()
            bad = Payload(b"", [memoryview(bytearray(9))[::2]])
            with pytest.raises(SerializationError, match="not contiguous"):
                client.comm.send([("good",), ("bad", bad)])
            client.comm.send([("after",)])
            assert await server.wait_messages(1) == [("after",)]

    lab.run(check())


def test_nothing_is_delivered_before_start(lab: Any, scheme: str) -> None:
    """What was sent before is delivered then, the end of the connection last."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client = await wire.connect()
            server = await wire.accept()
            for number in range(10):
                client.comm.send([("n", number), ("big", b"x" * 100_000)])
            client.start().comm.close()
            await asyncio.sleep(0)
            assert server.messages == []
            server.start()
            await server.wait_reason()
            assert [m[1] for m in server.messages[::2]] == list(range(10))
            await client.wait_reason()

    lab.run(check())


def test_close_flushes(lab: Any, scheme: str) -> None:
    """Everything sent before `close` arrives, though the peer is sending as well."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            for number in range(50):
                server.comm.send([("noise", b"x" * 500_000)])
                client.comm.send([("n", number, b"x" * 500_000)])
            client.comm.close()
            assert client.comm.closed
            assert "closed the connection" in str(await server.wait_reason())
            assert [m[1] for m in server.messages] == list(range(50))
            assert "this side closed" in str(await client.wait_reason())

    lab.run(check())


def test_both_may_close_at_once(lab: Any, scheme: str) -> None:
    """Neither waits for the other for ever."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            client.comm.send([("last", b"x" * 3_000_000)])
            server.comm.send([("last", b"x" * 3_000_000)])
            client.comm.close()
            server.comm.close()
            for end in (client, server):
                assert "closed" in str(await end.wait_reason())

    lab.run(check())


def test_closed_is_told_once_and_never_from_inside(lab: Any, scheme: str) -> None:
    """`on_closed` comes from the loop, after the last message, whoever ends and how often."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            client.comm.close()
            client.comm.close()
            assert client.reasons == []
            await server.wait_reason()
            server.comm.abort()
            client.comm.abort()
            await client.wait_reason()
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(client.reasons) == len(server.reasons) == 1

    lab.run(check())


def test_abort_ends_at_once(lab: Any, scheme: str) -> None:
    """Nothing is flushed; both sides hear of the end, this one with the reason it gave."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.pause()
            client.comm.send([("never", b"x" * 50_000_000)])
            client.comm.abort(CommError("had enough"))
            assert str(await client.wait_reason()) == "had enough"
            server.comm.resume()
            assert isinstance(await server.wait_reason(), CommClosed)
            assert server.messages == []

    lab.run(check())


@pytest.mark.parametrize("stream", STREAMS)
def test_a_peer_that_vanishes_is_lost(lab: Any, stream: str) -> None:
    """A socket that ends without a farewell, as when a process dies, is told apart."""

    async def check() -> None:
        async with lab.wire(stream) as wire:
            client, server = await wire.pair()
            client.comm.send([("n", 1)])
            await server.wait_messages(1)
            client.comm.abort()
            assert "was lost" in str(await server.wait_reason())

    lab.run(check())


def test_sending_after_the_end_is_dropped(lab: Any, scheme: str) -> None:
    """`send` never raises for a closed connection, on either side."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            client.comm.close()
            client.comm.send([("late",)])
            await server.wait_reason()
            server.comm.send([("late",)])
            await client.wait_reason()
            assert client.messages == server.messages == []
            with pytest.raises(CommError):
                await client.comm.drain()

    lab.run(check())


def test_drain_waits_for_a_slow_peer(lab: Any, scheme: str) -> None:
    """While the peer takes nothing `drain` waits; when it goes on, everything arrives."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.pause()
            batch = [("n", number, b"x" * 1000) for number in range(30_000)]
            for start in range(0, len(batch), 100):
                client.comm.send(batch[start : start + 100])
            draining = asyncio.create_task(client.comm.drain())
            done, _ = await asyncio.wait([draining], timeout=0.1)
            assert not done
            assert client.comm.pending_bytes > 0
            server.comm.resume()
            await draining
            assert await server.wait_messages(len(batch)) == batch

    lab.run(check())


def test_drain_ends_with_the_connection(lab: Any, scheme: str) -> None:
    """Whoever waits in `drain` hears why it is of no use."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.pause()
            for _ in range(300):
                client.comm.send([("n", b"x" * 1000)] * 100)
            draining = asyncio.create_task(client.comm.drain())
            await asyncio.wait([draining], timeout=0.05)
            client.comm.abort(CommError("had enough"))
            with pytest.raises(CommError, match="had enough"):
                await draining

    lab.run(check())


def test_two_that_send_and_drain_do_not_block_each_other(lab: Any, scheme: str) -> None:
    """Backpressure in both directions at once is no deadlock."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()

            async def pour(end: Any) -> None:
                for _ in range(60):
                    end.comm.send([("n", b"x" * 1000)] * 500)
                    await end.comm.drain()

            await asyncio.gather(pour(client), pour(server))
            await client.wait_messages(30_000)
            await server.wait_messages(30_000)

    lab.run(check())


def test_nothing_is_lost_when_the_peer_closes_while_we_pause(lab: Any, scheme: str) -> None:
    """A pause delays messages and the end of the connection, and keeps their order."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.pause()
            for number in range(200):
                client.comm.send([("n", number, b"x" * 10_000)])
            client.comm.close()
            await asyncio.sleep(0.05)  # so that bytes and end can arrive, if they do
            server.comm.resume()
            await server.wait_reason()
            assert [m[1] for m in server.messages] == list(range(200))
            await client.wait_reason()

    lab.run(check())


def test_a_pause_from_inside_a_callback_holds_at_once(lab: Any, scheme: str) -> None:
    """Not even a frame that has come already is delivered during a pause."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client = (await wire.connect()).start()
            server = await wire.accept()

            def take_one(messages: Any) -> None:
                server.on_messages(messages)
                server.comm.pause()

            server.comm.start(take_one, server.on_closed)
            for number in range(3):
                client.comm.send([("n", number)])
            for expected in (1, 2, 3):
                await server.wait_messages(expected)
                for _ in range(5):
                    await asyncio.sleep(0)
                assert len(server.messages) == expected
                server.comm.resume()

    lab.run(check())


def test_a_callback_that_fails_ends_its_connection_only(
    lab: Any, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that cannot be handled is logged and costs the connection, nothing else."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client = (await wire.connect()).start()
            server = await wire.accept()

            def fail(messages: Any) -> None:
                raise KeyError("no such operation")

            server.comm.start(fail, server.on_closed)
            client.comm.send([("n", 1)])
            client.comm.send([("n", 2)])
            assert "failed to handle a message" in str(await server.wait_reason())
            await client.wait_reason()
            await wire.check_good_peer()

    lab.run(check())
    assert caplog.text.count("event=callback-failed") == 1


def test_a_closed_listener_takes_no_one_and_keeps_its_connections(lab: Any, scheme: str) -> None:
    """Connections outlive the listener, and the address is free again."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            wire.listener.close()
            await wire.listener.wait_closed()
            with pytest.raises(CommError, match=f"tried {scheme}://.*nobody|no such"):
                await wire.connect(timeout=5)
            client.comm.send([("still",)])
            await server.wait_messages(1)
            await wire.listen()
            await wire.check_good_peer()

    lab.run(check())


def test_many_connect_at_once(lab: Any, scheme: str) -> None:
    """A job array that starts together is served, each connection by itself."""

    async def check() -> None:
        async with lab.wire(scheme, handshakes_max=8) as wire:
            clients = await asyncio.gather(
                *(wire.connect(hello={"role": "client", "name": f"c{i}"}) for i in range(60))
            )
            for number, client in enumerate(clients):
                client.start().comm.send([("i am", number)])
            for server in await wire.wait_accepted(60):
                ((_, number),) = await server.start().wait_messages(1)
                assert server.comm.peer["name"] == f"c{number}"

    lab.run(check())


def test_a_peer_may_be_refused_by_opinion(lab: Any, scheme: str) -> None:
    """What `admit` says against a peer is what that peer is told; a failing `admit` as well."""

    def admit(hello: Any) -> str | None:
        return "the name is taken" if hello["name"] == "twin" else None

    async def check() -> None:
        async with lab.wire(scheme, admit=admit) as wire:
            for hello, text in (
                ({"role": "client", "name": "twin"}, "the name is taken"),
                ({"role": "client"}, "malformed: KeyError"),
            ):
                with pytest.raises(HandshakeRefused, match=text):
                    await wire.connect(hello=hello)
            await wire.check_good_peer()

    lab.run(check())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hello": {"role": "scheduler"}}, "scheduler"),
        ({"hello": {"role": "king"}}, "king"),
        ({"hello": {}}, "None"),
        ({"expect": "worker"}, "scheduler|worker"),
    ],
)
def test_a_peer_in_the_wrong_role_is_refused(
    lab: Any, scheme: str, options: dict[str, Any], text: str
) -> None:
    """Both sides check who the other is, and both are told."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            with pytest.raises(AuthenticationFailed, match=text):
                await wire.connect(**options)
            await wire.check_good_peer()

    lab.run(check())
