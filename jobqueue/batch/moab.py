"""Moab: msub, showq, canceljob. Its job scripts have PBS's directives, as TORQUE reads them.

Written by Moab's reference (`showq --xml`, `checkjob`); it has not been seen running.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from xml.etree import ElementTree

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

STATES: Mapping[str, Meaning] = {
    **dict.fromkeys(
        ("Idle", "Hold", "UserHold", "SystemHold", "BatchHold", "Deferred", "Blocked", "NotQueued"),
        PENDING,
    ),
    "Staging": PENDING,
    "Migrated": PENDING,
    "Starting": RUNNING,
    "Running": RUNNING,
    "Suspended": RUNNING,
    # Being preempted, or ended.
    "Vacated": (BatchState.ENDED, EndCause.PREEMPTED),
    "Completed": (BatchState.ENDED, EndCause.COMPLETED),
    "Removed": (BatchState.ENDED, EndCause.CANCELLED),
}

_SUBMITTED = re.compile(r"(?P<id>(?:[A-Za-z][\w-]*\.)?[0-9]+(?:\.[A-Za-z][\w.-]*)?)", re.ASCII)
_SIGNALLED = 256  # as TORQUE has it: 271 is 256 + TERM
_TERM = 15
_GONE = re.compile(r"ERROR:\s+invalid job specified.*|.*job .* (cancelled|not found).*", re.I)


@dataclass(frozen=True)
class MoabAdapter(BatchAdapter):
    """Moab above TORQUE.

    Parameters
    ----------
    array_limit
        Jobs of one submission; arrays are not used.
    """

    name: ClassVar[str] = "moab"
    template: ClassVar[str] = "moab.sh.j2"
    directive_prefix: ClassVar[str] = "#PBS"
    job_id_expression: ClassVar[str] = "${MOAB_JOBID:-$PBS_JOBID}"
    node_script: ClassVar[bool] = True

    array_limit: int = 1

    def with_directives(self, directives: Sequence[str]) -> Self:
        """No directive concerns showq or canceljob."""
        return self

    def variables(self) -> dict[str, Any]:
        """Return `nodes_and_ppn`: resources are asked for as TORQUE wants it."""
        return {"nodes_and_ppn": True}

    def launcher(self, nodes: int, cores: int) -> str:
        """Return the pbsdsh of the TORQUE below it."""
        return f"pbsdsh -u {super().launcher(nodes, cores)}"

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the msub command; `-E` gives the job its id in Moab."""
        return ("msub", "-E", script)

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `Moab.12` or `12`, below an empty line; `12.server` where that is the site's way."""
        match = whole_line(_SUBMITTED, output)
        return (match["id"],) if match and count == 1 else ()

    def rejection(self, completed: Completed) -> str:
        """Return msub's errors."""
        lines = (line.strip() for line in completed.words.splitlines())
        return "; ".join(line.removeprefix("ERROR:").strip() for line in lines if line)

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for the queue: running, eligible and blocked jobs."""
        return Query(("showq", "--xml"), self._parse)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask for the jobs that ended a short while ago."""
        return (Query(("showq", "-c", "--xml"), self._parse),)

    def _parse(self, completed: Completed) -> dict[str, JobStatus]:
        if completed.returncode != 0:
            raise failed(completed)
        begin = completed.stdout.find("<Data")
        try:
            answer = ElementTree.fromstring(completed.stdout[max(begin, 0) :])
        except ElementTree.ParseError as error:
            raise unreadable(completed, "XML", error) from None
        jobs = (self._status(job) for job in answer.iter("job"))
        return {job.job_id: job for job in jobs}

    def _status(self, job: ElementTree.Element) -> JobStatus:
        raw = job.get("State", "")
        state, cause = self.meaning(raw, STATES)
        code, signal = None, None
        if state is BatchState.ENDED:
            cause, code, signal = _end(cause, job.get("CompletionCode", ""))
        return JobStatus(
            job.get("JobID", ""),
            state,
            raw,
            reason=job.get("BlockReason", "") or job.get("Message", ""),
            node=job.get("MasterHost", ""),
            cause=cause,
            exit_code=code,
            signal=signal,
            held=raw.endswith("Hold"),
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the canceljob command."""
        return ("canceljob", *job_ids)

    def cancel_problem(self, completed: Completed) -> str:
        """Jobs that are gone are errors to canceljob, and none to us."""
        return problem_but(completed, _GONE)

    def log_pattern(self, *, array: bool) -> str:
        """TORQUE names the files in a folder by itself."""
        return ""

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return TORQUE's names in a folder; both ids are the same where a log can be found."""
        number = next((part for part in job_id.split(".") if part.isdigit()), job_id)
        folder = "" if log_directory is None else f"{log_directory}/"
        return (f"{folder}{job_name}.o{number}", f"{folder}{job_name}.e{number}")


def _end(cause: EndCause | None, completion: str) -> tuple[EndCause | None, int | None, int | None]:
    """Return cause, exit code and signal from a completion code: `0`, `271`, `CNCLD(271)`."""
    number = re.search(r"-?\d+", completion)
    code = int(number[0]) if number else None
    if completion.startswith("CNCLD") or code == _SIGNALLED + _TERM:
        return EndCause.CANCELLED, None, _TERM
    if code is not None and code > _SIGNALLED:
        return EndCause.CRASHED, None, code - _SIGNALLED
    if code == -11:
        return EndCause.WALLTIME, None, None
    if code and cause is EndCause.COMPLETED:
        cause = EndCause.CRASHED
    return cause, (code if code is not None and code >= 0 else None), None
