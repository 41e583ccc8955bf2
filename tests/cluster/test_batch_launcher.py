"""Jobs by way of a batch system: the embedded one, and commands that misbehave."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch.answers import BatchState, EndCause, JobStatus
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.embedded import PREFIX
from jobqueue.batch.lsf import LSFAdapter
from jobqueue.batch.moab import MoabAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster import doubts
from jobqueue.cluster.batch_launcher import BatchLauncher, report_of
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.ledger import Ledger
from jobqueue.errors import (
    BatchSystemError,
    CommandNotFound,
    CommandTimeout,
    SubmissionRejected,
)

SLURM = SlurmAdapter()
Make = Callable[..., BatchLauncher]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`make(body)`: a launcher whose job script runs these lines of shell."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(tmp_path / "embedded"))

    def make(
        body: str,
        *,
        directives: str = "",
        prefix: Any = PREFIX,
        adapter: BatchAdapter = SLURM,
        **more: Any,
    ) -> BatchLauncher:
        def render(array: bool) -> str:
            name = "%A_%a" if array else "%J"
            return f"#!/bin/sh\n#SBATCH -o {tmp_path}/{name}.out\n{directives}\n{body}\n"

        files = JobFiles(
            render=render,
            logs=lambda job_id: (f"{tmp_path}/{job_id}.out",),
            exit_record=lambda job_id: f"{tmp_path}/{job_id}.json",
        )
        ledger = Ledger.create(cluster="c", system="slurm")
        source = BatchSystem(adapter, prefix=prefix, **more)
        return BatchLauncher(adapter, files, ledger, source)

    return make


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`commands(name, body)`: put a command of shell text on PATH; its calls are in NAME.log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name: str, body: str) -> Path:
        log = tmp_path / f"{name}.log"
        (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {log}\n{body}\n')
        (folder / name).chmod(0o755)
        return log

    return put


async def ended(launcher: BatchLauncher, job_ids: tuple[str, ...]) -> dict[str, JobReport]:
    """Ask until all of them have ended; returns the last word about each."""
    last: dict[str, JobReport] = {}
    async with asyncio.timeout(30):
        while len(last) < len(job_ids):
            reports = await launcher.query([i for i in job_ids if i not in last])
            over = (Phase.ENDED, Phase.MISSING)
            last |= {report.job_id: report for report in reports if report.phase in over}
    return last


def test_many_jobs_are_one_submission_and_each_tells_its_end(make: Make, tmp_path: Path) -> None:
    """An array; exit codes, causes and logs are those of its elements."""
    launcher = make('echo "element $SLURM_ARRAY_TASK_ID"; exit $SLURM_ARRAY_TASK_ID')

    async def main() -> None:
        submission = await launcher.submit(3)
        assert submission.error is None
        assert len({job_id.partition("_")[0] for job_id in submission.job_ids}) == 1
        assert launcher.ledger.entry.jobs == list(submission.job_ids)
        reports = (await ended(launcher, submission.job_ids)).values()
        assert [report.exit_code for report in reports] == [0, 1, 2]
        assert [report.cause for report in reports] == ["completed", "crashed", "crashed"]
        assert [report.log_tail for report in reports] == [f"element {i}" for i in range(3)]
        await launcher.ended(submission.job_ids)
        assert launcher.ledger.entry.jobs == []

    asyncio.run(main())


def test_running_and_pending_jobs_are_cancelled_in_one_command(make: Make) -> None:
    """More jobs than nodes: those that wait leave no trace, the others end."""
    launcher = make("exec sleep 600")

    async def main() -> None:
        ids = (await launcher.submit(6)).job_ids
        async with asyncio.timeout(30):
            while [r.phase for r in await launcher.query(ids)].count(Phase.RUNNING) < 4:
                pass
        await launcher.source.cancel(ids)
        reports = await ended(launcher, ids)
        phases = [report.phase for report in reports.values()]
        assert sorted(phases) == [Phase.ENDED] * 4 + [Phase.MISSING] * 2

    asyncio.run(main())


def test_no_two_pools_write_the_same_script(make: Make, commands: Any) -> None:
    """They submit side by side: not even a pool called "array" may overwrite an array's script."""
    commands("sbatch", "echo 7")
    one = make("true", prefix=())

    async def main() -> None:
        scripts = []
        for pool in ("default", "array", "gpu", "gpu-array"):
            launcher = BatchLauncher(one.adapter, one.files, one.ledger, one.source, pool=pool)
            for count in (1, 2):
                await launcher.submit(count)
                scripts.append(launcher.script)
        assert len(set(scripts)) == len(scripts)

    asyncio.run(main())


def test_a_rejection_keeps_the_batch_systems_words_and_the_script(make: Make) -> None:
    """Nothing is in doubt after it, and nothing in the ledger."""
    launcher = make("true", directives="#SBATCH -p nosuch")

    error = asyncio.run(launcher.submit(1)).error
    assert isinstance(error, SubmissionRejected)
    assert "invalid partition specified: nosuch" in error.output
    assert error.script is not None
    assert "#SBATCH -p nosuch" in Path(error.script).read_text()
    assert Path(error.script).stat().st_mode & 0o077 == 0
    assert not launcher.in_doubt
    assert (launcher.ledger.entry.jobs, launcher.ledger.entry.doubts) == ([], [])


def test_a_job_killed_by_a_signal_has_the_exit_code_that_shells_give_it(make: Make) -> None:
    """Slurm says `0:9`, of which the 0 alone would be told as a good end."""
    launcher = make("true", prefix=())
    status = JobStatus(
        "7", BatchState.ENDED, "FAILED", cause=EndCause.CRASHED, exit_code=0, signal=9
    )
    [report] = asyncio.run(launcher.read({"7": status}, ["7"]))
    assert (report.cause, report.exit_code) == ("crashed", 137)


def test_the_agents_own_record_explains_an_end(make: Make, tmp_path: Path) -> None:
    """Where the batch system saw only an exit status, the agent knows more."""
    launcher = make(
        f'echo \'{{"exit_code": 3, "cause": "no scheduler"}}\' > {tmp_path}/$SLURM_JOB_ID.json\n'
        "exit 3"
    )

    async def main() -> None:
        ids = (await launcher.submit(1)).job_ids
        [report] = (await ended(launcher, ids)).values()
        assert (report.cause, report.reason, report.exit_code) == ("crashed", "no scheduler", 3)

    asyncio.run(main())


def test_without_the_commands_nothing_is_tried(make: Make, monkeypatch: Any) -> None:
    """check() says so at once, submit() in its answer."""
    launcher = make("true", prefix=())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CommandNotFound, match="sbatch is not on PATH"):
        launcher.check()
    submission = asyncio.run(launcher.submit(1))
    assert isinstance(submission.error, CommandNotFound)


def test_a_job_accepted_without_an_answer_is_found_before_it_is_submitted_again(
    make: Make, commands: Any
) -> None:
    """sbatch hangs although the job is in the queue: the second submit() finds it by its mark."""
    log = commands("sbatch", "exec sleep 60")
    launcher = make("true", prefix=(), timeout=0.3)

    async def main() -> None:
        submission = await launcher.submit(1)
        assert isinstance(submission.error, CommandTimeout)
        assert submission.error.script == launcher.script
        assert launcher.in_doubt
        [tag] = launcher.ledger.entry.doubts
        assert tag in log.read_text()
        launcher.source.timeout = 30
        commands("squeue", f'echo "7|PENDING|Priority|N/A||{tag}"')
        assert (await launcher.submit(1)).job_ids == ("7",)
        assert not launcher.in_doubt
        assert launcher.ledger.entry.jobs == ["7"]
        assert len(log.read_text().splitlines()) == 1

    asyncio.run(main())


def test_where_queries_name_jobs_all_are_asked_for_while_one_is_looked_for(
    make: Make, commands: Any
) -> None:
    """LSF's bsub hung, and the job is there: its name tells, beside the jobs that are known."""
    accepted = commands("bsub", "cat > /dev/null; exec sleep 60")
    known = '{"JOBID": "3", "JOBINDEX": "0", "STAT": "RUN"}'
    asked = commands("bjobs", f"printf '{{\\n\"RECORDS\": [{known}]}}'")
    launcher = make("true", prefix=(), timeout=0.3, adapter=LSFAdapter(job_name="grid"))

    async def main() -> None:
        assert isinstance((await launcher.submit(1)).error, CommandTimeout)
        [tag] = launcher.ledger.entry.doubts
        assert f"-J grid-{tag}" in accepted.read_text()
        launcher.source.timeout = 30
        found = f'{{"JOBID": "7", "JOBINDEX": "0", "STAT": "PEND", "JOB_NAME": "grid-{tag}"}}'
        commands("bjobs", f"printf '{{\\n\"RECORDS\": [{known}, {found}]}}'")
        reports = await launcher.query(["3"])
        assert {report.job_id for report in reports} == {"3", "7"}
        questions = asked.read_text().splitlines()
        assert [line.endswith(" 3") for line in questions] == [True, False]
        assert launcher.ledger.entry.jobs == ["7"]
        await launcher.query(["3", "7"])
        assert asked.read_text().splitlines()[-1].endswith(" 3 7"), "by id again"

    asyncio.run(main())


def test_where_no_mark_is_shown_the_error_says_how_to_look(make: Make, commands: Any) -> None:
    """Moab's msub hung: only the user can tell whether the job is there."""
    commands("msub", "exec sleep 60")
    launcher = make("true", prefix=(), timeout=0.3, adapter=MoabAdapter())
    error = asyncio.run(launcher.submit(1)).error
    assert isinstance(error, CommandTimeout)
    assert "may have been accepted all the same: look with `showq --xml`" in str(error)
    assert error.script == launcher.script


def test_a_controller_that_wakes_up_may_answer_in_the_wrong_order(
    make: Make, commands: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first answer does not show the job, a later one does: nothing is submitted twice."""
    monkeypatch.setattr(doubts, "SETTLING", 0.2)
    log = commands("sbatch", "echo 'Socket timed out on send/recv operation' >&2; exit 1")
    launcher = make("true", prefix=())

    async def main() -> None:
        assert (await launcher.submit(1)).error is not None
        [tag] = launcher.ledger.entry.doubts
        late = f'[ -e {tmp_path}/asked ] && echo "7|PENDING|Priority|N/A||{tag}"'
        commands("squeue", f"{late}; touch {tmp_path}/asked; true")
        assert (await launcher.submit(1)).job_ids == ("7",)
        assert len(log.read_text().splitlines()) == 1

    asyncio.run(main())


def test_what_a_query_finds_while_a_submission_waits_is_not_submitted_again(
    make: Make, commands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is empty then: whoever counts jobs has them from the query."""
    monkeypatch.setattr(doubts, "SETTLING", 3.0)  # which a busy machine has for one squeue
    log = commands("sbatch", "echo 'Socket timed out on send/recv operation' >&2; exit 1")
    commands("squeue", "true")
    launcher = make("true", prefix=())

    async def main() -> None:
        assert (await launcher.submit(1)).error is not None
        [tag] = launcher.ledger.entry.doubts
        again = asyncio.create_task(launcher.submit(1))
        while launcher._doubts.settled_at() == float("inf"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        commands("squeue", f'echo "7|PENDING|Priority|N/A||{tag}"')
        assert [report.job_id for report in await launcher.query([])] == ["7"]
        assert (await again).job_ids == ()
        assert len(log.read_text().splitlines()) == 1

    asyncio.run(main())


def test_a_submission_that_was_lost_is_made_again(
    make: Make, commands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its job does not show for a while, another is submitted, and the first still watched."""
    monkeypatch.setattr(doubts, "SETTLING", 0.2)
    commands("sbatch", "echo 'Socket timed out on send/recv operation' >&2; exit 1")
    commands("squeue", "true")
    launcher = make("true", prefix=())

    async def main() -> None:
        assert (await launcher.submit(1)).error is not None
        commands("sbatch", "echo 8")
        assert (await launcher.submit(1)).job_ids == ("8",)
        assert launcher.in_doubt

    asyncio.run(main())


def test_a_job_in_doubt_is_found_by_a_query_as_well(make: Make, commands: Any) -> None:
    """Then nobody need want it any more: it is told of, so that it can be cancelled."""
    commands("sbatch", "echo 'Socket timed out on send/recv operation' >&2; exit 1")
    launcher = make("true", prefix=())

    async def main() -> None:
        assert isinstance((await launcher.submit(2)).error, SubmissionRejected)
        [tag] = launcher.ledger.entry.doubts
        commands("squeue", f'for i in 0 1; do echo "9_$i|PENDING|Priority|N/A||{tag}"; done')
        assert {report.job_id for report in await launcher.query([])} == {"9_0", "9_1"}
        assert launcher.ledger.entry.jobs == ["9_0", "9_1"]

    asyncio.run(main())


def test_a_job_that_was_found_is_told_of_though_its_finder_was_cancelled(
    make: Make,
) -> None:
    """At a cluster's end a query is broken off: what it has found is to be cancelled, too."""
    launcher = make("true", prefix=())
    status = JobStatus("7", BatchState.PENDING, raw_state="PENDING", tag="jobqueue-abc")

    async def main() -> None:
        launcher.look_for(["jobqueue-abc"])
        reading = asyncio.ensure_future(launcher.read({"7": status}, []))
        await asyncio.sleep(0)  # it has looked at the answer, and writes the ledger
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert launcher.in_doubt
        [report] = await launcher.read({"7": status}, [])
        assert report.job_id == "7"
        assert not launcher.in_doubt

    asyncio.run(main())


def test_a_ledger_that_cannot_be_written_loses_no_job(make: Make, commands: Any) -> None:
    """The disk is full when the batch system has accepted jobs: they are there all the same."""
    commands("sbatch", "echo 7")
    launcher = make("true", prefix=())

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    launcher.ledger.submitted = launcher.ledger.ended = full  # type: ignore[method-assign]

    async def main() -> None:
        submission = await launcher.submit(1)
        assert submission.error is None
        assert submission.job_ids == ("7",)
        await launcher.ended(["7"])

    asyncio.run(main())


def test_a_failed_query_says_nothing_about_jobs(make: Make, commands: Any) -> None:
    """It raises; no job is reported missing."""
    commands("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    launcher = make("true", prefix=())
    with pytest.raises(BatchSystemError, match="Unable to contact"):
        asyncio.run(launcher.query(["5"]))


def test_accounting_that_is_switched_off_is_asked_once(make: Make, commands: Any) -> None:
    """A site without it is a good neighbour's site too."""
    commands("squeue", "exit 0")
    log = commands("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    launcher = make("true", prefix=())

    async def main() -> None:
        for _ in range(3):
            [report] = await launcher.query(["5"])
            assert report.phase is Phase.MISSING
        assert len(log.read_text().splitlines()) == 1

    asyncio.run(main())


def test_accounting_that_was_down_is_asked_again(make: Make, commands: Any, tmp_path: Path) -> None:
    """Its daemon may be restarted while a cluster works: the next end is explained again."""
    launcher = make("true", prefix=())
    commands("squeue", "true")
    commands("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    refused = "sacct: error: Sending PersistInit msg: Connection refused"
    said = "echo '8|OUT_OF_MEMORY|0:125|None|n1'"
    down = tmp_path / "down"
    down.touch()
    commands("sacct", f"[ -e {down} ] && {{ echo '{refused}' >&2; exit 1; }}; {said}")

    async def main() -> None:
        assert await launcher.source.look(["7"]) == {}
        down.unlink()
        assert (await launcher.source.look(["8"]))["8"].cause is EndCause.OUT_OF_MEMORY

    asyncio.run(main())


@pytest.mark.parametrize(
    ("cause", "code", "signal", "told"),
    [
        (EndCause.CANCELLED, 0, 15, None),
        (EndCause.CANCELLED, 0, None, None),
        (EndCause.WALLTIME, 0, None, None),
        (EndCause.OUT_OF_MEMORY, 0, 125, None),
        (EndCause.CRASHED, 0, 9, 137),
        (EndCause.CRASHED, 3, None, 3),
        (EndCause.COMPLETED, 0, None, 0),
    ],
)
def test_zero_is_the_exit_code_of_a_good_end_alone(
    cause: EndCause, code: int, signal: int | None, told: int | None
) -> None:
    """Slurm writes it beside the signal of a job that was cancelled, or killed."""
    status = JobStatus("7", BatchState.ENDED, "ENDED", cause=cause, exit_code=code, signal=signal)
    assert report_of(status).exit_code == told


def test_a_cancellation_that_failed_is_an_error(make: Make, commands: Any) -> None:
    """In the batch system's words."""
    commands("scancel", "echo 'scancel: error: Kill job error on job id 5' >&2; exit 210")
    launcher = make("true", prefix=())
    with pytest.raises(BatchSystemError, match="Kill job error"):
        asyncio.run(launcher.source.cancel(["5"]))
