"""Each batch system as a pool uses it, with stand-ins on PATH that print what the real ones did.

The texts are those of the conformance suite; what is tried here is the way from a command to what a
pool hears of it: standard input, exit status, banners, refusals, servers that are down or hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch.answers import BatchState
from jobqueue.cluster.batch_launcher import BatchLauncher
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.jobs import Phase
from jobqueue.cluster.ledger import Ledger
from jobqueue.errors import BatchSystemError, CommandTimeout, SubmissionRejected

BANNER = "*** Stampede2: 2 maintenance windows in 2026 ***\nWelcome, job 7!\n"
SCRIPT = "#!/bin/sh\n#CONDOR RequestCpus = 1\necho of this test\n"
PHASES = {BatchState.PENDING: Phase.PENDING, BatchState.RUNNING: Phase.RUNNING}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(command, (status, stdout, stderr))`: put a stand-in on PATH, which has no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(command: str, said: tuple[int, str, str], *, before: str = "") -> None:
        stem = folder / command
        stem.with_suffix(".stdout").write_text(said[1])
        stem.with_suffix(".stderr").write_text(said[2])
        stem.write_text(
            f'#!/bin/sh\n{before}\necho "$@" >>{stem}.calls\n/bin/cat >{stem}.stdin\n'
            f"/bin/cat {stem}.stdout\n/bin/cat {stem}.stderr >&2\nexit {said[0]}\n"
        )
        stem.chmod(0o755)

    return put


@pytest.fixture
def launcher(system: Any, install: Install, tmp_path: Path) -> BatchLauncher:
    """A pool's launcher, to whose queries the batch system answers that there are no jobs."""
    install(status_command(system), system.nothing[0])
    files = JobFiles(lambda array: SCRIPT, logs=lambda job_id: (), exit_record=lambda job_id: None)
    ledger = Ledger.create(cluster="c", system=system.adapter.name, parent=tmp_path / "state")
    return BatchLauncher(system.adapter, files, ledger, BatchSystem(system.adapter, timeout=20))


def status_command(system: Any) -> str:
    return str(system.adapter.status_query([]).argv[0])


def submit_command(system: Any) -> str:
    return str(system.adapter.submit_argv("job.sh")[0])


def test_jobs_are_submitted_at_once(
    system: Any, launcher: BatchLauncher, install: Install, tmp_path: Path
) -> None:
    """One command, whose ids are found among what a site prints; the ledger holds them."""
    stdout, count, (first, last) = system.submitted[-1]
    install(submit_command(system), (0, f"{BANNER}{stdout}", BANNER))
    submission = asyncio.run(launcher.submit(count))
    assert submission.error is None
    assert (submission.job_ids[0], submission.job_ids[-1]) == (first, last)
    assert launcher.ledger.entry.jobs == list(submission.job_ids)
    stem = tmp_path / "bin" / submit_command(system)
    assert len(stem.with_suffix(".calls").read_text().splitlines()) == 1
    said = stem.with_suffix(".calls").read_text() + stem.with_suffix(".stdin").read_text()
    assert "of this test" in said or str(launcher.script) in said


@pytest.mark.recorded("rejected")
def test_a_refusal_reaches_whoever_waits(
    system: Any, recorded: Any, launcher: BatchLauncher, install: Install
) -> None:
    """In the batch system's words, with the script that it refused; nothing is in the ledger."""
    said, words = recorded
    install(submit_command(system), said)
    error = asyncio.run(launcher.submit(1)).error
    assert isinstance(error, SubmissionRejected)
    assert words in str(error)
    assert error.script is not None
    assert Path(error.script).read_text() == SCRIPT
    assert launcher.ledger.entry.jobs == []


@pytest.mark.recorded("statuses")
def test_pending_and_running_jobs_are_known(
    system: Any, recorded: Any, launcher: BatchLauncher, install: Install
) -> None:
    """Phase, reason and node of each job are in the pool's report."""
    said, expected = recorded
    install(status_command(system), (said[0], said[1], said[2]))
    alive = {status.job_id: status for status in expected if status.state in PHASES}
    reports = {report.job_id: report for report in asyncio.run(launcher.query(list(alive)))}
    for job_id, status in alive.items():
        assert reports[job_id].phase is PHASES[status.state]
        assert reports[job_id].node == status.node
        assert status.reason in reports[job_id].reason


@pytest.mark.recorded("down")
def test_a_server_that_is_down_says_nothing_about_jobs(
    system: Any, recorded: Any, launcher: BatchLauncher, install: Install
) -> None:
    """The query raises; no job is taken for ended."""
    install(status_command(system), recorded)
    with pytest.raises(BatchSystemError):
        asyncio.run(launcher.query(["0.server"]))


def test_a_server_that_hangs(system: Any, launcher: BatchLauncher, install: Install) -> None:
    """Each command has a time limit, after which it is ended, and said to have hung."""
    launcher.source.timeout = 0.3
    install(submit_command(system), (0, "", ""), before="/bin/sleep 60")
    if submit_command(system) != status_command(system):
        error = asyncio.run(launcher.submit(1)).error
        assert isinstance(error, CommandTimeout)
        assert error.script is not None
    install(status_command(system), (0, "", ""), before="/bin/sleep 60")
    with pytest.raises(CommandTimeout):
        asyncio.run(launcher.query(["0.server"]))


@pytest.mark.recorded("cancel_failed")
def test_jobs_are_cancelled_at_once(
    system: Any, recorded: Any, launcher: BatchLauncher, install: Install, tmp_path: Path
) -> None:
    """Many jobs are one command; what it could not do is told in its own words."""
    ids, argv = system.cancelled
    install(argv[0], system.cancel_fine[-1])
    asyncio.run(launcher.source.cancel(ids))
    calls = (tmp_path / "bin" / argv[0]).with_suffix(".calls").read_text()
    assert calls == " ".join(argv[1:]) + "\n"
    install(argv[0], recorded)
    with pytest.raises(BatchSystemError, match=argv[0]):
        asyncio.run(launcher.source.cancel(ids))
