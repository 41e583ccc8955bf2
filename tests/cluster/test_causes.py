"""Why a job ended: three sources, of which each may know more than the others."""

from __future__ import annotations

import pytest

from jobqueue.cluster.causes import LastWords, Verdict, judge, worst
from jobqueue.worker.agent_log import log_line

TERMINATED = LastWords(143, "asked to end by SIGTERM")
LATE = LastWords(143, "asked to end by SIGTERM", "walltime")
DRAINED = LastWords(0, "its walltime is nearly over", "walltime")
GAVE_UP = LastWords(5, "its workers crash again and again", "crashed")
DONE = LastWords(0, "all workers were told to end", "completed")
TOO_LARGE = LastWords(5, "its workers took too much memory", "out of memory")
TIME_LIMIT = (
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-20T15:00:00 DUE TO TIME LIMIT ***"
)
STEP = "slurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-20T15:00:00 ***"


@pytest.mark.parametrize(
    ("batch", "agent", "log", "cause"),
    [
        # who has ended the job from outside, the batch system knows
        ("walltime", TERMINATED, "", "walltime"),
        ("preempted", TERMINATED, "", "preempted"),
        ("node failed", None, "", "node failed"),
        ("cancelled", TERMINATED, "", "cancelled"),
        ("out of memory", None, "", "out of memory"),
        # why an agent ended by itself, only the agent knows
        ("crashed", DRAINED, "", "walltime"),
        ("completed", DRAINED, "", "walltime"),
        ("cancelled", DRAINED, "", "walltime"),
        ("", DRAINED, "", "walltime"),
        # a signal near the end of its time is a guess, unless nobody knows better
        ("cancelled", LATE, "", "cancelled"),
        ("cancelled", LATE, TIME_LIMIT, "walltime"),
        ("crashed", LATE, "", "walltime"),
        ("", LATE, "", "walltime"),
        ("crashed", GAVE_UP, "", "crashed"),
        ("crashed", TOO_LARGE, "", "out of memory"),
        ("completed", DONE, "", "completed"),
        ("", DONE, "", "completed"),
        # one worker of several was killed for its memory, and started again
        ("out of memory", DONE, "", "completed"),
        ("out of memory", DRAINED, "", "walltime"),
        ("out of memory", GAVE_UP, "", "out of memory"),
        # the batch system has forgotten the job, or knows an exit status and no more
        ("crashed", TERMINATED, TIME_LIMIT, "walltime"),
        ("", None, TIME_LIMIT, "walltime"),
        ("", None, "=>> PBS: job killed: walltime 21 exceeded limit 10", "walltime"),
        ("", None, "=>> PBS: job killed: mem 2kb exceeded limit 1kb", "out of memory"),
        ("", None, "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.",
         "out of memory"),
        ("crashed", None, "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=7.batch.",
         "out of memory"),
        ("crashed", None, "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026 DUE TO PREEMPTION",
         "preempted"),
        # the agent of another node was killed, and Slurm ended the step that they are
        ("crashed", TERMINATED, f"{STEP}\nsrun: error: n2: task 1: Killed", "crashed"),
        ("", TERMINATED, f"srun: error: n2: task 1: Exited with exit code 5\n{STEP}", "crashed"),
        ("crashed", TERMINATED, f"{STEP}\nsrun: error: n[1-2]: tasks 0-1: Terminated", "cancelled"),
        # a signal, and nobody says whose
        ("crashed", TERMINATED, "", "cancelled"),
        ("", TERMINATED, "", "cancelled"),
        # nothing but the batch system's word, and not even that
        ("crashed", None, "Traceback", "crashed"),
        ("completed", None, "", "completed"),
        ("", None, "", ""),
    ],
)  # fmt: skip
def test_whoever_knows_is_believed(
    batch: str, agent: LastWords | None, log: str, cause: str
) -> None:
    """What the batch system says, what the agent wrote and what the log shows give one cause."""
    assert judge(batch, [agent] if agent else [], log_tail=log).cause == cause


def test_a_cause_comes_with_its_reason() -> None:
    """In the words of whoever knows; what says no more than the cause is left out."""
    tried = "10.1.2.3:4000 refused, 10.0.0.5:4000 timed out"
    lost = LastWords(3, "no scheduler within the death timeout", "crashed", tried)
    words = f"no scheduler within the death timeout; tried {tried}"
    assert judge("crashed", [lost], reason="NonZeroExitCode") == Verdict("crashed", words)
    assert judge("crashed", log_tail=f"hello\n{TIME_LIMIT}\n") == Verdict("walltime", TIME_LIMIT)
    assert judge("cancelled", reason="via condor_rm (by user ann)") == Verdict(
        "cancelled", "via condor_rm (by user ann)"
    )
    assert judge("crashed", reason="NonZeroExitCode") == Verdict("crashed")
    assert judge("node failed", reason="BeginTime") == Verdict("node failed")
    assert judge("completed", [DONE]) == Verdict("completed")


def test_the_log_of_an_earlier_run_tells_nothing() -> None:
    """A job that was preempted, requeued, and crashes then, has not been preempted once more."""
    preempted = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-20 DUE TO PREEMPTION ***"
    begins = f"2026-11-20T15:00:00Z {log_line('started', host='n1', job='7', workers=2)}"
    again = f"{begins}\n{preempted}\n{begins}\nSegmentation fault"
    assert judge("crashed", log_tail=again) == Verdict("crashed")
    assert judge("", log_tail=f"{again}\n{preempted}").cause == "preempted"
    second_node = log_line("started", host="n2", job="7", name="j-1", rank=1, python="3.11")
    late = f"{begins}\n{preempted}\n{second_node}"
    assert judge("crashed", log_tail=late).cause == "preempted"


def test_of_several_nodes_the_worst_end_counts() -> None:
    """One agent that ran out of memory explains why the others were ended."""
    assert worst([DONE, TERMINATED, TOO_LARGE]) is TOO_LARGE
    assert worst([DONE, TERMINATED]) is TERMINATED
    assert worst([DRAINED, DONE]) is DRAINED
    assert worst([]) is None
    strange = LastWords(9, "what a later version may write", "evicted")
    assert worst([DONE, strange]) is strange
