"""Credentials on disk: private, whole, and believed only if nobody else touched them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.errors import AuthenticationFailed

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def saved(folder: Path, credentials: Credentials) -> Path:
    """A folder with saved credentials."""
    credentials.save(folder / "credentials")
    return folder / "credentials"


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_each_role_is_read_back_as_it_was_made(
    saved: Path, credentials: Credentials, role: str
) -> None:
    """What `load` gives equals what `create` made, without the other roles."""
    loaded = Credentials.load(saved / role)
    assert loaded == {"scheduler": credentials, **credentials.others}[role]
    assert loaded.role == role
    assert loaded.others == {}


def test_everything_on_disk_is_private(saved: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    modes = {stat.S_IMODE(path.stat().st_mode) for path in saved.rglob("*") if path.is_file()}
    assert modes == {0o600}
    folders = [saved, *(path for path in saved.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_a_workers_folder_holds_what_workers_need_and_no_more(
    saved: Path, credentials: Credentials
) -> None:
    """No key but the worker's own is in it, and the authority's key is nowhere."""
    worker = saved / "worker"
    names = {"identity", "authority.pem", "certificate.pem", "key.pem", "token"}
    assert {path.name for path in worker.iterdir()} == names
    everything = b"".join(path.read_bytes() for path in worker.iterdir())
    assert everything.count(b"PRIVATE KEY-----\n") == 2  # one key: its begin and its end
    assert credentials.key not in everything
    keys = b"".join(path.read_bytes() for path in saved.rglob("*") if path.is_file())
    assert keys.count(b"BEGIN PRIVATE KEY") == 3


def test_secrets_are_not_shown(credentials: Credentials) -> None:
    """Credentials may be logged."""
    text = repr(credentials)
    assert text == "Credentials(cluster='test cluster', role='scheduler')"


def test_saving_again_replaces_what_is_there(saved: Path) -> None:
    """A new cluster of the same name takes the folder over, files whole at every moment."""
    Credentials.create("second").save(saved)
    assert Credentials.load(saved / "client").cluster == "second"
    assert len(list((saved / "client").iterdir())) == 5


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
@pytest.mark.parametrize("name", ["key.pem", "authority.pem", "token", "identity"])
def test_a_file_that_others_may_open_is_refused(saved: Path, name: str, mode: int) -> None:
    """The error says which file, its mode and the remedy; even for the public parts, which
    others could have exchanged."""
    (saved / "worker" / name).chmod(mode)
    path = saved / "worker" / name
    with pytest.raises(AuthenticationFailed, match=f"{path} has mode {mode:04o}.*chmod 600 {path}"):
        Credentials.load(saved / "worker")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o777])
def test_a_folder_that_others_may_enter_is_refused(saved: Path, mode: int) -> None:
    """Files in it could be exchanged, or were read."""
    (saved / "worker").chmod(mode)
    with pytest.raises(AuthenticationFailed, match=f"has mode {mode:04o}.*chmod 700 {saved}"):
        Credentials.load(saved / "worker")


@root_only
@pytest.mark.parametrize("name", ["", "key.pem", "certificate.pem"])
def test_what_belongs_to_somebody_else_is_refused(saved: Path, name: str) -> None:
    """Neither a folder nor a file of another user's is believed, though root could read it."""
    os.chown(saved / "worker" / name, 65534, -1)
    with pytest.raises(AuthenticationFailed, match=r"belongs to uid 65534, this process runs as 0"):
        Credentials.load(saved / "worker")


@root_only
def test_a_link_to_somebody_elses_file_is_refused(saved: Path, folder: Path) -> None:
    """What counts is the file that is read."""
    theirs = folder / "theirs"
    theirs.write_bytes(b"key")
    theirs.chmod(0o600)
    os.chown(theirs, 65534, -1)
    key = saved / "worker" / "key.pem"
    key.unlink()
    key.symlink_to(theirs)
    with pytest.raises(AuthenticationFailed, match="belongs to uid 65534"):
        Credentials.load(saved / "worker")


def test_a_link_to_ones_own_private_folder_is_fine(saved: Path, folder: Path) -> None:
    """Home folders are often behind a link."""
    (folder / "link").symlink_to(saved / "worker")
    assert Credentials.load(folder / "link").role == "worker"


@pytest.mark.parametrize("name", ["key.pem", "identity", "token"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    """The error says which file is missing, and what the folder must be."""
    (saved / "worker" / name).unlink()
    with pytest.raises(AuthenticationFailed, match=f"cannot read .*{name}: No such file"):
        Credentials.load(saved / "worker")


def test_the_folder_above_is_no_roles_folder(saved: Path) -> None:
    """Passing the whole folder says that one role's is needed."""
    with pytest.raises(AuthenticationFailed, match="one role's folder"):
        Credentials.load(saved)


def test_no_folder_at_all_is_one_clear_error(folder: Path) -> None:
    """So is a path that does not exist, on this machine, or is a file."""
    with pytest.raises(AuthenticationFailed, match=r"No such file.*that this machine sees"):
        Credentials.load(folder / "nowhere")
    (folder / "file").touch()
    with pytest.raises(AuthenticationFailed, match="is not a folder"):
        Credentials.load(folder / "file")


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"cluster": "x"}'])
def test_a_broken_identity_is_named(saved: Path, text: str) -> None:
    """Half-written or foreign files are no traceback."""
    (saved / "worker" / "identity").write_text(text)
    with pytest.raises(AuthenticationFailed, match="identity is broken"):
        Credentials.load(saved / "worker")


def test_a_pipe_in_place_of_a_file_does_not_block(saved: Path) -> None:
    """Reading what somebody put there never waits."""
    key = saved / "worker" / "key.pem"
    key.unlink()
    os.mkfifo(key, 0o600)
    with pytest.raises(AuthenticationFailed, match="is not a regular file"):
        Credentials.load(saved / "worker")


def test_saving_into_a_folder_that_others_may_enter_is_refused(
    folder: Path, credentials: Credentials
) -> None:
    """Nothing secret is written where it could be read."""
    (folder / "open").mkdir(mode=0o755)
    with pytest.raises(AuthenticationFailed, match="has mode 0755"):
        credentials.save(folder / "open")
    assert list((folder / "open").iterdir()) == []


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both where credentials are written and where they are read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    Credentials.create("c").others["client"].save("~/shared")
    assert Credentials.load("~/shared/client").role == "client"
