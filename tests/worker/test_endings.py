"""What an agent concludes from the end of a worker process."""

from __future__ import annotations

import pytest

from jobqueue.worker.endings import OUT_OF_MEMORY, Ending, Seen, judge, last_lines
from jobqueue.worker.exit_codes import ExitCode

USED = (ExitCode.MEMORY, "used 960 MiB of its 1000 MiB memory limit (96 %)")
ALONE = (ExitCode.NO_SCHEDULER, "no scheduler for 60 s; …")


def ending(status: int, **seen: object) -> Ending:
    return judge(Seen(status, **{"worked": True, **seen}), death_timeout=60.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [0, 3, 4, 6])
def test_an_end_in_order_is_no_news(status: int) -> None:
    """The scheduler knows, or is not there; nobody is to blame."""
    found = ending(status, signed_off=status)
    assert (found.status, found.report, found.blame) == (status, False, False)
    late = ending(-11, signed_off=status)
    assert late == found, "a fault while the interpreter ends changes nothing"


@pytest.mark.parametrize("status", [0, 3, 4, 6, 7])
def test_a_task_that_ends_the_process_is_found_out(status: int) -> None:
    """os._exit(0) is a crash, and the task that ran is to blame."""
    found = ending(status)
    assert found.status == ExitCode.CRASHED
    assert found.cause == f"exit {status}, by no order: a task has ended the process"
    assert found.report
    assert found.blame


@pytest.mark.parametrize(
    ("status", "cause"),
    [(1, "exit 1: crashed"), (-11, "killed by signal 11 (SIGSEGV)"), (139, "exit 139: crashed"),
     (-9, "killed by signal 9 (SIGKILL)")],
)  # fmt: skip
def test_crashes_are_reported_and_blamed(status: int, cause: str) -> None:
    """Whoever sends SIGKILL does not say why; a batch system does it for memory."""
    assert ending(status) == Ending(status, cause, True, True)


def test_memory_is_named() -> None:
    """Be it the agent that killed for it, or the kernel."""
    assert ending(-9, verdict=USED) == Ending(ExitCode.MEMORY, USED[1], True, True)
    assert ending(-9, out_of_memory=True) == Ending(-9, OUT_OF_MEMORY, True, True)
    assert ending(-11, out_of_memory=True).cause == "killed by signal 11 (SIGSEGV)"


def test_nobody_is_blamed_for_orders() -> None:
    """SIGTERM from outside, the end of the job, a scheduler that was gone."""
    assert ending(-15) == Ending(-15, "killed by signal 15 (SIGTERM)", True, False)
    killed = ending(-9, ending="asked to end by SIGTERM")
    assert killed.cause == "killed by signal 9 (SIGKILL); its job ended: asked to end by SIGTERM"
    assert not killed.blame
    assert ending(-11, ending="asked to end by SIGTERM").blame
    alone = ending(-9, verdict=ALONE)
    assert (alone.status, alone.report, alone.blame) == (ExitCode.NO_SCHEDULER, False, False)


def test_workers_that_never_worked() -> None:
    """Their statuses are believed, since no task can have made them up; crashes are told of all
    the same: perhaps the scheduler knew the worker before it knew itself."""
    for status in (0, 3, 4):
        found = ending(status, worked=False)
        assert (found.status, found.report) == (status, False)
    for status in (1, -9, -11):
        assert ending(status, worked=False) == ending(status)


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (Seen(-11, worked=True), ["said"]),
        (Seen(3, signed_off=3), ["said"]),
        (Seen(0, signed_off=0), []),
        (Seen(-15), []),
        (Seen(-9, verdict=USED), ["said"]),
        (Seen(-9, verdict=ALONE), [ALONE[1]]),
    ],
)
def test_last_words_are_kept_where_they_explain_something(seen: Seen, lines: list[str]) -> None:
    """Those of a worker that ended in order do not; one that was cut off could not say it."""
    assert last_lines(seen, judge(seen, death_timeout=60.0), ["said"]) == lines
