"""Workers that die, fall silent or leave: what becomes of tasks and results, as users see it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.errors import DataLost, KilledWorker

SIZE = 200_000  # bytes of a result that stays at its worker


@pytest.fixture
def client(place: Any) -> Iterator[Client]:
    """A client, with both workers there; whatever was done to them is undone at the end."""
    with Client(place.scheduler) as client:
        client.wait_for_workers(2, timeout=60)
        yield client
        place.calm()


@pytest.fixture
def names(client: Client) -> list[str]:
    """The workers' names."""
    return sorted(client.nthreads())


@pytest.fixture
def status(place: Any) -> Callable[[str], str]:
    """Tell what a worker is said to do."""

    def find(name: str) -> str:
        return next((w.status for w in place.scheduler.workers() if w.name == name), "gone")

    return find


@pytest.fixture
def pid(place: Any) -> Callable[[str], int]:
    """Give the id of a worker's process; 0 while there is none."""

    def find(name: str) -> int:
        return next((w.pid for w in place.scheduler.workers() if w.name == name), 0)

    return find


def large(path: str | os.PathLike[str], number: int) -> bytes:
    """Return something large, and leave a line in a file for each run."""
    with open(path, "a") as file:
        file.write(f"{number}\n")
    return number.to_bytes(4, "big") * (SIZE // 4)


def runs(path: Path) -> list[int]:
    """Return which calls of `large` have run, as often as they have."""
    return sorted(map(int, path.read_text().split()))


def slow(number: int) -> int:
    time.sleep(0.05)
    return number * number


def first_bytes(value: bytes) -> int:
    return int.from_bytes(value[:4], "big")


def test_results_of_a_killed_worker_are_computed_again(
    client: Client, names: list[str], pid: Any, tmp_path: Path, wait_until: Any
):
    """Its agent starts another in its place, by the same name."""
    path = tmp_path / "runs"
    futures = [
        client.submit(large, path, n, workers=names[0], allow_other_workers=True) for n in range(4)
    ]
    client.gather([client.submit(first_bytes, future) for future in futures])
    old = pid(names[0])
    os.kill(old, signal.SIGKILL)
    assert client.gather(client.map(first_bytes, futures)) == [0, 1, 2, 3]
    assert [first_bytes(value) for value in client.gather(futures)] == [0, 1, 2, 3]
    new = wait_until(lambda: pid(names[0]) not in (0, old) and pid(names[0]), message="another")
    assert client.submit(os.getpid, workers=names[0]).result(30) == new


def test_a_stopped_worker_is_noticed_and_comes_back(
    client: Client, names: list[str], pid: Any, status: Any, wait_until: Any
):
    """Its tasks run elsewhere, nobody is blamed, and on waking it takes tasks again."""
    process = pid(names[0])
    futures = client.map(slow, range(40))
    os.kill(process, signal.SIGSTOP)
    assert client.gather(futures) == [n * n for n in range(40)]
    wait_until(lambda: status(names[0]) == "set aside", message="the scheduler to notice")
    stays = client.submit(slow, 7, workers=names[0])
    os.kill(process, signal.SIGCONT)
    assert stays.result(30) == 49
    assert (status(names[0]), pid(names[0])) == ("running", process)


def test_a_silent_connection_that_speaks_again(
    place: Any, client: Client, names: list[str], pid: Any, status: Any, wait_until: Any
):
    """Nothing passes for longer than a worker may be silent: no result is wrong or missing."""
    process = pid(names[0])
    futures = client.map(slow, range(100, 140))
    assert place.proxy.freeze(place.ports_of_workers()[names[0]])
    assert client.gather(futures) == [n * n for n in range(100, 140)]
    wait_until(lambda: status(names[0]) == "set aside", message="the scheduler to notice")
    place.proxy.heal()
    assert client.submit(slow, 8, workers=names[0]).result(30) == 64
    assert pid(names[0]) == process


@pytest.mark.parametrize("end", ["worker", "scheduler"])
def test_half_a_connection_is_none(
    place: Any, client: Client, names: list[str], pid: Any, end: str, wait_until: Any
):
    """One side is told that it has ended, the other one hears nothing: the worker connects anew."""
    process, port = pid(names[0]), place.ports_of_workers()[names[0]]
    futures = client.map(slow, range(200, 240))
    assert place.proxy.cut(port, end)
    assert client.gather(futures) == [n * n for n in range(200, 240)]
    wait_until(
        lambda: place.ports_of_workers().get(names[0], port) != port, message="another connection"
    )
    assert client.submit(slow, 9, workers=names[0]).result(30) == 81
    assert pid(names[0]) == process


def test_scattered_data_is_lost_with_its_worker(
    client: Client, names: list[str], pid: Any, wait_until: Any
):
    """Nobody can make it again: its future says so, and so does whatever needs it."""
    future = client.scatter(b"x" * SIZE, workers=[names[0]])
    wait_until(lambda: client.who_has(future)[future.key] == (names[0],), message="the copy")
    done = client.submit(len, future)
    assert done.result(30) == SIZE
    os.kill(pid(names[0]), signal.SIGKILL)
    wait_until(lambda: future.status == "lost", message="the future to be lost")
    with pytest.raises(DataLost, match=r"was only on workers that are gone: scatter it again"):
        future.result(30)
    with pytest.raises(DataLost, match="scatter it again"):
        client.submit(first_bytes, future).result(30)
    assert done.result(30) == SIZE


def once_killing(path: str) -> str:
    """End the worker at the first run, without a word."""
    if not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def once_raising(path: str) -> str:
    """Raise at the first run."""
    if not os.path.exists(path):
        Path(path).touch()
        raise OSError("try again")
    return "tried again"


def test_deaths_and_retries_are_counted_apart(client: Client, tmp_path: Path):
    """What was on a worker that died runs again without `retries`; what raised, only with them."""
    killed = client.submit(once_killing, str(tmp_path / "killed"))
    raised = client.submit(once_raising, str(tmp_path / "raised"), retries=1)
    again = client.submit(once_raising, str(tmp_path / "again"))
    assert raised.result(30) == "tried again"
    assert killed.result(30) == "alive"
    with pytest.raises(OSError, match="try again"):
        again.result(30)


def shares_a_client(path: str) -> list[int]:
    """Wait for tasks of its own, and say so."""
    from jobqueue import get_client

    futures = get_client().map(slow, range(20))
    Path(path).touch()
    return [future.result() for future in futures]


def test_a_task_outlives_the_connection_that_tasks_share(
    place: Any, client: Client, tmp_path: Path, wait_until: Any
):
    """It is run again: the connection was the worker's, and the fault nobody's."""
    path = tmp_path / "waits"
    future = client.submit(shares_a_client, str(path), priority=1)
    wait_until(path.exists, message="the task to wait for others")
    for port in set(place.proxy.ports()) - set(place.worker_ports()):
        place.proxy.cut(port)
    assert future.result(30) == [n * n for n in range(20)]


def lethal() -> None:
    print("I was here", file=sys.stderr, flush=True)
    os._exit(17)


def test_a_task_that_kills_every_worker_is_told_from_others(client: Client):
    """After three of them its error names the last, its cause, and what that one wrote last."""
    with pytest.raises(KilledWorker, match="was running on 3 workers that died") as caught:
        client.submit(lethal).result(60)
    error = caught.value
    assert error.worker.startswith("a0-")
    assert error.worker in str(error)
    assert "exit 17" in error.cause
    assert "I was here" in error.log_tail
    assert client.submit(slow, 5).result(30) == 25


def lethal_for_one(path: str, number: int) -> int:
    if number == 250:
        with open(path, "a") as file:
            file.write(f"{number}\n")
        os._exit(17)
    return -number


def test_a_task_that_kills_its_workers_is_found_among_hundreds(client: Client, tmp_path: Path):
    """It alone fails, after three runs; all that waited in line with it are as they should be."""
    path = tmp_path / "runs"
    futures = client.map(lethal_for_one, [str(path)] * 600, range(600))
    error = futures[250].exception(60)
    assert isinstance(error, KilledWorker)
    assert "exit 17" in error.cause
    assert runs(path) == [250] * 3
    del futures[250]
    assert client.gather(futures) == [-number for number in range(600) if number != 250]


def test_results_move_before_a_retired_worker_ends(
    place: Any, client: Client, names: list[str], tmp_path: Path
):
    """Nothing is computed a second time."""
    path = tmp_path / "runs"
    futures = [client.submit(large, path, n, workers=names[0]) for n in range(6)]
    client.gather([client.submit(first_bytes, future) for future in futures])
    place.wanted -= 1
    place.retired(names[0])
    assert client.retire_workers([names[0]]) == [names[0]]
    assert list(client.nthreads()) == [names[1]]
    assert [first_bytes(value) for value in client.gather(futures)] == list(range(6))
    assert runs(path) == list(range(6))
