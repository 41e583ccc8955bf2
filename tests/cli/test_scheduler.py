"""`jobqueue scheduler`: what it says, how it is found, how it ends."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobqueue import Client
from jobqueue.cli.main import main
from jobqueue.comm.scheduler_file import SchedulerFile
from jobqueue.errors import ConfigError

COMMAND = [sys.executable, "-m", "jobqueue.cli.main"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(folder / "state"))
    return folder / "state"


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    """Start the command with these words; it is killed at the end, should it still run."""
    with contextlib.ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def address_of(process: subprocess.Popen[str]) -> str:
    """Read the first line of a scheduler's output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"Scheduler at (\S+?)(,|$)", line)
    assert found, (line, process.stderr and process.stderr.read())
    return found[1]


def end(process: subprocess.Popen[str], signum: signal.Signals = signal.SIGTERM) -> str:
    """Send a signal and read what is left of the output."""
    assert process.stdout is not None
    process.send_signal(signum)
    text = process.stdout.read()
    assert process.wait(30) == 0
    return text


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_to_write_and_ends_in_order(
    start: Start, state: Path, signum: signal.Signals
) -> None:
    """A client needs the address alone; after a signal the status is 0 and nothing is left."""
    process = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    address = address_of(process)
    with Client(address) as client:
        assert "open" in repr(client)
        text = end(process, signum)
    assert f"workers:      jobqueue worker {address}\n" in text
    assert f"clients:      Client('{address}')\n" in text
    assert text.endswith(f"Ends: {signum.name}\n")
    assert [*state.glob("schedulers/*")] == []
    with pytest.raises(ConfigError, match="no running scheduler of this user"):
        Client(address, timeout=0.1)


def test_workers_and_clients_may_come_before_it(start: Start, folder: Path) -> None:
    """They wait for its file; when it ends, so do the workers."""
    path = str(folder / "scheduler.json")
    worker = start("worker", "--scheduler-file", path, "--nthreads", "1", "--death-timeout", "60")
    scheduler = start(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", path,
        "--allowed-failures", "1", "--dashboard-address", ":8787",
    )  # fmt: skip
    with Client(scheduler_file=path, timeout=60) as client:
        assert client.submit(pow, 2, 10).result(timeout=60) == 1024
    scheduler.send_signal(signal.SIGTERM)
    text, log = scheduler.communicate(timeout=30)
    assert "--dashboard-address: there is no dashboard, so it has no effect" in text
    assert f"jobqueue worker --scheduler-file {path}\n" in text
    assert f"Client(scheduler_file={path!r})\n" in text
    assert "worker joined" in log
    worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert not Path(path).exists()


def test_a_worker_that_is_told_the_address_alone_finds_its_credentials(start: Start) -> None:
    """As its user's client does."""
    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    address = address_of(scheduler)
    worker = start("worker", address, "--nthreads", "1")
    with Client(address) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
    end(scheduler)
    worker.communicate(timeout=30)
    assert worker.returncode == 0


def test_it_ends_by_itself_when_nobody_is_there(start: Start) -> None:
    """With an idle timeout, and not before it."""
    process = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--idle-timeout", "100ms")
    text, _ = process.communicate(timeout=30)
    assert "Ends: nobody was here for 0.1 s" in text
    assert process.returncode == 0


def test_what_keeps_it_from_beginning_is_one_line(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port in use, an interface that does not exist: status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["scheduler", "--host", "127.0.0.1", "--port", port]) == 1
    assert main(["scheduler", "--interface", "ib99"]) == 1
    in_use, no_interface = capsys.readouterr().err.splitlines()
    assert (
        in_use == f"jobqueue: tls://127.0.0.1:{port}: cannot listen there: Address already in use"
    )
    assert "interface 'ib99' does not exist; this machine has:" in no_interface


@pytest.mark.parametrize(
    "words",
    [["--port", "70000"], ["--protocol", "ucx"], ["--idle-timeout", "soon"],
     ["--idle-timeout", "0"], ["--allowed-failures", "-1"]],
)  # fmt: skip
def test_what_cannot_be_understood_is_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the usage on standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["scheduler", *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_with_two_listeners_clients_are_told_theirs(start: Start, folder: Path) -> None:
    """The address for workers is another."""
    path = folder / "file"
    process = start(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--client-port", "0",
        "--scheduler-file", str(path),
    )  # fmt: skip
    address_of(process)
    found = SchedulerFile.read(path)
    assert set(found.addresses).isdisjoint(found.client_addresses)
    with Client(scheduler_file=path) as client:
        assert "open" in repr(client)
    end(process)
