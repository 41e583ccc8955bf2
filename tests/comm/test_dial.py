"""Connecting to the first of several addresses that answers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue.comm import Credentials, connect_any
from jobqueue.comm import dial as module
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError, HandshakeRefused


@contextlib.contextmanager
def silent() -> Any:
    """A port where connections are accepted by the kernel and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"tls://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def refusing() -> Iterator[str]:
    """A port where nobody listens, and which nobody is given meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"tls://127.0.0.1:{sock.getsockname()[1]}"


def client(lab: Any, **options: Any) -> dict[str, Any]:
    """The arguments of an honest client."""
    return {
        "hello": {"role": "client"},
        "credentials": lab.credentials.others["client"],
        **options,
    }


def test_the_first_that_completes_the_handshake_wins(lab: Any, refusing: str) -> None:
    """Those that refuse or keep silent cost no more than a moment."""

    async def check() -> None:
        async with lab.wire("tls") as wire:
            with silent() as mute:
                addresses = [refusing, mute, wire.listener.address, refusing]
                comm = await connect_any(addresses, **client(lab, timeout=30))
            assert comm.peer_address == wire.listener.address
            comm.abort()
            await comm.wait_closed()

    lab.run(check())


def test_the_order_is_kept_if_the_first_answers(lab: Any, folder: Any) -> None:
    """The best address comes first; the others are not even tried."""

    async def check() -> None:
        async with lab.wire("tls") as first, lab.wire("tcp") as second:
            addresses = [first.listener.address, second.listener.address]
            comm = await connect_any(addresses, **client(lab))
            assert comm.peer_address == first.listener.address
            assert second.accepted == []
            comm.abort()
            await comm.wait_closed()

    lab.run(check())


@pytest.mark.parametrize("scheme", ["tls", "tcp"])
def test_only_one_of_several_that_answer_hears_the_hello(
    lab: Any, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """A scheduler with several addresses never takes one worker for two."""
    monkeypatch.setattr(module, "STAGGER", 0.0)
    accepted: list[Any] = []
    heard: list[Any] = []

    def on_comm(comm: Any) -> None:
        accepted.append(comm)
        comm.start(heard.extend, lambda reason: None)

    async def check() -> None:
        async with lab.wire(scheme, on_comm=on_comm) as wire:
            comm = await connect_any([wire.listener.address] * 5, **client(lab))
            comm.send([("it is me",)])
            comm.close()
            await comm.wait_closed()  # which the peer must have done as well

    for _ in range(5):
        lab.run(check())
    assert heard == [("it is me",)] * 5
    assert len(accepted) == 5


def test_if_the_first_that_answers_refuses_another_one_is_asked(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stood back for it has its turn after all."""
    monkeypatch.setattr(module, "STAGGER", 0.0)

    async def check() -> None:
        opinions = iter(["not you"])
        async with lab.wire("tls", admit=lambda hello: next(opinions, None)) as wire:
            comm = await connect_any([wire.listener.address] * 3, **client(lab))
            comm.abort()
            await comm.wait_closed()

    lab.run(check())


def test_the_error_lists_each_address_with_what_happened(lab: Any, refusing: str) -> None:
    """Refused, timed out, unknown, no such socket: each in its own words."""

    async def check() -> None:
        with silent() as mute:
            addresses = [refusing, mute, "unix:///nowhere/s", "memory://nobody"]
            with pytest.raises(CommError) as caught:
                await connect_any(addresses, **client(lab, timeout=1.5))
        text = str(caught.value)
        assert text.startswith("tried ")
        assert f"{refusing}: refused, nobody listens there" in text
        assert f"{mute}: timed out after 1." in text
        assert "unix:///nowhere/s: no such socket" in text
        assert "memory://nobody: nobody listens under this name" in text

    lab.run(check())


def test_what_the_kernel_says_is_told_and_not_the_address_once_more() -> None:
    """asyncio's words for a failed connection hold nothing but that."""
    error = OSError(errno.EHOSTUNREACH, "Connect call failed ('10.1.2.3', 4000)")
    assert module._in_words(error) == "no route to host"


def test_a_name_that_is_unknown_says_so(lab: Any) -> None:
    """A typing error in a host's name is recognizable."""

    async def check() -> None:
        for name in ("[fe80::1%nosuch]", "x" * 64):
            with pytest.raises(CommError, match=r"the name '.*' is unknown here"):
                await connect_any([f"tls://{name}:1"], **client(lab))

    lab.run(check())


@pytest.mark.parametrize("kind", [HandshakeRefused, AuthenticationFailed])
def test_the_kind_of_the_error_is_the_most_telling_one(
    lab: Any, refusing: str, kind: type[CommError]
) -> None:
    """A scheduler that answered and refused matters more than an address that did not answer."""
    foreign = Credentials.create("other").others["client"]
    options = client(lab) if kind is HandshakeRefused else client(lab, credentials=foreign)

    async def check() -> None:
        async with lab.wire("tls", admit=lambda hello: "not today") as wire:
            with pytest.raises(kind, match="refused"):
                await connect_any([refusing, wire.listener.address], **options)

    lab.run(check())


def test_no_address_and_no_credentials_are_errors_at_once(lab: Any) -> None:
    """What cannot work is not tried."""

    async def check() -> None:
        with pytest.raises(CommError, match="no address"):
            await connect_any([], **client(lab))
        with pytest.raises(ConfigError, match="not an address"):
            await connect_any(["tls://127.0.0.1:1", "nonsense"], **client(lab))
        with pytest.raises(ConfigError, match="needs credentials"):
            await connect_any(["tls://127.0.0.1:1"], **client(lab, credentials=None))

    lab.run(check())


def test_giving_up_leaves_nothing_behind(lab: Any) -> None:
    """A cancelled attempt closes its sockets (an open one would be a warning, and fail)."""

    async def check() -> None:
        with silent() as mute:
            attempt = asyncio.create_task(connect_any([mute, mute], **client(lab, timeout=30)))
            await asyncio.wait([attempt], timeout=0.3)
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt

    lab.run(check())
