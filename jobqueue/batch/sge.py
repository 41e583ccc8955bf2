"""Grid Engine: qsub, qstat, qdel, and qacct for jobs that have ended.

Son of Grid Engine and Univa's, as far as they speak alike; an ended job is gone from qstat at once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
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
from jobqueue.batch.ids import by_array, mark_in, range_texts, whole_line
from jobqueue.errors import ConfigError

STATES: Mapping[str, Meaning] = {
    "qw": PENDING,
    "hqw": PENDING,
    "hRwq": PENDING,
    "Rq": PENDING,
    "Rqw": PENDING,
    "hRqw": PENDING,
    # It could not be started, and stays so until somebody clears the error or deletes it.
    "Eqw": PENDING,
    "Ehqw": PENDING,
    "EhRqw": PENDING,
    # Being handed to its node.
    "t": RUNNING,
    "Rt": RUNNING,
    "r": RUNNING,
    "hr": RUNNING,
    "Rr": RUNNING,
    "hRr": RUNNING,
    # Suspended, by a user, its queue or a load threshold: it will go on.
    **dict.fromkeys(("s", "ts", "S", "tS", "T", "tT", "Rs", "RS", "RT"), RUNNING),
    # Deleted, while its processes are being ended.
    **dict.fromkeys(("dr", "dt", "ds", "dS", "dT", "dRr", "dRt", "dRs", "dRS", "dRT"), RUNNING),
    **dict.fromkeys(("dqw", "dhqw", "dEqw", "dRqw"), PENDING),
}

_SUBMITTED = re.compile(r"(?P<id>\d+)(\.(?P<first>\d+)-(?P<last>\d+):(?P<step>\d+))?", re.ASCII)
# What qsub says without -terse: a site's wrapper may have dropped the option.
_SAID = re.compile(
    r'Your job(-array)? (?P<id>\d+)(\.(?P<first>\d+)-(?P<last>\d+):(?P<step>\d+))? \(".*"\) '
    r"has been submitted",
    re.ASCII,
)
_ELEMENT = re.compile(r"(?P<id>\d+)\.(?P<index>\d+)")
_NAME = re.compile(r"^#\$ -N ([^\s\"']+)$", re.MULTILINE)
_LOG_FOLDER = re.compile(r"^#\$ -o ([^\s\"']+/)$", re.MULTILINE)
_PARALLEL_ENVIRONMENT = re.compile(r"\s*(#\$\s+)?-pe\s")
_QACCT_LIMIT = 8  # one command each, and each reads all of the site's accounting
_NOT_THERE = re.compile(
    r'denied: job "[\d.]+" does not exist|job "\d+" task "\d+" does not exist|'
    r'job "\d+" task id range "[\d:-]+" comprises no tasks|job [\d.]+ is already in deletion|'
    r".*has registered the job.* for deletion|.*has deleted job.*"
)
# The codes of qacct's `failed`: qmaster enforced h_rt, h_cpu, or h_vmem limit.
_LIMIT_ENFORCED = 37
# Killed by a signal: qdel's, the kernel's or its own. Which of them is not told.
_SIGNALLED = 128


@dataclass(frozen=True)
class SGEAdapter(BatchAdapter):
    """Grid Engine 6.2 or newer.

    Parameters
    ----------
    project
        The project that jobs are charged to.
    parallel
        Whether jobs ask for a parallel environment.
    array_limit
        Jobs in one array; `max_aj_tasks` is 75,000 unless configured.
    """

    name: ClassVar[str] = "sge"
    template: ClassVar[str] = "sge.sh.j2"
    directive_prefix: ClassVar[str] = "#$"
    job_id_expression: ClassVar[str] = (
        '$JOB_ID$([ "${SGE_TASK_ID:-undefined}" = undefined ] || echo ".$SGE_TASK_ID")'
    )
    keywords: ClassVar[tuple[str, ...]] = ("project",)
    node_script: ClassVar[bool] = True

    project: str | None = None
    parallel: bool = False
    array_limit: int = 10_000

    def with_directives(self, directives: Sequence[str]) -> Self:
        """See whether there is a parallel environment; none concerns qstat or qdel."""
        return dataclasses.replace(self, parallel=any(map(_PARALLEL_ENVIRONMENT.match, directives)))

    def launcher(self, nodes: int, cores: int) -> str:
        """Start the script, which asks for the other nodes by `qrsh -inherit`."""
        if not self.parallel:
            raise ConfigError(
                f"nodes={nodes}: Grid Engine gives a job several nodes by a parallel environment, "
                "whose name is your site's (qconf -spl lists them), and whose allocation rule has "
                f'to be {cores}: job_extra_directives=["-pe NAME {nodes * cores}"]'
            )
        return super().launcher(nodes, cores)

    def advice(self, values: Mapping[str, Any]) -> str:
        """Tell of cores that nobody asks Grid Engine for: parallel environments are the site's."""
        cores = values.get("cores") or 1
        directives = values.get("job_extra_directives") or ()
        asked = any(_PARALLEL_ENVIRONMENT.match(directive) for directive in directives)
        if cores == 1 or asked or values.get("template"):
            return ""
        return (
            f"cores={cores}: Grid Engine gives a job one slot unless it asks for a parallel "
            "environment, whose name is your site's (qconf -spl lists them): "
            f'job_extra_directives=["-pe smp {cores}"]'
        )

    def marked(self, text: str, tag: str, *, count: int = 1) -> str:
        """Put the mark into the name, if the log's can be said to be what it is without the mark.

        That is so of scripts with one name, and one folder for logs.
        """
        names, folders = _NAME.findall(text), _LOG_FOLDER.findall(text)
        if len(names) != 1 or len(folders) != 1:
            return text
        log = f"{names[0]}.o$JOB_ID{'.$TASK_ID' if count > 1 else ''}"
        text = _LOG_FOLDER.sub(lambda line: f"#$ -o {line[1]}{log}", text)
        return _NAME.sub(lambda line: f"#$ -N {line[1]}-{tag}", text)

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the qsub command; tasks of an array are counted from 1."""
        array = ("-t", f"1-{count}") if count > 1 else ()
        return ("qsub", "-terse", *array, script)

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `14`, or `30.1-10:1` for an array, whose elements are `30.1` and so on."""
        match = whole_line(_SUBMITTED, output) or whole_line(_SAID, output)
        if match is None or bool(match["first"]) != (count > 1):
            return ()
        if count == 1:
            return (match["id"],)
        tasks = range(int(match["first"]), int(match["last"]) + 1, int(match["step"]))
        return tuple(f"{match['id']}.{task}" for task in tasks) if len(tasks) == count else ()

    def rejection(self, completed: Completed) -> str:
        """Return why, without `Unable to run job:` before it and `Exiting.` after it."""
        lines = (line.removeprefix("Unable to run job:") for line in completed.words.splitlines())
        return "; ".join(text for line in lines if (text := line.strip()) and text != "Exiting.")

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for the user's jobs, each task of an array on its own.

        `$user` is for qstat itself to replace.
        """
        return Query(("qstat", "-xml", "-g", "d", "-u", "$user"), self._parse_qstat)

    def _parse_qstat(self, completed: Completed) -> dict[str, JobStatus]:
        jobs = (self._status(job) for job in _xml(completed).iter("job_list"))
        return {job.job_id: job for job in jobs}

    def _status(self, job: ElementTree.Element) -> JobStatus:
        raw = job.findtext("state", "").strip()
        task = job.findtext("tasks", "").strip()
        number = job.findtext("JB_job_number", "").strip()
        state, _ = self.meaning(raw, STATES)
        queue = job.findtext("queue_name") or ""  # `all.q@node1`
        return JobStatus(
            f"{number}.{task}" if task else number,
            state,
            raw,
            tag=mark_in(job.findtext("JB_name", "")),
            held=state is BatchState.PENDING and raw[:1] in ("h", "E"),
            node=queue.partition("@")[2],
            estimated_start=job.findtext("JAT_start_time", "").strip(),
        )

    def reason_query(self, job_ids: Sequence[str]) -> Query | None:
        """Ask why jobs do not start: what went wrong with them, or what the scheduler says."""
        numbers = ",".join(_numbers(job_ids))
        return Query(
            ("qstat", "-xml", "-j", numbers), lambda completed: self._reasons(completed, job_ids)
        )

    def _reasons(self, completed: Completed, job_ids: Sequence[str]) -> dict[str, JobStatus]:
        answer = _xml(completed)
        everybodys = [
            text.text or ""
            for messages in answer.iter("SME_global_message_list")
            for text in messages.iter("MES_message")
        ]
        reasons: dict[str, list[str]] = {}
        for job in answer.iter("djob_info"):
            for one in job:
                errors = [text.text or "" for text in one.iter("QIM_message")]
                reasons.setdefault(one.findtext("JB_job_number", ""), []).extend(errors)
        for messages in answer.iter("SME_message_list"):
            for one in messages:
                text = one.findtext("MES_message", "")
                for number in one.iter("ULNG_value"):
                    reasons.setdefault(number.text or "", []).append(text)
        reasons = {number: told or everybodys for number, told in reasons.items()}
        return {
            job_id: JobStatus(job_id, BatchState.PENDING, "", reason="; ".join(dict.fromkeys(told)))
            for job_id in job_ids
            if (told := reasons.get(job_id.partition(".")[0]))
        }

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask the accounting, which takes one job or array at a time."""
        return tuple(
            Query(("qacct", "-j", number), self._parse_qacct)
            for number in _numbers(job_ids)[:_QACCT_LIMIT]
        )

    def _parse_qacct(self, completed: Completed) -> dict[str, JobStatus]:
        if completed.returncode != 0:
            if re.search(r"job id \d+ not found|no jobs running since startup", completed.words):
                return {}  # not yet, or deleted while it was pending
            raise failed(completed)
        jobs: dict[str, JobStatus] = {}
        for block in re.split(r"^=+$", completed.stdout, flags=re.MULTILINE):
            fields = dict(re.findall(r"^(\w+)[ \t]+(\S.*?)\s*$", block, re.MULTILINE))
            if {"jobnumber", "failed", "exit_status"} <= fields.keys():
                job = _ended(fields)
                jobs[job.job_id] = job
        return jobs

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the qdel command, with runs of an array's tasks as `30.1-4`."""
        return ("qdel", *compact(job_ids))

    def cancel_problem(self, completed: Completed) -> str:
        """Jobs that are gone are errors to qdel, beside news of those that are deleted."""
        return problem_but(completed, _NOT_THERE)

    def log_pattern(self, *, array: bool) -> str:
        """Grid Engine names the files in a folder by itself."""
        return ""

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return `NAME.oID` or `NAME.oID.TASK`: stderr goes there as well."""
        name = f"{job_name}.o{job_id}"
        return (name if log_directory is None else f"{log_directory}/{name}",)


def _xml(completed: Completed) -> ElementTree.Element:
    """Return what qstat answered, from where its XML begins."""
    if completed.returncode != 0:
        raise failed(completed)
    _, begin, rest = completed.stdout.partition("<?xml")
    try:
        return ElementTree.fromstring(begin + rest)
    except ElementTree.ParseError as error:
        raise unreadable(completed, "XML", error) from None


def _ended(fields: Mapping[str, str]) -> JobStatus:
    task = fields.get("taskid", "undefined")
    number, failure = fields["jobnumber"], fields["failed"]
    code = int(re.match(r"\d*", fields["exit_status"])[0] or 0)  # type: ignore[index]
    failure_code = int(re.match(r"\d*", failure)[0] or 0)  # type: ignore[index]
    cause: EndCause | None = EndCause.CRASHED
    if failure_code == _LIMIT_ENFORCED:
        cause = _limit(fields)
    elif code > _SIGNALLED:
        cause = None
    elif code == 0 and failure_code == 0:
        cause = EndCause.COMPLETED
    return JobStatus(
        number if task == "undefined" else f"{number}.{task}",
        BatchState.ENDED,
        "ended",
        reason=failure.partition(":")[2].strip(),
        node=fields.get("hostname", ""),
        cause=cause,
        exit_code=code if code <= _SIGNALLED else None,
        signal=code - _SIGNALLED if code > _SIGNALLED else None,
    )


def _limit(fields: Mapping[str, str]) -> EndCause | None:
    """Return which limit qmaster enforced: it has one code for three of them.

    Examples
    --------
    >>> _limit({"category": "-l h_rt=60,h_vmem=1G", "ru_wallclock": "7s"}).value
    'out of memory'
    """
    asked = fields.get("category", "")
    limit = re.search(r"\bh_rt=([\d:]+)", asked)
    ran = re.match(r"\d+", fields.get("ru_wallclock", ""))
    others = re.search(r"\bh_(vmem|cpu)=", asked)
    if others is None or (limit and ran and int(ran[0]) >= _seconds(limit[1])):
        return EndCause.WALLTIME
    return EndCause.OUT_OF_MEMORY if limit and "h_vmem=" in asked else None


def _seconds(time: str) -> int:
    """Return the seconds of `90` or `0:1:30`."""
    seconds = 0
    for part in time.split(":"):
        seconds = 60 * seconds + int(part or 0)
    return seconds


def _numbers(job_ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(job_id.partition(".")[0] for job_id in job_ids))


def compact(job_ids: Iterable[str]) -> list[str]:
    """Return ids with each run of an array's tasks written as one.

    Examples
    --------
    >>> compact(["7", "30.1", "30.2", "30.4"])
    ['7', '30.1-2', '30.4']
    """
    plain, arrays = by_array(job_ids, _ELEMENT)
    return plain + [
        f"{number}.{text}" for (number,), tasks in arrays.items() for text in range_texts(tasks)
    ]
