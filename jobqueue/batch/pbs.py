"""PBS: qsub, qstat, qdel. OpenPBS and PBS Professional, and Slurm's `qsub` wrappers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from jobqueue.batch.base import (
    Argv,
    BatchAdapter,
    BatchState,
    Completed,
    EndCause,
    JobStatus,
    Meaning,
    Query,
    failed,
)
from jobqueue.batch.ids import range_texts, whole_line
from jobqueue.batch.qstat import Attributes, parse_json, parse_plain

_PENDING: Meaning = (BatchState.PENDING, None)
_RUNNING: Meaning = (BatchState.RUNNING, None)
_ENDED: Meaning = (BatchState.ENDED, None)

STATES: Mapping[str, Meaning] = {
    "Q": _PENDING,
    "H": _PENDING,
    "W": _PENDING,
    "T": _PENDING,
    "R": _RUNNING,
    # Suspended, by the server or because the workstation's owner is back: it will go on.
    "S": _RUNNING,
    "U": _RUNNING,
    # Exiting: its processes are being ended.
    "E": _RUNNING,
    # An array some of whose elements have begun; the elements have states of their own.
    "B": _RUNNING,
    # An element that ended, a job in the history, a job in TORQUE's memory.
    "X": _ENDED,
    "F": _ENDED,
    "C": _ENDED,
}

_SUBMITTED = re.compile(r"(?P<number>\d+)(?P<array>\[\])?(?P<server>\.[\w.-]+)")
_SUBMITTED_BARE = re.compile(r"(?P<number>\d+)(?P<array>\[\])?(?P<server>)")
_ELEMENT = re.compile(r"(?P<number>\d+)\[(?P<index>\d+)\](?P<server>(\.[\w.-]+)?)")
_UNKNOWN_JOB = 153
_FINISHED_JOB = 35
_SIGNALLED = 256  # Exit_status of a job killed by signal N is 256 + N
_WALLTIME = -29
_TERM = 15


@dataclass(frozen=True)
class PBSAdapter(BatchAdapter):
    """OpenPBS or PBS Professional.

    Parameters
    ----------
    json
        Whether qstat can answer in JSON (`-F json`); else it answers in wrapped lines.
    supports_arrays
        Whether qsub knows `-J`.
    """

    name: ClassVar[str] = "pbs"
    template: ClassVar[str] = "pbs.sh.j2"
    directive_prefix: ClassVar[str] = "#PBS"
    job_id_expression: ClassVar[str] = "${PBS_JOBID:-$SLURM_JOB_ID}"
    account_variable: ClassVar[str] = "PBS_ACCOUNT"

    json: bool = True
    supports_arrays: bool = True

    def with_directives(self, directives: Sequence[str]) -> Self:
        """No directive concerns qstat or qdel: the server's name is part of each id."""
        return self

    def submit_argv(self, script: str, *, count: int = 1, tag: str = "") -> Argv:
        """Return the qsub command; an array of one is refused by PBS, so that is a plain job."""
        return ("qsub", "-J", f"0-{count - 1}", script) if count > 1 else ("qsub", script)

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `22.server`, or `22[].server` for an array; the wrappers print a bare `22`."""
        match = whole_line(_SUBMITTED, output) or whole_line(_SUBMITTED_BARE, output)
        if match is None or bool(match["array"]) != (count > 1):
            return ()
        number, server = match["number"], match["server"]
        if count == 1:
            return (f"{number}{server}",)
        return tuple(f"{number}[{index}]{server}" for index in range(count))

    def rejection(self, completed: Completed) -> str:
        """Return qsub's error; the wrappers print theirs on stdout."""
        lines = completed.words.splitlines()
        return "; ".join(line.removeprefix("qsub: ") for line in lines)

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for these jobs, and for the elements of their arrays."""
        return Query(("qstat", "-t", "-f", *self._format(), *arrays_once(job_ids)), self._parse)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask the job history, which sites may have switched off."""
        argv = ("qstat", "-x", "-t", "-f", *self._format(), *arrays_once(job_ids))
        return (Query(argv, self._parse),)

    def _format(self) -> Argv:
        return ("-F", "json") if self.json else ()

    def _parse(self, completed: Completed) -> dict[str, JobStatus]:
        """Read either format, whatever was asked for.

        Jobs that qstat does not know, or that finished, are errors beside the answer for the rest.
        """
        if completed.returncode not in (0, _UNKNOWN_JOB, _FINISHED_JOB):
            raise failed(completed)
        output = completed.stdout
        jobs = parse_json(output) if output.lstrip().startswith("{") else parse_plain(output)
        return {
            job_id: self._status(job_id, attributes)
            for job_id, attributes in jobs.items()
            if "[]" not in job_id
        }

    def _status(self, job_id: str, attributes: Attributes) -> JobStatus:
        raw = attributes.get("job_state", "")
        state, _ = self.meaning(raw, STATES)
        exit_status = _integer(attributes.get("Exit_status") or attributes.get("exit_status"))
        cause, code, signal = None, None, None
        if state is BatchState.ENDED:
            cause, code, signal = _end(exit_status)
        return JobStatus(
            job_id,
            state,
            raw,
            reason=attributes.get("comment", ""),
            node=_node(attributes.get("exec_host", "")),
            cause=cause,
            exit_code=code,
            signal=signal,
            estimated_start=attributes.get("estimated.start_time", ""),
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the qdel command, with runs of an array's elements as `22[0-3].server`."""
        return ("qdel", *compact(job_ids))

    def cancel_problem(self, completed: Completed) -> str:
        """Unknown and finished jobs are errors to qdel, and none to us."""
        if completed.returncode in (0, _UNKNOWN_JOB, _FINISHED_JOB):
            return ""
        return "; ".join(completed.words.splitlines()) or f"exit status {completed.returncode}"

    def log_pattern(self, *, array: bool) -> str:
        """PBS names the files in a folder by itself."""
        return ""

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return `ID.OU` and `ID.ER` in the folder, or PBS's default, `NAME.oNUMBER`."""
        if log_directory is not None:
            return (f"{log_directory}/{job_id}.OU", f"{log_directory}/{job_id}.ER")
        number = job_id.partition(".")[0]
        element = _ELEMENT.fullmatch(job_id)
        if element is not None:
            number = f"{element['number']}.{element['index']}"
        return (f"{job_name}.o{number}", f"{job_name}.e{number}")

    def fallback(self, completed: Completed) -> Self | None:
        """Do without JSON where qstat does not know `-F`."""
        if completed.argv[0] == "qstat" and self.json and _no_json(completed):
            return dataclasses.replace(self, json=False)
        return None


def arrays_once(job_ids: Iterable[str]) -> list[str]:
    """Return ids with all the elements of an array replaced by the array itself.

    Examples
    --------
    >>> arrays_once(["7.pbs", "22[0].pbs", "22[4].pbs"])
    ['7.pbs', '22[].pbs']
    """
    return list(dict.fromkeys(_ELEMENT.sub(r"\g<number>[]\g<server>", i) for i in job_ids))


def compact(job_ids: Iterable[str]) -> list[str]:
    """Return ids with each run of an array's elements written as one.

    Examples
    --------
    >>> compact(["7.pbs", "22[0].pbs", "22[1].pbs", "22[4].pbs"])
    ['7.pbs', '22[0-1].pbs', '22[4].pbs']
    """
    plain: list[str] = []
    arrays: dict[tuple[str, str], list[int]] = {}
    for job_id in job_ids:
        element = _ELEMENT.fullmatch(job_id)
        if element is None:
            plain.append(job_id)
        else:
            key = element["number"], element["server"]
            arrays.setdefault(key, []).append(int(element["index"]))
    return plain + [
        f"{number}[{text}]{server}"
        for (number, server), indices in arrays.items()
        for text in range_texts(indices)
    ]


def _end(exit_status: int | None) -> tuple[EndCause | None, int | None, int | None]:
    """Return cause, exit code and signal for an `Exit_status`.

    It is absent if the job was deleted while it was queued.
    """
    if exit_status is None:
        return EndCause.CANCELLED, None, None
    if exit_status == 0:
        return EndCause.COMPLETED, 0, None
    if exit_status == _WALLTIME:
        return EndCause.WALLTIME, None, None
    if exit_status > _SIGNALLED:
        signal = exit_status - _SIGNALLED
        return (EndCause.CANCELLED if signal == _TERM else EndCause.CRASHED), None, signal
    return EndCause.CRASHED, (exit_status if exit_status > 0 else None), None


def _no_json(completed: Completed) -> bool:
    words = completed.words.lower()
    return completed.returncode != 0 and ("option" in words or "usage" in words)


def _node(exec_host: str) -> str:
    """Return the hosts of `node1/0*4+node2/1`, without the places on them."""
    hosts = (place.partition("/")[0] for place in exec_host.split("+") if place)
    return ",".join(dict.fromkeys(hosts))


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None
