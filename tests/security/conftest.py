"""Clusters of each transport, at work while somebody knocks at their doors."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from jobqueue import Client, LocalCluster
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.comm import parse_address


class Lab(NamedTuple):
    """A cluster with two connected workers, and its client."""

    scheme: str
    cluster: Any
    client: Client

    @property
    def address(self) -> str:
        """Where its scheduler listens; the loopback address of it, if there is a choice."""
        address: str = self.cluster.scheduler_address
        if self.scheme == "unix":
            return address
        return f"{self.scheme}://127.0.0.1:{address.rpartition(':')[2]}"

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Have tasks run meanwhile; all results are right, and no worker was lost."""
        before = {worker.name for worker in self.cluster.scheduler.workers()}
        futures = self.client.map(_slowly, range(60))
        yield
        assert self.client.gather(futures) == [-number for number in range(60)]
        assert self.client.submit(sum, [1, 2]).result(timeout=60) == 3
        assert {worker.name for worker in self.cluster.scheduler.workers()} == before
        assert len(self.cluster.scheduler.state.clients) == 1

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        pids = self.client.gather(self.client.map(_pid, range(40)))
        return [psutil.Process(pid) for pid in set(pids)]


def _slowly(number: int) -> int:
    time.sleep(0.01)
    return -number


def _pid(number: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def _cluster(scheme: str) -> Any:
    if scheme == "unix":
        return LocalCluster(n_workers=2, threads_per_worker=1)
    return EmbeddedCluster(cores=2, memory="1GB", processes=2, n_workers=2, protocol=scheme)


@pytest.fixture(scope="module", params=["tls", "tcp", "unix"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster by each transport; what it writes is in the module's own folder."""
    home = tmp_path_factory.mktemp("home")
    short = Path(f"/tmp/jq-security-{os.getpid()}")  # a socket's path has to be short
    short.mkdir(mode=0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("JOBQUEUE_STATE_DIRECTORY", str(home / "state"))
        patch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(home / "embedded"))
        patch.setattr("tempfile.tempdir", str(short))
        with _cluster(request.param) as cluster, Client(cluster) as client:
            client.wait_for_workers(2, timeout=60)
            yield Lab(request.param, cluster, client)
    shutil.rmtree(short)


@pytest.fixture
def knock() -> Callable[..., AbstractContextManager[socket.socket]]:
    """`with knock(address) as sock`: a connection of bytes, with none of our protocol."""

    @contextlib.contextmanager
    def open_raw(address: str) -> Iterator[socket.socket]:
        parsed = parse_address(address)
        unix = parsed.scheme == "unix"
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
            sock.settimeout(60)
            sock.connect(parsed.path if unix else (parsed.host, parsed.port))
            yield sock

    return open_raw


@pytest.fixture
def said() -> Callable[[socket.socket], bytes]:
    """What the other side says until it ends the connection, which it has to do soon."""

    def read(sock: socket.socket) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := sock.recv(65536):
                data += more
        return data

    return read
