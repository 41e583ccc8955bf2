"""Agents that people start by hand, before or after their scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.comm.scheduler_file import SchedulerFile, publish
from jobqueue.worker.agent import main
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.contact import find_scheduler

ADDRESSES = ("tls://10.0.0.1:8786", "tls://10.1.0.1:8786")
BY_ADDRESS = AgentOptions(("tls://10.0.0.1:8786",), "jq", death_timeout=30.0)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def never(seconds: float) -> None:
    pytest.fail("nothing to wait for")


def test_a_scheduler_file_says_all(tmp_path: Path) -> None:
    """Addresses, and where a worker's credentials are; those that are named go before."""
    path = str(tmp_path / "scheduler.json")
    SchedulerFile(ADDRESSES, ADDRESSES, "/credentials").write(path)
    options = BY_ADDRESS._replace(addresses=(), scheduler_file=path)
    found = find_scheduler(options, pause=never)
    assert found == options._replace(addresses=ADDRESSES, credentials="/credentials/worker")
    named = find_scheduler(options._replace(credentials="/mine"), pause=never)
    assert isinstance(named, AgentOptions)
    assert named.credentials == "/mine"


def test_workers_may_start_before_their_scheduler(tmp_path: Path) -> None:
    """The file is waited for, as long as a worker waits for its scheduler."""
    path = str(tmp_path / "scheduler.json")
    pauses: list[float] = []

    def write(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            SchedulerFile(ADDRESSES, ADDRESSES).write(path)

    options = BY_ADDRESS._replace(addresses=(), scheduler_file=path)
    found = find_scheduler(options, pause=write)
    assert isinstance(found, AgentOptions)
    assert found.addresses == ADDRESSES
    assert len(pauses) == 3


def test_credentials_of_ones_own_scheduler_are_found(tmp_path: Path, state: Path) -> None:
    """By its address alone; also if it comes later."""

    def start(seconds: float) -> None:
        publish(Credentials.create("c"), addresses=ADDRESSES)

    found = find_scheduler(BY_ADDRESS, pause=start)
    assert isinstance(found, AgentOptions)
    assert found.addresses == BY_ADDRESS.addresses
    assert found.credentials is not None
    assert found.credentials.startswith(str(state))
    assert found.credentials.endswith("/worker")


def test_a_socket_needs_nothing() -> None:
    """Who may enter its folder is its owner."""
    options = AgentOptions(("unix:///run/x/scheduler",), "jq")
    assert find_scheduler(options, pause=never) == options


def test_an_end_without_having_found_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After the death timeout, with status 3 and one line that says what was looked for."""
    for words, reason in [
        (["tls://10.0.0.1:8786"], "no credentials for tls://10.0.0.1:8786"),
        (["--scheduler-file", str(tmp_path / "none")], f"no scheduler file {tmp_path}/none"),
        (["nonsense://"], "'nonsense://' is not an address"),
    ]:
        assert main([*words, "--death-timeout", "0.01"]) == 3
        (line,) = capfd.readouterr().err.splitlines()
        assert f'ends exit_code=3 cause="{reason}' in line
