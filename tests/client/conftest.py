"""A cluster for each module, gates that hold tasks up, scripts, and a bound on every test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, LocalCluster

BOUND = 60  # seconds a test may take; there to end a broken one, not to judge speed


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Fail a test that hangs, with a traceback of where it does."""

    def expired(number: int, frame: object) -> None:
        raise TimeoutError(f"the test has not ended within {BOUND} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(BOUND)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers with one thread each."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster:
        await_workers(cluster, 2)
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A client of the module's cluster."""
    with Client(cluster) as client:
        yield client


@pytest.fixture
def unharmed(cluster: LocalCluster, client: Client) -> Iterator[None]:
    """After the test the same processes run tasks as before it, each of them."""
    before = {worker.name: worker.pid for worker in cluster.scheduler.workers()}
    yield
    after = {name: client.submit(os.getpid, workers=name) for name in before}
    assert {name: future.result(30) for name, future in after.items()} == before


@pytest.fixture
def own_cluster() -> Iterator[LocalCluster]:
    """A cluster of one worker that the test may harm."""
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
        await_workers(cluster, 1)
        yield cluster


def await_workers(cluster: LocalCluster, count: int) -> None:
    """Wait until all processes were started: none is mistaken for one that a test left behind."""
    with Client(cluster) as client:
        client.wait_for_workers(count, timeout=30)


@pytest.fixture
def own_client(own_cluster: LocalCluster) -> Iterator[Client]:
    """A client of `own_cluster`."""
    with Client(own_cluster) as client:
        yield client


class Gate:
    """Holds tasks up until the test lets them through; at the test's end none is held any more."""

    def __init__(self, folder: Path) -> None:
        self._paths = [str(folder / "arrived"), str(folder / "through")]
        for path in self._paths:
            os.mkfifo(path)
        self._arrived, self._through = (os.open(path, os.O_RDWR) for path in self._paths)

    @property
    def function(self) -> Callable[[Any], Any]:
        """For tasks: says that it has arrived, waits, and returns its argument."""
        arrived, through = self._paths

        def wait_at_gate(value: Any = None) -> Any:
            import os

            with open(arrived, "wb", buffering=0) as pipe:
                pipe.write(b".")
            pipe = os.open(through, os.O_RDONLY)
            os.read(pipe, 1)
            os.close(pipe)
            return value

        return wait_at_gate

    def await_arrivals(self, count: int = 1) -> None:
        """Wait until so many more tasks stand at the gate."""
        while count:
            count -= len(os.read(self._arrived, count))

    def open(self, count: int = 1) -> None:
        """Let so many tasks through, those that arrive later included."""
        os.write(self._through, b"." * count)

    def close(self) -> None:
        """Let everything through."""
        for path in self._paths:
            os.unlink(path)  # first: whoever comes now finds nothing to wait at
        os.close(self._through)
        os.close(self._arrived)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate of the test's own."""
    with contextlib.closing(Gate(tmp_path)) as gate:
        yield gate


RunScript = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    """Run a program as users do, `python script.py`, in a folder of its own."""

    def run(source: str, *, fails: bool = False) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            timeout=BOUND - 5,
            cwd=tmp_path,
        )
        assert bool(done.returncode) is fails, done.stderr
        return done

    return run
