"""Slurm: sbatch, squeue, scancel, and sacct or scontrol for jobs that are gone from the queue."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

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
)
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.directives import option_value
from jobqueue.batch.ids import by_array, filled, range_texts, whole_line

STATES: Mapping[str, Meaning] = {
    "PENDING": PENDING,
    "REQUEUED": PENDING,
    "REQUEUE_HOLD": PENDING,
    "REQUEUE_FED": PENDING,
    "RESV_DEL_HOLD": PENDING,
    "SPECIAL_EXIT": PENDING,
    # Nodes are allocated and may still have to boot: the script has not begun.
    "CONFIGURING": PENDING,
    "POWER_UP_NODE": PENDING,
    "RUNNING": RUNNING,
    "RESIZING": RUNNING,
    "SIGNALING": RUNNING,
    "STAGE_OUT": RUNNING,
    # Stopped, but it keeps its nodes and will go on.
    "SUSPENDED": RUNNING,
    "STOPPED": RUNNING,
    # Its processes are being ended; the state after this one tells the cause.
    "COMPLETING": RUNNING,
    "COMPLETED": (BatchState.ENDED, EndCause.COMPLETED),
    "FAILED": (BatchState.ENDED, EndCause.CRASHED),
    "LAUNCH_FAILED": (BatchState.ENDED, EndCause.CRASHED),
    "TIMEOUT": (BatchState.ENDED, EndCause.WALLTIME),
    "DEADLINE": (BatchState.ENDED, EndCause.WALLTIME),
    "OUT_OF_MEMORY": (BatchState.ENDED, EndCause.OUT_OF_MEMORY),
    "NODE_FAIL": (BatchState.ENDED, EndCause.NODE_FAILED),
    "BOOT_FAIL": (BatchState.ENDED, EndCause.NODE_FAILED),
    "RECONFIG_FAIL": (BatchState.ENDED, EndCause.NODE_FAILED),
    "PREEMPTED": (BatchState.ENDED, EndCause.PREEMPTED),
    "CANCELLED": (BatchState.ENDED, EndCause.CANCELLED),
}

# A job in one of these, or that waits for one of those reasons, waits until somebody releases it.
_HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_HELD_FOR = re.compile(
    r"JobHeld(User|Admin)|JobHoldMaxRequeue|job requeued in held state|launch failed requeued held"
)

_SUBMITTED = re.compile(r"(?P<id>[0-9]+)(;[\w.-]+)?")
_ELEMENT = re.compile(r"(?P<array>\d+)_(?P<index>\d+)")
_SQUEUE_FORMAT = "%i|%T|%r|%S|%N|%k"
_SACCT_FIELDS = "JobID,State,ExitCode,Reason,NodeList"
_SCONTROL_LIMIT = 8  # one command each: with more than this, good neighbours go without
_SCONTROL_FIELD = re.compile(r"(?:^| )([A-Z]\w+)=(\S*)")
_ELEMENTS = re.compile(r"(?P<array>\d+)_\[(?P<indices>[\d,-]+)(%\d+)?\]")
_NO_ACCOUNTS = re.compile(
    r"accounting storage is disabled|not running a supported accounting_storage", re.IGNORECASE
)
_BLANKS = re.compile(r",\s+(?=\S)")
# What sbatch says when it gave up waiting for an answer. The controller may have taken the job.
_UNCERTAIN = re.compile(
    r"timed out|timeout|unable to contact|zero bytes were transmitted|connection (refused|failure)"
    r"|transport endpoint|temporarily unable|communication",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SlurmAdapter(BatchAdapter):
    """Slurm 20.02 or newer.

    Parameters
    ----------
    clusters
        The clusters of a federation that jobs are sent to (`-M`), comma-separated; "" for the
        local one.
    comment
        The site's or user's own `--comment`, which our mark is appended to.
    stdout, stderr
        The site's or user's own `--output` and `--error`; "" for ours.
    array_limit
        Jobs in one array; where nobody has configured MaxArraySize, there may be 1001.
    """

    name: ClassVar[str] = "slurm"
    template: ClassVar[str] = "slurm.sh.j2"
    directive_prefix: ClassVar[str] = "#SBATCH"
    job_id_expression: ClassVar[str] = (
        "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    )
    option_aliases: ClassVar[Mapping[str, str]] = {
        "-A": "--account",
        "-J": "--job-name",
        "-M": "--clusters",
        "-N": "--nodes",
        "-c": "--cpus-per-task",
        "-e": "--error",
        "-n": "--ntasks",
        "-o": "--output",
        "-p": "--partition",
        "-t": "--time",
    }

    clusters: str = ""
    comment: str = ""
    stdout: str = ""
    stderr: str = ""
    array_limit: int = 1000

    def launcher(self, nodes: int, cores: int) -> str:
        """Return srun, which takes nothing over from the directives but the memory.

        It hands USR1 and USR2 on to the agents. A TERM would make it kill them at once.
        """
        return (
            f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --cpus-per-task={cores} "
            "--kill-on-bad-exit=1 --export=ALL"
        )

    def with_directives(self, directives: Sequence[str]) -> Self:
        """Take over the federation's clusters, and comment and logs of the user's own."""
        fields = {"clusters": "--clusters", "comment": "--comment"}
        fields |= {"stdout": "--output", "stderr": "--error"}
        told = {
            field: value
            for field, option in fields.items()
            if (value := option_value(directives, option, self.option_aliases))
        }
        return cast(Self, dataclasses.replace(cast(Any, self), **told))

    def job_values(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write lists as `a,b`: of `-L a, b` sbatch would take `b` for a directive, and refuse."""
        extra = values.get("job_extra_directives") or ()
        return {**values, "job_extra_directives": [_without_blanks(each) for each in extra]}

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the sbatch command; many jobs are one array."""
        argv = ["sbatch", "--parsable"]
        if tag:
            argv.append(f"--comment={self.comment} {tag}".replace("= ", "="))
        if count > 1:
            argv.append(f"--array=0-{count - 1}")
        return (*argv, script)

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `JOBID` or `JOBID;CLUSTER`; an array's elements are `JOBID_0` and so on."""
        match = whole_line(_SUBMITTED, output)
        if match is None:
            return ()
        job_id = match["id"]
        return (job_id,) if count == 1 else tuple(f"{job_id}_{i}" for i in range(count))

    def rejection(self, completed: Completed) -> str:
        """Return sbatch's error lines without their `sbatch: error:` prefix."""
        lines = completed.words.splitlines()
        return "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines)

    def uncertain(self, completed: Completed) -> bool:
        """Tell whether the controller was slow, rather than unwilling."""
        return completed.returncode != 0 and bool(_UNCERTAIN.search(completed.stderr))

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for all jobs of the user, those that ended a short while ago included.

        A list of ids would do only as long as one of them is known: a single unknown id is an
        error. `-r` gives each element of an array its own line.
        """
        argv = ("squeue", "--me", "-h", "-r", "-t", "all", "-o", _SQUEUE_FORMAT)
        return Query((*argv, *self._cluster_option()), self._parse_squeue)

    def _parse_squeue(self, completed: Completed) -> dict[str, JobStatus]:
        if completed.returncode != 0:
            raise failed(completed)
        return _by_id(self._squeue_line(line) for line in completed.stdout.splitlines())

    def _squeue_line(self, line: str) -> JobStatus | None:
        fields = line.split("|", 5)
        if len(fields) != 6 or fields[1] == "REVOKED":
            return None  # a banner, a federation's `CLUSTER:` heading, or a job that ran elsewhere
        job_id, raw, reason, start, node, comment = (field.strip() for field in fields)
        state, cause = self.meaning(raw, STATES)
        return JobStatus(
            job_id,
            state,
            raw,
            reason=_said(reason),
            node=node,
            cause=cause,
            estimated_start=_said(start),
            held=raw in _HELD or (raw == "PENDING" and bool(_HELD_FOR.fullmatch(reason))),
            tag=comment.rpartition(" ")[2].removeprefix("(null)"),
        )

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask the accounting; then the controller, which remembers for some minutes.

        The controller takes one id at a time, so it is asked about a few only.
        """
        ids = _base_ids(job_ids)
        sacct = ("sacct", "-n", "-P", "-X", "-j", ",".join(ids), "-o", _SACCT_FIELDS)
        scontrol = ("scontrol", "-o", *self._cluster_option(), "show", "job")
        return (
            Query((*sacct, *self._cluster_option()), self._parse_sacct),
            *(Query((*scontrol, i), self._parse_scontrol) for i in ids[:_SCONTROL_LIMIT]),
        )

    def offers_none(self, words: str) -> bool:
        """Tell a site that keeps no accounts from one whose accounting is down."""
        return bool(_NO_ACCOUNTS.search(words))

    def _parse_sacct(self, completed: Completed) -> dict[str, JobStatus]:
        if completed.returncode != 0:
            raise failed(completed)
        jobs: dict[str, JobStatus] = {}
        for line in completed.stdout.splitlines():
            fields = line.split("|")
            if len(fields) == 5:
                job_id, state, exit_code, reason, node = fields
                for element in expand(job_id):
                    jobs[element] = self._ended(element, state, exit_code, reason, node)
        return jobs

    def _parse_scontrol(self, completed: Completed) -> dict[str, JobStatus]:
        if completed.returncode != 0:
            if "Invalid job id" in completed.stderr:
                return {}
            raise failed(completed)
        jobs: dict[str, JobStatus] = {}
        for line in completed.stdout.splitlines():
            fields = dict(_SCONTROL_FIELD.findall(line))
            if not {"JobId", "JobState", "ExitCode"} <= fields.keys():
                continue
            job_id = fields["JobId"]
            if "ArrayJobId" in fields and "ArrayTaskId" in fields:
                task = fields["ArrayTaskId"]
                job_id = f"{fields['ArrayJobId']}_{task if task.isdigit() else f'[{task}]'}"
            for element in expand(job_id):
                jobs[element] = self._ended(
                    element,
                    fields["JobState"],
                    fields["ExitCode"],
                    fields.get("Reason", ""),
                    fields.get("NodeList", ""),
                )
        return jobs

    def _ended(self, job_id: str, state: str, exit_code: str, reason: str, node: str) -> JobStatus:
        raw = state.partition(" ")[0]  # `CANCELLED by 1000`
        meaning, cause = self.meaning(raw, STATES)
        code, _, signal = exit_code.partition(":")
        over = meaning is BatchState.ENDED
        return JobStatus(
            job_id,
            meaning,
            raw,
            reason=_said(reason),
            node=_said(node),
            cause=cause,
            exit_code=int(code) if over and code.isdigit() else None,
            signal=(int(signal) or None) if over and signal.isdigit() else None,
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the scancel command, with the elements of an array as `5_[0-3,7]`."""
        return ("scancel", *self._cluster_option(), *compact(job_ids))

    def fallback(self, completed: Completed) -> Self | None:
        """Submit shorter arrays where the site's MaxArraySize is small, and none where it is 0."""
        too_long = "Invalid job array specification" in completed.stderr
        if completed.argv[0] == "sbatch" and too_long and self.array_limit > 1:
            return dataclasses.replace(self, array_limit=max(1, self.array_limit // 10))
        return None

    def cancel_problem(self, completed: Completed) -> str:
        """Unknown and ended jobs are passed over by scancel itself, silently."""
        return self.rejection(completed) if completed.returncode else ""

    def log_pattern(self, *, array: bool) -> str:
        """`%J` is the job's id, `%A_%a` an array's id and the element's index."""
        return "%A_%a" if array else "%J"

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return what the template's `-o` and `-e` come to, or Slurm's default."""
        if log_directory is None:
            return (f"slurm-{job_id}.out",)
        stem = f"{log_directory}/{job_name}-{job_id}"
        array, _, index = job_id.partition("_")
        own = {"x": job_name, "%": "%", "A": array}
        own |= {"a": index} if index else {"j": job_id, "J": job_id}
        return (
            filled(self.stdout, own) if self.stdout else f"{stem}.out",
            filled(self.stderr, own) if self.stderr else f"{stem}.err",
        )

    def _cluster_option(self) -> Argv:
        return (f"--clusters={self.clusters}",) if self.clusters else ()


def expand(job_id: str) -> list[str]:
    """Return the elements that an id with several of them in brackets stands for.

    Examples
    --------
    >>> expand("5_[0-2,7%4]"), expand("5_3"), expand("5")
    (['5_0', '5_1', '5_2', '5_7'], ['5_3'], ['5'])
    """
    match = _ELEMENTS.fullmatch(job_id)
    if match is None:
        return [job_id]
    elements: list[str] = []
    for part in match["indices"].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            end = int(last) if last.isdigit() else int(first)
            elements += [f"{match['array']}_{index}" for index in range(int(first), end + 1)]
    return elements


def _base_ids(job_ids: Iterable[str]) -> list[str]:
    """Return ids with each array once: sacct and scontrol take no lists of elements."""
    return list(dict.fromkeys(job_id.partition("_")[0] for job_id in job_ids))


def compact(job_ids: Iterable[str]) -> list[str]:
    """Return ids with the elements of each array written as one.

    Examples
    --------
    >>> compact(["7", "5_0", "5_1", "5_4"])
    ['7', '5_[0-1,4]']
    """
    plain, arrays = by_array(job_ids, _ELEMENT)
    return plain + [f"{array}_[{','.join(range_texts(i))}]" for (array,), i in arrays.items()]


def _without_blanks(directive: str) -> str:
    """Take the blanks out of a list.

    Examples
    --------
    >>> _without_blanks("-L scratch, home -C big"), _without_blanks('--comment="a, b"')
    ('-L scratch,home -C big', '--comment="a, b"')
    """
    return directive if '"' in directive or "'" in directive else _BLANKS.sub(",", directive)


def _said(text: str) -> str:
    """Return a field's text, "" where Slurm's word means that there is nothing to say."""
    return "" if text in ("None", "N/A", "(null)", "Unknown", "None assigned") else text


def _by_id(jobs: Iterable[JobStatus | None]) -> dict[str, JobStatus]:
    return {job.job_id: job for job in jobs if job is not None}
