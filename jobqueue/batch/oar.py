"""OAR: oarsub, oarstat, oardel. Each job of an array is a job with an id of its own."""

from __future__ import annotations

import datetime
import json
import re
import signal as signals
from collections.abc import Mapping, Sequence
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
    unreadable,
)
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.directives import split
from jobqueue.batch.ids import mark_in

STATES: Mapping[str, Meaning] = {
    "Waiting": PENDING,
    "Hold": PENDING,
    "toLaunch": PENDING,
    # A reservation that is to be confirmed, or was refused.
    "toAckReservation": PENDING,
    # Its node is being prepared.
    "Launching": RUNNING,
    "Running": RUNNING,
    # Stopped, or about to go on.
    "Suspended": RUNNING,
    "Resuming": RUNNING,
    "Finishing": RUNNING,
    # On its way to Error.
    "toError": RUNNING,
    "Terminated": (BatchState.ENDED, EndCause.COMPLETED),
    "Error": (BatchState.ENDED, EndCause.CRASHED),
}

_SUBMITTED = re.compile(r"^[ \t]*OAR_JOB_ID=(\d+)[ \t\r]*$", re.MULTILINE | re.ASCII)
_NAME = re.compile(r"^#OAR +-n +\S+", re.MULTILINE)
_NAMES = re.compile(r"^#OAR\b.*\s(-n|--name)\b", re.MULTILINE)
_OWN_LOGS = re.compile(r"^#OAR +(-O|--stdout)\b", re.MULTILINE)
_ASKED_AT_ONCE = 200  # ids of ended jobs in one question
_ALREADY_KILLED = 6  # the exit status of oardel where a job had been deleted before
_GONE = re.compile(r"Cannot frag \d+ ; This job was already killed\.")
_PROGRESS = re.compile(r"(Deleting the job = \d+ \.\.\.(ERROR|REGISTERED)\.|The job\(s\) \[.*)")


@dataclass(frozen=True)
class OARAdapter(BatchAdapter):
    """OAR 2.5.

    Parameters
    ----------
    project
        The project that jobs are charged to.
    memory_per_core_property_name
        The site's property that holds MiB of memory per core.
    array_limit
        Jobs in one array.
    """

    name: ClassVar[str] = "oar"
    template: ClassVar[str] = "oar.sh.j2"
    directive_prefix: ClassVar[str] = "#OAR"
    job_id_expression: ClassVar[str] = "$OAR_JOB_ID"
    option_aliases: ClassVar[Mapping[str, str]] = {
        "-E": "--stderr",
        "-O": "--stdout",
        "-l": "--resource",
        "-n": "--name",
        "-p": "--property",
        "-q": "--queue",
    }
    keywords: ClassVar[tuple[str, ...]] = ("project", "memory_per_core_property_name")
    node_script: ClassVar[bool] = True

    project: str | None = None
    memory_per_core_property_name: str | None = None
    array_limit: int = 1000

    def with_directives(self, directives: Sequence[str]) -> Self:
        """No directive concerns oarstat or oardel."""
        return self

    def job_values(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Join the user's own `-p` with the memory wanted: of two, oarsub would drop one."""
        name = values.get("memory_per_core_property_name")
        extra = list(values.get("job_extra_directives") or ())
        if not name or not any(_is_property(directive) for directive in extra):
            return values
        wanted = f"{name}>={_mebibytes_per_core(values)}"
        joined = [
            f"-p ({split(directive)[1]}) AND {wanted}" if _is_property(directive) else directive
            for directive in extra
        ]
        return {**values, "job_extra_directives": joined}

    def marked(self, text: str, tag: str, *, count: int = 1) -> str:
        """Put the mark into the name, unless logs are called after that: oarsub's own names are.

        Of two names, oarsub would take one.
        """
        if not _OWN_LOGS.search(text) or len(_NAMES.findall(text)) != 1:
            return text
        return _NAME.sub(lambda line: f"{line[0]}-{tag}", text, count=1)

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the oarsub command; `-S` lets it read the script's directives."""
        array = ("--array", str(count)) if count > 1 else ()
        return ("oarsub", *array, "-S", script)

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read one line `OAR_JOB_ID=1` a job; a refusal may print an id that is negative."""
        ids = tuple(dict.fromkeys(_SUBMITTED.findall(output)))
        return ids if len(ids) == count else ()

    def rejection(self, completed: Completed) -> str:
        """Return what oarsub and the site's admission rules say."""
        lines = (line.strip() for line in completed.words.splitlines())
        return "; ".join(line for line in lines if line and not line.startswith("OAR_JOB_ID="))

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for all of the user's jobs that have not ended."""
        return Query(("oarstat", "-J", "-f", "-u"), self._parse)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask by id, which OAR answers for jobs of any age."""
        return tuple(
            Query(("oarstat", "-J", "-f", *_each("-j", part)), self._parse)
            for start in range(0, len(job_ids), _ASKED_AT_ONCE)
            if (part := job_ids[start : start + _ASKED_AT_ONCE])
        )

    def _parse(self, completed: Completed) -> dict[str, JobStatus]:
        """Read `{"1": {"state": ...}}`; where there are no jobs, oarstat says nothing at all."""
        if completed.returncode != 0:
            raise failed(completed)
        if not completed.stdout.strip():
            return {}
        try:
            jobs = json.loads(completed.stdout[completed.stdout.index("{") :], strict=False)
            return {str(job_id): self._status(str(job_id), job) for job_id, job in jobs.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise unreadable(completed, "JSON", error) from None

    def _status(self, job_id: str, job: Mapping[str, Any]) -> JobStatus:
        raw = str(job.get("state") or "")
        state, cause = self.meaning(raw, STATES)
        code, signal = None, None
        message = str(job.get("message") or "")
        if state is BatchState.ENDED:
            cause, code, signal = _end(raw, job, cause)
        start = job.get("startTime") or job.get("scheduledStart")
        return JobStatus(
            job_id,
            state,
            raw,
            reason=message,
            node=",".join(dict.fromkeys(job.get("assigned_network_address") or ())),
            cause=cause,
            exit_code=code,
            signal=signal,
            held=raw == "Hold",
            tag=mark_in(str(job.get("name") or "")),
            estimated_start=_time(start),
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the oardel command."""
        return ("oardel", *job_ids)

    def cancel_problem(self, completed: Completed) -> str:
        """A job that was killed before is an error to oardel, and none to us."""
        lines = [line.strip() for line in completed.words.splitlines() if line.strip()]
        bad = [line for line in lines if not _GONE.fullmatch(line)]
        bad = [line for line in bad if not _PROGRESS.fullmatch(line)]
        if completed.returncode in (0, _ALREADY_KILLED) and not bad:
            return ""
        return "; ".join(bad) or f"exit status {completed.returncode}"

    def log_pattern(self, *, array: bool) -> str:
        """`%jobid%` is the job's id, an array's jobs included."""
        return "%jobid%"

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return what the template's `-O` and `-E` come to, or OAR's default."""
        if log_directory is None:
            stem = f"OAR.{job_name}.{job_id}"
            return (f"{stem}.stdout", f"{stem}.stderr")
        stem = f"{log_directory}/{job_name}-{job_id}"
        return (f"{stem}.out", f"{stem}.err")


def _end(
    raw: str, job: Mapping[str, Any], cause: EndCause | None
) -> tuple[EndCause | None, int | None, int | None]:
    """Return cause, exit code and signal: `exit_code` is a wait status, 768 for exit 3.

    OAR's own reasons for an end stand in the events of a job.
    """
    events = {str(event.get("type", "")) for event in job.get("events") or ()}
    if "WALLTIME" in events:
        cause = EndCause.WALLTIME
    elif events & {"FRAG_JOB_REQUEST", "JOB_KILLED"}:
        cause = EndCause.CANCELLED
    status = job.get("exit_code")
    if status is None or not str(status).lstrip("-").isdigit():
        return cause, None, None
    code, signal = int(status) >> 8, int(status) & 127
    if cause is EndCause.COMPLETED and int(status) != 0:
        cause = EndCause.CRASHED
    return (cause, None, signal) if signal in set(signals.Signals) else (cause, code, None)


def _time(seconds: Any) -> str:
    """Return a moment that OAR gives in seconds since 1970."""
    if not str(seconds or "0").isdigit() or not int(seconds or 0):
        return ""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat()


def _each(option: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (option, value))


def _is_property(directive: str) -> bool:
    return split(directive)[0] in ("-p", "--property")


def _mebibytes_per_core(values: Mapping[str, Any]) -> int:
    return int(-(-values["memory"] // (values["cores"] * 2**20)))
