"""HTCondor: condor_submit, condor_q, condor_rm, and condor_history for jobs that have ended.

A job script holds its submit description in lines `#CONDOR name = value`, so that it is one file to
look at, as with other batch systems. condor_submit is given these lines on its standard input, with
the script as the executable; the job's id is the script's first argument.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from jobqueue.batch.answers import (
    PENDING,
    RUNNING,
    Argv,
    BatchState,
    Completed,
    EndCause,
    JobStatus,
    Meaning,
    Query,
    failed,
    problem_but,
    unreadable,
)
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.ids import whole_line
from jobqueue.errors import ConfigError

STATES: Mapping[str, Meaning] = {
    "1": PENDING,
    "2": RUNNING,
    "3": (BatchState.ENDED, EndCause.CANCELLED),
    "4": (BatchState.ENDED, EndCause.COMPLETED),
    # Held: it goes on only when somebody releases it, and the reason tells what is to be mended.
    "5": PENDING,
    # It has ended, and its output is on the way back.
    "6": RUNNING,
    "7": RUNNING,
}
_NAMES = {
    "1": "IDLE",
    "2": "RUNNING",
    "3": "REMOVED",
    "4": "COMPLETED",
    "5": "HELD",
    "6": "TRANSFERRING_OUTPUT",
    "7": "SUSPENDED",
}

_HELD = "5"

# Options of condor_submit that tell where a job goes, and how many of their letters suffice (`-a`
# is `-append`) -> the same of condor_q and condor_rm.
_PLACES = {
    ("name", 1): "-name",
    ("remote", 1): "-name",
    ("pool", 2): "-pool",
    ("address", 2): "-addr",
}

# Where the reason for a state stands; a job that waits was perhaps offered no machine so far.
_REASONS = {"1": "LastRejMatchReason", "3": "RemoveReason", "4": "RemoveReason"}

_SUBMITTED = re.compile(r"(?P<cluster>\d+)\.(?P<first>\d+) - (?P=cluster)\.(?P<last>\d+)", re.ASCII)
_ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,HoldReason,LastRejMatchReason,RemoveReason,RemoteHost,"
    "LastRemoteHost,ExitCode,ExitBySignal,ExitSignal,JobqueueTag"
)
_INPUTS = re.compile(r"\s*transfer_input_files\s*=\s*(?P<files>.*?)\s*", re.IGNORECASE)
_JOB_ID = re.compile(r"\d+\.\d+", re.ASCII)
# The walltime of the template is a condition under which HTCondor removes a job by itself.
_BY_CONDITION = re.compile(r"PeriodicRemove.* evaluated to TRUE", re.DOTALL)
_NOT_THERE = re.compile(
    r"Job \d+\.\d+ (not found|marked for removal)|Couldn't find/remove all jobs in cluster \d+"
)


@dataclass(frozen=True)
class HTCondorAdapter(BatchAdapter):
    """HTCondor 8.8 or newer.

    Parameters
    ----------
    disk
        Bytes of disk space of one job.
    submit_command_extra, cancel_command_extra
        Further arguments of condor_submit and condor_rm. Another schedd or pool that is named to
        condor_submit is named to the other commands as well.
    array_limit
        Jobs of one submission.
    """

    name: ClassVar[str] = "htcondor"
    template: ClassVar[str] = "htcondor.sh.j2"
    directive_prefix: ClassVar[str] = "#CONDOR"
    job_id_expression: ClassVar[str] = "$1"
    credentials_expression: ClassVar[str] = "$JOBQUEUE_CREDENTIALS"
    option_aliases: ClassVar[Mapping[str, str]] = {
        "request_cpus": "requestcpus",
        "request_memory": "requestmemory",
        "request_disk": "requestdisk",
        "periodicremove": "periodic_remove",
    }
    keywords: ClassVar[tuple[str, ...]] = ("disk", "submit_command_extra", "cancel_command_extra")

    disk: int | None = None
    submit_command_extra: tuple[str, ...] = ()
    cancel_command_extra: tuple[str, ...] = ()
    array_limit: int = 10_000

    def with_directives(self, directives: Sequence[str]) -> Self:
        """No line of a description concerns condor_q or condor_rm."""
        return self

    def launcher(self, nodes: int, cores: int) -> str:
        """Refuse: a job of the vanilla universe runs on one machine."""
        raise ConfigError(
            f"nodes={nodes}: a job of HTCondor's runs on one machine; leave nodes out, and ask for "
            "more jobs"
        )

    def job_values(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write attributes as lines of a description, and their names as such lines' beginning.

        Where the first line is to be `condor_submit`'s, as in files from dask-jobqueue, whose
        scripts are descriptions, a shell takes its place.
        """
        extra = values.get("job_extra_directives") or {}
        lines = [f"{name} = {value}" for name, value in extra.items()]
        skip = [
            name if name.startswith("#") else f"{self.directive_prefix} {name}"
            for name in values.get("job_directives_skip") or ()
        ]
        shebang = values.get("shebang")
        return {
            **values,
            "shebang": None if "condor_submit" in (shebang or "") else shebang,
            "job_extra_directives": lines,
            "job_directives_skip": skip,
        }

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the condor_submit command, which reads the description on its standard input."""
        mark = ("-append", f'+JobqueueTag = "{tag}"') if tag else ()
        return ("condor_submit", "-terse", *self.submit_command_extra, *mark, "-")

    def submit_input(self, script: str, text: str, *, count: int = 1) -> str | None:
        """Return the description: the script's own lines, the script, and how many jobs."""
        prefix = f"{self.directive_prefix} "
        lines = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
        own = (f"executable = {script}", "arguments = $(ClusterId).$(ProcId)")
        return "\n".join((*own, *_with_all_inputs(lines), f"queue {count}", ""))

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `23.0 - 23.9`."""
        match = whole_line(_SUBMITTED, output)
        if match is None:
            return ()
        processes = range(int(match["first"]), int(match["last"]) + 1)
        ids = tuple(f"{match['cluster']}.{process}" for process in processes)
        return ids if len(ids) == count else ()

    def rejection(self, completed: Completed) -> str:
        """Return condor_submit's own words."""
        lines = (line.strip().removeprefix("ERROR: ") for line in completed.words.splitlines())
        return "; ".join(line for line in lines if line)

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for all of the user's jobs."""
        return Query(("condor_q", *self._place(), "-json", "-attributes", _ATTRIBUTES), self._parse)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask the history, which is read from its end until all of these have been found."""
        ids = tuple(job_id for job_id in job_ids if _JOB_ID.fullmatch(job_id))
        limit = ("-limit", str(len(ids)))
        place = self._place(("-name", "-pool"))  # it has no -addr
        argv = ("condor_history", *place, *ids, *limit, "-json", "-attributes", _ATTRIBUTES)
        return (Query(argv, self._parse),) if ids else ()

    def _parse(self, completed: Completed) -> dict[str, JobStatus]:
        """Read a list of ads; where there are none, nothing is said at all."""
        if completed.returncode != 0:
            raise failed(completed)
        begin = completed.stdout.find("[")
        if begin < 0 and not completed.stdout.strip():
            return {}
        try:
            ads = json.loads(completed.stdout[max(begin, 0) :], strict=False)
            jobs = [self._status(ad) for ad in ads]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unreadable(completed, "JSON", error) from None
        return {job.job_id: job for job in jobs}

    def _status(self, ad: Mapping[str, Any]) -> JobStatus:
        number = str(ad["JobStatus"])
        state, cause = self.meaning(number, STATES)
        removed = str(ad.get("RemoveReason") or "")
        host = str(ad.get("RemoteHost") or ad.get("LastRemoteHost") or "")
        code, signal = None, None
        if state is BatchState.ENDED:
            code, signal = _exit(ad)
            if cause is EndCause.COMPLETED and (code or signal):
                cause = EndCause.CRASHED
            elif _BY_CONDITION.search(removed):
                cause = EndCause.WALLTIME
        return JobStatus(
            f"{ad['ClusterId']}.{ad['ProcId']}",
            state,
            _NAMES.get(number, number),
            reason=str(ad.get(_REASONS.get(number, "HoldReason")) or "").strip(),
            node=host.rpartition("@")[2],  # `slot1_1@node1`
            cause=cause,
            exit_code=code,
            signal=signal,
            held=number == _HELD,
            tag=str(ad.get("JobqueueTag") or ""),
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the condor_rm command."""
        told = {option for option, _ in _places(self.cancel_command_extra)}
        place = () if told else self._place()
        return ("condor_rm", *place, *self.cancel_command_extra, *job_ids)

    def _place(self, known: Collection[str] = frozenset(_PLACES.values())) -> Argv:
        """Return where jobs are submitted to, in the words of a command that knows these."""
        pairs = _places(self.submit_command_extra)
        return tuple(word for pair in pairs if pair[0] in known for word in pair)

    def cancel_problem(self, completed: Completed) -> str:
        """Jobs that are gone are errors to condor_rm, and none to us."""
        return problem_but(completed, _NOT_THERE)

    def log_pattern(self, *, array: bool) -> str:
        """HTCondor's macros for the two parts of an id."""
        return "$(ClusterId).$(ProcId)"

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return what the template's `output` and `error` come to."""
        stem = f"{job_name}-{job_id}"
        stem = stem if log_directory is None else f"{log_directory}/{stem}"
        return (f"{stem}.out", f"{stem}.err")


def _places(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options that name a schedd or a pool, with their values.

    Examples
    --------
    >>> _places(["-a", "x = 1", "-remote", "schedd2", "-pool", "cm.site"])
    [('-name', 'schedd2'), ('-pool', 'cm.site')]
    """
    found = []
    for word, value in itertools.pairwise(words):
        option = word.lstrip("-") if word.startswith("-") else ""
        found += [
            (place, value)
            for (name, least), place in _PLACES.items()
            if len(option) >= least and name.startswith(option)
        ]
    return found


def _exit(ad: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return exit code and signal."""
    if ad.get("ExitBySignal") is True:
        return None, _integer(ad.get("ExitSignal"))
    return _integer(ad.get("ExitCode")), None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _with_all_inputs(lines: Sequence[str]) -> list[str]:
    """Join the input files of several lines in one: of two, HTCondor would take the last alone."""
    inputs = [match["files"] for line in lines if (match := _INPUTS.fullmatch(line))]
    others = [line for line in lines if not _INPUTS.fullmatch(line)]
    return [*others, f"transfer_input_files = {', '.join(inputs)}"] if inputs else others
