"""A scheduler as an object: where it is, who finds it, what is left when it has ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.cluster.standalone_scheduler import Scheduler, listening_address
from jobqueue.comm import Credentials, connect
from jobqueue.comm.scheduler_file import SchedulerFile, find_scheduler
from jobqueue.errors import CommError, ConfigError
from jobqueue.protocol.hello import PYTHON, WorkerFacts


@pytest.fixture(autouse=True)
def state(folder: Path, monkeypatch: pytest.MonkeyPatch, collected: Any) -> Iterator[Path]:
    """A state folder of this test's own, in which nothing is left at the end."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(folder / "state"))
    yield folder / "state"
    collected(lambda: not [*(folder / "state").glob("schedulers/*")], "files to be removed")


def test_a_client_of_the_same_user_needs_the_address_alone() -> None:
    """Certificates are found; both ends have proved themselves."""
    with (
        Scheduler(host="127.0.0.1") as scheduler,
        Client(scheduler.address, name="there") as client,
    ):
        assert scheduler.address.startswith("tls://127.0.0.1:")
        assert scheduler.addresses == scheduler.client_addresses == (scheduler.address,)
        assert "open" in repr(client)


def test_a_client_takes_the_object_too() -> None:
    """As it takes a cluster."""
    with Scheduler(host="127.0.0.1") as scheduler, Client(scheduler) as client:
        assert client.cluster is scheduler
        assert (
            repr(scheduler) == f"Scheduler('scheduler', {scheduler.address}, workers=0, threads=0)"
        )
    assert repr(scheduler) == "Scheduler('scheduler', closed)"


def test_strangers_are_refused() -> None:
    """Loopback or not: somebody else's certificate proves nothing here."""

    async def stranger(address: str) -> None:
        with pytest.raises(CommError):
            await connect(
                address,
                hello={"role": "client", "name": "x", "python": PYTHON},
                credentials=Credentials.create("another").others["client"],
            )

    with Scheduler(host="127.0.0.1") as scheduler:
        asyncio.run(stranger(scheduler.address))


def test_plain_tcp_is_there_by_name() -> None:
    """With a proof of membership all the same."""
    with (
        Scheduler(host="127.0.0.1", protocol="tcp") as scheduler,
        Client(scheduler.address) as client,
    ):
        assert scheduler.address.startswith("tcp://")
        assert "open" in repr(client)


def test_workers_and_clients_may_have_addresses_of_their_own() -> None:
    """Then neither gets in where the other does."""

    async def as_worker(address: str, folder: str) -> None:
        comm = await connect(
            address,
            hello=WorkerFacts("w", 1).to_hello(),
            credentials=Credentials.load(folder + "/worker"),
        )
        comm.close()
        comm.start(lambda messages: None, lambda reason: None)
        await comm.wait_closed()

    with Scheduler(host="127.0.0.1", client_port=0) as scheduler:
        [workers], [clients] = scheduler.addresses, scheduler.client_addresses
        assert workers != clients
        with Client(clients), pytest.raises(CommError):
            Client(workers, timeout=5)
        assert scheduler.credentials is not None
        asyncio.run(as_worker(workers, scheduler.credentials))
        with pytest.raises(CommError):
            asyncio.run(as_worker(clients, scheduler.credentials))


def test_a_scheduler_file_is_all_that_a_client_needs(folder: Path) -> None:
    """It is gone after the end."""
    path = folder / "scheduler.json"
    with Scheduler(host="127.0.0.1", scheduler_file=path, name="mine") as scheduler:
        found = SchedulerFile.read(path)
        assert found.addresses == scheduler.addresses
        assert found.name == "mine"
        with Client(scheduler_file=path) as client:
            assert "open" in repr(client)
    assert not path.exists()


def test_it_lives_in_the_running_event_loop_if_asked() -> None:
    """`async with`, and `await` as often as one likes."""

    async def main() -> str:
        scheduler = Scheduler(host="127.0.0.1", asynchronous=True)
        with pytest.raises(ConfigError, match="await it first"):
            _ = scheduler.address
        assert await scheduler is scheduler
        async with scheduler, Client(scheduler, asynchronous=True) as client:
            assert "open" in repr(client)
        await scheduler.close()
        return scheduler.status

    assert asyncio.run(main()) == "closed"


def test_the_wrong_kind_of_with_says_so() -> None:
    """Instead of failing somewhere later."""
    scheduler = Scheduler(host="127.0.0.1", asynchronous=True)
    with pytest.raises(ConfigError, match="async with"), scheduler:
        pass

    async def main() -> None:
        with pytest.raises(ConfigError, match="asynchronous=True"):
            async with Scheduler(host="127.0.0.1"):
                pass

    asyncio.run(main())


def test_a_port_in_use_is_a_clear_error() -> None:
    """It names the address, and nothing stays behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommError, match=f"127.0.0.1:{port}.*in use"):
            Scheduler(host="127.0.0.1", port=port)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"interface": "ib99"}, "'ib99' does not exist"),
        ({"protocol": "ucx"}, "it is 'tls' or 'tcp'"),
        ({"interface": "lo", "host": "127.0.0.1"}, "give one of them"),
        ({"port": 70000}, "larger than 65535"),
        ({"host": "127.0.0.1", "scheduler_file": "/nonexistent/file"}, "cannot write scheduler"),
    ],
)
def test_what_cannot_be_used_is_told(keywords, message) -> None:
    """One line with the value and the remedy."""
    with pytest.raises(ConfigError, match=message):
        Scheduler(**keywords)


def test_addresses_to_listen_on() -> None:
    """All addresses, unless a host or an interface is named; IPv6 in brackets."""
    assert listening_address("tls", None, 0, None) == "tls://0.0.0.0:0"
    assert listening_address("tcp", "::1", 1, None) == "tcp://[::1]:1"
    assert listening_address("tls", None, 2, "lo") == "tls://127.0.0.1:2"


def test_one_that_nobody_holds_any_more_ends() -> None:
    """With its files, as the fixture sees."""
    scheduler = Scheduler(host="127.0.0.1")
    address = scheduler.address
    assert find_scheduler(address) is not None
    scheduler.close()
    scheduler.close()
    assert find_scheduler(address) is None


def test_a_collected_one_ends(collected: Any) -> None:
    """Its handle is all that keeps it."""
    address = Scheduler(host="127.0.0.1").address
    collected(lambda: find_scheduler(address) is None, "its files to be removed")
