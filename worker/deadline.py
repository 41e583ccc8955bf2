"""When the batch system ends a job, as far as its environment or its command line tell.

Pure: the environment and the time come in. The times here are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STARTED = "JOBQUEUE_JOB_STARTED"
"""The variable in which a job script notes when it began."""

JOB_IDS = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "OAR_JOB_ID")
"""Variables in which those batch systems tell a job its id that tell it of its end, too."""

ENDS = ("SLURM_JOB_END_TIME",)
"""Those that tell when it ends. Slurm's came after 22.05, which does not set it."""

WALLTIMES = ("OAR_JOB_WALLTIME_SECONDS",)
"""Those that tell how long it may take in all. The others' say nothing of it."""


class Deadline(NamedTuple):
    """The end of a job.

    Parameters
    ----------
    at
        When the batch system ends it.
    margin
        Seconds before that at which its workers begin to hand over.
    source
        Who says so: a variable or an option.
    """

    at: float
    margin: float
    source: str


def find_deadline(
    environ: Mapping[str, str],
    *,
    now: float,
    job_id: str | None = None,
    started: float | None = None,
    walltime: float | None = None,
    margin: float | None = None,
) -> Deadline | None:
    """Find out when a job ends.

    Parameters
    ----------
    environ
        The environment.
    now
        The time.
    job_id
        The job's id. An environment that tells of another job says nothing of this one: it belongs
        to whatever has started it.
    started
        When the job began; if None, what its script has noted, or else now.
    walltime
        Seconds that it may take, or None if that is not known.
    margin
        Seconds, or None for `default_margin`.

    Returns
    -------
    Deadline or None
        None if it is not known, or over already: then whoever said it was wrong.

    Examples
    --------
    >>> find_deadline({"JOBQUEUE_JOB_STARTED": "1000"}, walltime=600.0, now=1010.0)
    Deadline(at=1600.0, margin=60.0, source='--walltime')
    >>> find_deadline({"SLURM_JOB_END_TIME": "1500"}, walltime=600.0, now=1010.0).at
    1500.0
    """
    if started is None:
        started = _number(environ, STARTED) or now
    for at, source in _told(environ if _of_this_job(environ, job_id) else {}, started, walltime):
        if at > now:
            margin = default_margin(at - started) if margin is None else margin
            return Deadline(at, min(margin, (at - now) / 2), source)
    return None


def default_margin(walltime: float) -> float:
    """Return how many seconds before its end a job hands over, if nobody has said it.

    Examples
    --------
    >>> [default_margin(minutes * 60.0) for minutes in (1, 10, 60)]
    [10.0, 60.0, 120.0]
    """
    return min(120.0, max(10.0, walltime / 10))


def _told(
    environ: Mapping[str, str], started: float, walltime: float | None
) -> list[tuple[float, str]]:
    """Return what is said of the end, the most trustworthy first."""
    ends = [(_number(environ, name), name) for name in ENDS]
    lengths = [(_number(environ, name), name) for name in WALLTIMES]
    lengths.append((walltime, "--walltime"))
    told = [(at, name) for at, name in ends if at]
    return told + [(started + seconds, name) for seconds, name in lengths if seconds]


def _of_this_job(environ: Mapping[str, str], job_id: str | None) -> bool:
    if job_id is None:
        return True
    ids = {environ[name] for name in JOB_IDS if environ.get(name)}
    return job_id in ids or job_id.partition("_")[0] in ids


def _number(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name, "")
    return float(text) if text.isascii() and text.isdigit() else None
