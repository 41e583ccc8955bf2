"""Scheduler files and published credentials: whole, private, found by address, gone at the end."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.comm.scheduler_file import (
    SchedulerFile,
    find_credentials,
    find_scheduler,
    publish,
    state_directory,
    wait_for_scheduler_file,
    withdraw,
)
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError

EXAMPLE = SchedulerFile(
    ("tls://10.0.0.1:8786", "tls://10.1.0.1:8786"),
    ("tls://192.0.2.1:9000",),
    "/home/me/credentials",
    "example",
    "login1",
    4711,
)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(folder))
    return folder


def test_a_scheduler_file_is_read_back_as_it_was_written(folder: Path) -> None:
    """It has the fields that the documentation names, as JSON, for this user only."""
    path = folder / "scheduler.json"
    EXAMPLE.write(path)
    assert SchedulerFile.read(path) == EXAMPLE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())) == {
        "addresses", "client_addresses", "credentials", "name", "host", "pid",
    }  # fmt: skip
    assert [file.name for file in folder.iterdir()] == ["scheduler.json"]


def test_each_role_is_told_its_own_addresses_and_credentials() -> None:
    """Tasks and agents use what workers use; only clients are told the clients' addresses."""
    assert EXAMPLE.addresses_for("client") == EXAMPLE.client_addresses
    assert EXAMPLE.addresses_for("task") == EXAMPLE.addresses
    assert EXAMPLE.folder("client") == "/home/me/credentials/client"
    assert EXAMPLE.folder("task") == EXAMPLE.folder("agent") == "/home/me/credentials/worker"
    assert EXAMPLE._replace(credentials=None).folder("client") is None


def test_a_file_with_addresses_alone_is_enough(folder: Path) -> None:
    """Somebody may write one by hand, for a scheduler behind a tunnel."""
    path = folder / "scheduler.json"
    path.write_text('{"addresses": ["tls://127.0.0.1:4000"]}')
    path.chmod(0o600)
    found = SchedulerFile.read(path)
    assert found.client_addresses == found.addresses == ("tls://127.0.0.1:4000",)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_have_written_is_refused(folder: Path, mode: int) -> None:
    """Whoever it names gets to run code here, so it is not believed."""
    EXAMPLE.write(folder / "file")
    (folder / "file").chmod(mode)
    with pytest.raises(AuthenticationFailed, match=f"mode {mode:04o}.*may have written"):
        SchedulerFile.read(folder / "file")


@root_only
def test_somebody_elses_file_is_refused(folder: Path) -> None:
    """It says whose it is."""
    EXAMPLE.write(folder / "file")
    os.chown(folder / "file", 4242, 4242)
    with pytest.raises(AuthenticationFailed, match="uid 4242"):
        SchedulerFile.read(folder / "file")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"addresses": ["nonsense"]}', '{"addresses": null}', "\x00"]
)
def test_what_is_no_scheduler_file_is_told_from_one_that_is_not_there(
    folder: Path, content: str
) -> None:
    """Waiting does not help against the first, and does against the second."""
    path = folder / "file"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=f"{path} is no scheduler file"):
        SchedulerFile.read(path)
    path.unlink()
    with pytest.raises(CommError, match=f"no scheduler file {path}.*may not have started yet"):
        SchedulerFile.read(path)


def test_a_path_that_cannot_be_written_is_a_clear_error(folder: Path) -> None:
    """It names path and cause."""
    with pytest.raises(ConfigError, match=f"cannot write scheduler file {folder}/no/file: No such"):
        EXAMPLE.write(folder / "no" / "file")


def test_a_scheduler_removes_its_own_file_and_no_other(folder: Path) -> None:
    """A second scheduler may have taken the path over."""
    path = folder / "file"
    EXAMPLE.write(path)
    EXAMPLE._replace(pid=1).remove(path)
    assert path.exists()
    EXAMPLE.remove(path)
    assert not path.exists()
    EXAMPLE.remove(path)  # gone already


def test_who_comes_early_waits_for_the_file(folder: Path) -> None:
    """The file is read as soon as it is there; one that cannot be trusted ends the wait."""
    path = folder / "file"
    assert wait_for_scheduler_file(path, 60, pause=lambda _: EXAMPLE.write(path)) == EXAMPLE
    path.chmod(0o666)
    with pytest.raises(AuthenticationFailed):
        wait_for_scheduler_file(path, 60)
    with pytest.raises(CommError, match="no scheduler file"):
        wait_for_scheduler_file(folder / "never", 0)


def test_credentials_are_found_by_the_address_as_people_know_it(
    state: Path, credentials: Credentials
) -> None:
    """By IP address, by the machine's name, and through a tunnel, if the port says enough."""
    published = publish(credentials, addresses=["tls://10.0.0.1:8786"])
    for address in ("tls://10.0.0.1:8786", f"tls://{socket.gethostname()}:8786", "tls://x:8786"):
        folder = find_credentials(address, "client")
        assert folder is not None
        assert Credentials.load(folder) == credentials.others["client"]
    assert find_scheduler("tls://10.0.0.1:8786") == published
    assert find_scheduler("tcp://10.0.0.1:8786") is None
    assert find_scheduler("tls://10.0.0.1:8787") is None
    assert find_scheduler("unix:///a/socket") is None
    folders = [path for path in (state / "schedulers").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert "scheduler" not in {path.name for path in folders}  # its key stays with it


def test_of_two_schedulers_with_one_port_the_host_decides(
    state: Path, credentials: Credentials
) -> None:
    """Names are resolved for that; if nothing decides, nothing is guessed."""
    one = publish(credentials, addresses=["tls://127.0.0.1:8786"])
    two = publish(credentials, addresses=["tls://127.0.0.2:8786"])
    assert one.credentials != two.credentials
    assert find_scheduler("tls://127.0.0.2:8786") == two
    assert find_scheduler("tls://localhost:8786") == one
    assert find_scheduler("tls://127.0.0.3:8786") is None


def test_nothing_is_left_after_the_end(state: Path, credentials: Credentials) -> None:
    """`withdraw` removes the keys too."""
    withdraw(publish(credentials, addresses=["tls://10.0.0.1:8786"]))
    assert list((state / "schedulers").iterdir()) == []
    assert find_credentials("tls://10.0.0.1:8786", "client") is None


def test_what_a_killed_scheduler_left_goes_with_the_next(
    state: Path, credentials: Credentials
) -> None:
    """Its process is gone, or the port is another's now; other machines' are left alone."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, check=True).stdout  # fmt: skip
    first = publish(credentials, addresses=["tls://10.0.0.1:1"])
    first._replace(pid=int(gone)).write(f"{first.credentials}/scheduler.json")
    assert find_scheduler("tls://10.0.0.1:1") is None  # its keys open nothing any more
    with pytest.raises(CommError, match="of this machine, which is gone"):
        SchedulerFile.read(f"{first.credentials}/scheduler.json")
    other = publish(credentials, addresses=["tls://10.0.0.1:2"])
    other._replace(pid=int(gone), host="elsewhere").write(f"{other.credentials}/scheduler.json")
    assert find_scheduler("tls://10.0.0.1:2") is not None
    third = publish(credentials, addresses=["tls://10.0.0.1:3"])
    again = publish(credentials, addresses=["tls://10.0.0.1:3"])
    assert not Path(str(first.credentials)).exists()
    assert Path(str(other.credentials)).exists()
    assert third.credentials == again.credentials


def test_a_state_folder_that_cannot_be_used_is_a_clear_error(
    state: Path, credentials: Credentials
) -> None:
    """It says which, why, and what to set."""
    (state / "schedulers").write_text("in the way")
    with pytest.raises((ConfigError, AuthenticationFailed), match="schedulers"):
        publish(credentials, addresses=["tls://10.0.0.1:1"])


def test_the_state_folder_follows_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own variable first, then XDG's, then the home folder."""
    monkeypatch.delenv("JOBQUEUE_STATE_DIRECTORY", raising=False)
    assert state_directory() == Path.home() / ".local/state/jobqueue"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_directory() == Path("/xdg/jobqueue")
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", "/own")
    assert state_directory() == Path("/own")
