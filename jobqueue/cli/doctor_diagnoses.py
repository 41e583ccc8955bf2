"""What `jobqueue doctor` concludes from a job that did not come up: from its state, its last words,
and what the batch system said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobqueue.batch.hopeless import remedy_for
from jobqueue.cli.doctor_checks import SAME_PYTHON, SHARED, Finding, Verdict
from jobqueue.cluster.jobs import WAITING, JobRecord
from jobqueue.errors import JobQueueError, WorkersUnavailable

DIAGNOSES: Sequence[tuple[re.Pattern[str], str, str]] = tuple(
    (re.compile(pattern), fact, remedy)
    for pattern, fact, remedy in (
        (
            r"No module named '?jobqueue\.",
            "the job's Python has another version of jobqueue",
            SAME_PYTHON,
        ),
        (
            r"No module named '?jobqueue|Error while finding module specification for 'jobqueue",
            "the job's Python has no jobqueue",
            "install it there, or let `python` name the interpreter that has it; an environment "
            "can be activated in job_script_prologue",
        ),
        (
            r"No module named '?(\S+?)'?$",
            "the job's Python has no {0}",
            "install it there, or let `python` name the interpreter that has it",
        ),
        (
            r"unrecognized arguments|is no option|invalid choice",
            "the job's Python has another version of jobqueue",
            SAME_PYTHON,
        ),
        (
            r"runs Python \S+, the scheduler Python",
            "the job runs another version of Python",
            SAME_PYTHON,
        ),
        (
            r"credential|certificate.*No such file|\.pem",
            "the cluster's credentials cannot be read on the node",
            SHARED,
        ),
        (
            r"not yet valid|has expired",
            "the clocks of node and login machine differ by more than a day",
            "tell the site",
        ),
        (
            r"no scheduler (within|for)|never reached",
            "the node does not reach this machine at any of its addresses",
            "name the network that both share with interface=, or an address with "
            "contact_address=; where a firewall lets few ports through, one of these by "
            'scheduler_options={"port": …}',
        ),
        (
            r"(module|conda|mamba|source|activate)\b.*(command not found|No such file)",
            "a line of the script's prologue failed",
            "see job_script_prologue: jobs may need `source /etc/profile` first",
        ),
        (
            r"(exec|python\S*)\b.*(not found|No such file|cannot execute|Permission denied)",
            "the job's Python is not on the node",
            "let `python` name one that is, on a file system that nodes share",
        ),
    )
)
"""A line of a job's log -> what it means, and what to do; the first that fits counts."""

_TRIED = re.compile(r'\btried ((?:tls|tcp)://[^"\n]*)')

SHOWN = 5
"""Lines of a log that are shown."""


def diagnose(log_tail: str) -> Finding | None:
    """Return what the end of a job's log means, if that is known."""
    for pattern, fact, remedy in DIAGNOSES:
        for line in log_tail.splitlines():
            if found := pattern.search(line):
                return Finding("diagnosis", Verdict.BAD, fact.format(*found.groups()), remedy)
    return None


def tried(log_tail: str) -> list[Finding]:
    """Return what came of each of the scheduler's addresses, as the agent's last line tells it."""
    found = _TRIED.findall(log_tail)
    attempts = found[-1].split("; ") if found else []
    return [Finding("network", Verdict.BAD, attempt) for attempt in attempts]


def silent(folder: str) -> Finding:
    """Return what it may mean that a job has left no log."""
    return Finding(
        "diagnosis",
        Verdict.BAD,
        f"the job has left no output that can be seen here; does the node see {folder}?",
        f"{SHARED}; or the script's first lines failed: run it by hand on a node",
    )


def refused(error: JobQueueError) -> list[Finding]:
    """Return what to say of a job that was not accepted, in the batch system's words."""
    if not isinstance(error, WorkersUnavailable):  # no such command: says itself what to do
        return [Finding("submission", Verdict.BAD, str(error))]
    fact = error.output or str(error)
    if error.script:
        fact += f"\nscript: {error.script}"
    remedy = (
        "change what it complains of: `jobqueue config` shows which values count, and where they "
        "come from"
    )
    return [Finding("submission", Verdict.BAD, fact, remedy)]


def unwritable(error: OSError) -> list[Finding]:
    """Return what to say of a folder that nodes are to see, and that cannot be written to here."""
    folder = str(error.filename).rpartition("/")[0]
    return [
        Finding(
            "shared folder",
            Verdict.BAD,
            f"{folder}: nothing can be written there: {error.strerror}",
            "see that it is yours, and that the disk has room (quota -s, df); no job was submitted",
        )
    ]


def disturbed(error: Exception) -> list[Finding]:
    """Return what to say of a job that came up, and whose look around failed."""
    fact = f"it came up, and could not look around: {type(error).__name__}: {error}"
    known = diagnose(str(error))
    return [Finding("job", Verdict.BAD, fact), *([known] if known else [])]


def died(job: JobRecord, *, folder: str) -> list[Finding]:
    """Return what to say of a job that ended before it had told anything.

    Parameters
    ----------
    job
        The job.
    folder
        Where its script, credentials and, by default, its log lie.
    """
    where = f", on {job.node}" if job.node else ""
    findings = [Finding("job", Verdict.BAD, f"{job}{where}")]
    if not job.log_tail.strip():
        return [*findings, silent(folder)]
    end = "\n".join(job.log_tail.splitlines()[-SHOWN:])
    findings.append(Finding("job log", Verdict.NOTE, f"{job.log_path}\n{end}"))
    findings += tried(job.log_tail)
    known = diagnose(f"{job.log_tail}\n{job.cause}")
    return [*findings, known] if known else findings


def late(job: JobRecord | None, situation: str, waited: float, *, asked: str = "") -> list[Finding]:
    """Return what to say of a job that has not come up in time.

    Parameters
    ----------
    job
        The job, if there is one.
    situation
        `Cluster.describe()`.
    waited
        Seconds.
    asked
        What the job asks for.
    """
    fact = f"not there after {waited:.0f} s: {situation}"
    if job is not None and job.state in WAITING and (remedy := remedy_for(job.reason)):
        small = f"{job.reason}, although this job asks for no more than {asked}"
        return [
            Finding("job", Verdict.BAD, fact),
            Finding(
                "diagnosis",
                Verdict.BAD,
                small,
                f"{remedy} (the doctor takes the section's walltime where that is shorter than its "
                "own)",
            ),
        ]
    if job is None or job.state in WAITING:
        return [
            Finding(
                "job",
                Verdict.BAD,
                fact,
                "a queue with shorter waits, or --timeout; where the reason is none that time "
                "mends, look it up in the batch system's manual",
            )
        ]
    return [
        Finding("job", Verdict.BAD, fact),
        Finding(
            "diagnosis",
            Verdict.BAD,
            "the job runs, and no worker of it has connected",
            "its log tells what it does: it may be on its way still (a slow file system, a long "
            "prologue), or reach this machine at none of its addresses (interface=, "
            "contact_address=)",
        ),
    ]
