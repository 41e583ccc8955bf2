"""Where the secrets of a cluster are, where they are not, and who is believed without them."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.comm import Credentials, listen

MINE = {"cores": 1, "memory": "1GB"}


@pytest.fixture
def secrets() -> Any:
    """What nobody else may see of a cluster's credentials, in whatever form it may be shown."""

    def find(credentials: Credentials) -> list[bytes]:
        found = []
        for one in (credentials, *credentials.others.values()):
            lines = one.key.splitlines()
            found += [line for line in lines if len(line) > 20 and b"---" not in line]
            token = one.token
            found += [token, token.hex().encode(), base64.b64encode(token), repr(token).encode()]
        return found

    return find


def shown_by(process: psutil.Process) -> bytes:
    """What every user of a machine may see of a process, or the owner's other processes."""
    folder = Path(f"/proc/{process.pid}")
    return (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()


@pytest.mark.parametrize("lab", ["tls", "tcp"], indirect=True)
def test_no_secret_is_shown(lab: Any, secrets: Any) -> None:
    """Not in the job script, nor by the processes, nor in a log or another file."""
    workers = lab.workers()
    agents = {worker.parent() for worker in workers}
    shown = {str(process): shown_by(process) for process in {*workers, *agents, psutil.Process()}}
    shown["script"] = lab.cluster.job_script().encode()
    for path in Path(os.environ["HOME"]).rglob("*"):
        if path.is_file() and "credentials" not in path.parts:
            shown[str(path)] = path.read_bytes()
    assert [name for name in shown if name.endswith("job.sh")], "the script as it was submitted"
    assert [name for name in shown if name.endswith(".err")], "the job's log"
    assert [name for name in shown if "--credentials" in shown[name].decode(errors="replace")]
    for name, content in shown.items():
        assert not [secret for secret in secrets(lab.cluster.credentials) if secret in content], (
            name
        )


def test_credentials_are_for_their_owner_alone_and_go_with_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files 0600 in folders 0700, the worker's alone, whatever umask its user has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    before = os.umask(0)
    try:
        with EmbeddedCluster(**MINE) as cluster:
            [folder] = (tmp_path / "state").glob("*/credentials")
            assert str(folder / "worker") in cluster.job_script()
            modes = {
                path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
                for path in (folder, *folder.rglob("*"))
            }
            folders = {name: mode for name, mode in modes.items() if (folder / name).is_dir()}
            assert folders == {".": 0o700, "worker": 0o700}
            assert {mode for name, mode in modes.items() if name not in folders} == {0o600}
            assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert list((tmp_path / "state").iterdir()) == []


def agent(address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a job agent, as a job would, until it gives up."""
    options = ["--credentials", str(folder), "--name", "a", "--death-timeout", "20"]
    return subprocess.run(
        [sys.executable, "-m", "jobqueue.worker", address, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copied(lab: Any, tmp_path: Path) -> Path:
    """A copy of the workers' credentials of the lab."""
    [folder] = Path(os.environ["JOBQUEUE_STATE_DIRECTORY"]).glob("*/credentials/worker")
    return Path(shutil.copytree(folder, tmp_path / "worker"))


@pytest.mark.parametrize("lab", ["tls"], indirect=True)
@pytest.mark.parametrize(("name", "mode"), [("key.pem", 0o640), ("token", 0o604), (".", 0o750)])
def test_credentials_that_others_may_have_read_are_not_used(
    lab: Any, copied: Path, name: str, mode: int
) -> None:
    """The worker does not start, says which file it is, and is not tried again."""
    (copied / name).chmod(mode)
    with lab.at_work():
        done = agent(lab.address, copied)
    assert done.returncode == 4
    last = done.stderr.splitlines()[-1]
    assert "ends exit_code=4" in last
    assert f"{(copied / name)} has mode {mode:04o}, so that others may have read" in last
    assert done.stderr.count("worker started") == 1


@pytest.mark.parametrize("lab", ["tls"], indirect=True)
def test_credentials_of_another_cluster_end_the_worker(lab: Any, tmp_path: Path) -> None:
    """With its own exit status and one clear line."""
    Credentials.create(lab.cluster.name).save(tmp_path / "other")
    with lab.at_work():
        done = agent(lab.address, tmp_path / "other" / "worker")
    assert done.returncode == 4
    assert "both sides need the credentials of the same cluster" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("lab", ["tls"], indirect=True)
def test_a_worker_that_poses_as_the_scheduler_is_not_believed(lab: Any, copied: Path) -> None:
    """Whoever has a worker's credentials cannot make other workers run his tasks."""

    async def pose() -> subprocess.CompletedProcess[str]:
        listener = await listen(
            "tls://127.0.0.1:0",
            hello={"role": "scheduler", "name": lab.cluster.name},
            credentials=Credentials.load(copied),
            on_comm=lambda comm: pytest.fail("it was believed"),
        )
        try:
            return await asyncio.to_thread(agent, listener.address, copied)
        finally:
            listener.close()
            await listener.wait_closed()

    with lab.at_work():
        done = asyncio.run(pose())
    assert done.returncode == 4
    assert "the peer's certificate" in done.stderr.splitlines()[-1]
