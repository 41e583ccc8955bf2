"""LSF: bsub, bjobs, bkill. IBM Spectrum LSF, and OpenLava, whose answers are for readers only."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
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
)
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.bjobs import ENDED_BY_SIGNAL, Record, parse_json, parse_long
from jobqueue.batch.directives import option_value
from jobqueue.batch.ids import by_array, filled, mark_in, range_texts, whole_line

STATES: Mapping[str, Meaning] = {
    "PEND": PENDING,
    "PSUSP": PENDING,
    "WAIT": PENDING,
    "FWD_PEND": PENDING,
    # Its node is being prepared.
    "PROV": PENDING,
    "RUN": RUNNING,
    # Suspended, by its user or the system: it will go on.
    "USUSP": RUNNING,
    "SSUSP": RUNNING,
    # The daemon of its node does not answer; its processes may well run.
    "UNKWN": RUNNING,
    "DONE": (BatchState.ENDED, EndCause.COMPLETED),
    "EXIT": (BatchState.ENDED, EndCause.CRASHED),
    # Killed while the daemon of its node did not answer.
    "ZOMBI": (BatchState.ENDED, EndCause.NODE_FAILED),
}

# Why LSF ended a job, by the word that begins its explanation.
_TERMINATED: Mapping[str, EndCause] = {
    "TERM_RUNLIMIT": EndCause.WALLTIME,
    "TERM_DEADLINE": EndCause.WALLTIME,
    "TERM_WINDOW": EndCause.WALLTIME,
    "TERM_MEMLIMIT": EndCause.OUT_OF_MEMORY,
    "TERM_SWAP": EndCause.OUT_OF_MEMORY,
    "TERM_PREEMPT": EndCause.PREEMPTED,
    "TERM_RC_RECLAIM": EndCause.PREEMPTED,  # borrowed hosts were wanted back
    "TERM_REMOVE_HUNG_JOB": EndCause.NODE_FAILED,
    "TERM_OWNER": EndCause.CANCELLED,
    "TERM_ADMIN": EndCause.CANCELLED,
    "TERM_FORCE_OWNER": EndCause.CANCELLED,
    "TERM_FORCE_ADMIN": EndCause.CANCELLED,
}

_SUBMITTED = re.compile(r"Job <(?P<id>\d+)> is submitted to (default )?queue <[^<>]*>\.", re.ASCII)
_ELEMENT = re.compile(r"(?P<id>\d+)\[(?P<index>\d+)\]")
_FIELDS = "jobid jobindex stat exec_host pend_reason exit_code exit_reason start_time job_name"
# A job, or any job, that bjobs and bkill do not know, or that ended before.
_NOT_THERE = re.compile(
    r"(No (unfinished |matching |)job found.*|Job <[\d\[\]]+> is not found"
    r"|Job <[\d\[\]]+>: (No matching job found|Job has already finished.*|Job .*not found.*)"
    r"|Job <[\d\[\]]+> is being (terminated|signaled))\.?"
)
_NO_SUCH_OPTION = re.compile(
    r"illegal option|unknown option|invalid option|usage:|not.*field", re.I
)


@dataclass(frozen=True)
class LSFAdapter(BatchAdapter):
    """IBM Spectrum LSF 10.1, older ones, and OpenLava.

    Parameters
    ----------
    json
        Whether bjobs can answer in JSON; else its answer for readers (`-l`) is read.
    job_name
        The jobs' name, which names an array as well.
    project, ncpus, mem, lsf_units, use_stdin
        The keywords: project to charge, slots and bytes of memory to ask for, unit of memory
        limits, and whether bsub reads the script on its standard input.
    own_name, stdout, stderr
        The site's or user's own `-J`, `-o` and `-e`; "" for ours.
    named
        Whether jobs are to have a name at all, and with it their mark; an array has to.
    array_limit
        Jobs in one array; MAX_JOB_ARRAY_SIZE is 1,000 unless configured.
    """

    name: ClassVar[str] = "lsf"
    template: ClassVar[str] = "lsf.sh.j2"
    directive_prefix: ClassVar[str] = "#BSUB"
    job_id_expression: ClassVar[str] = (
        '$LSB_JOBID$([ "${LSB_JOBINDEX:-0}" = 0 ] || echo "[$LSB_JOBINDEX]")'
    )
    keywords: ClassVar[tuple[str, ...]] = (
        "job_name",
        "project",
        "ncpus",
        "mem",
        "lsf_units",
        "use_stdin",
    )
    node_script: ClassVar[bool] = True

    json: bool = True
    job_name: str = "dask-worker"
    project: str | None = None
    ncpus: int | None = None
    mem: int | None = None
    lsf_units: str | None = None
    use_stdin: bool = True
    own_name: str = ""
    named: bool = True
    stdout: str = ""
    stderr: str = ""
    array_limit: int = 1000

    def with_directives(self, directives: Sequence[str]) -> Self:
        """Take over a name and logs of the user's own."""
        name, stdout, stderr = (option_value(directives, each, {}) for each in ("-J", "-o", "-e"))
        return dataclasses.replace(
            self,
            own_name=name or self.own_name,
            stdout=stdout or self.stdout,
            stderr=stderr or self.stderr,
        )

    def with_keywords(self, values: Mapping[str, Any]) -> Self:
        """Leave out the name as well, if its line of the script is to be left out."""
        adapter = super().with_keywords(values)
        skip = values.get("job_directives_skip") or ()
        unnamed = any(entry.removeprefix(self.directive_prefix).strip() == "-J" for entry in skip)
        return dataclasses.replace(adapter, named=False) if unnamed else adapter

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the bsub command; the mark is in the name, and so is an array: `name[1-5]`.

        What stands there takes the place of a name in the script.
        """
        name = self.own_name or self.job_name
        marked = f"{name}-{tag}" if tag else name
        array = f"[1-{count}]" if count > 1 else ""
        named = ("-J", f"{marked}{array}") if (tag and self.named) or array else ()
        return ("bsub", *named, *(() if self.use_stdin else (script,)))

    def submit_input(self, script: str, text: str, *, count: int = 1) -> str | None:
        """Return the script: only there does bsub look for directives."""
        return text if self.use_stdin else None

    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Read `Job <101> is submitted to queue <normal>.`; elements are `101[1]` and so on."""
        match = whole_line(_SUBMITTED, output)
        if match is None:
            return ()
        job_id = match["id"]
        return (job_id,) if count == 1 else tuple(f"{job_id}[{i}]" for i in range(1, count + 1))

    def rejection(self, completed: Completed) -> str:
        """Return bsub's own words."""
        return "; ".join(line.strip() for line in completed.words.splitlines() if line.strip())

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for these jobs, those that ended within the last hour or so included."""
        form = ("-json", "-o", _FIELDS) if self.json else ("-l",)
        return Query(("bjobs", "-a", *form, *arrays_once(job_ids)), self._parse)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask for the story of these jobs, which tells signals and limits."""
        return (Query(("bjobs", "-a", "-l", *arrays_once(job_ids)), self._parse),)

    def _parse(self, completed: Completed) -> dict[str, JobStatus]:
        """Read either format; jobs that are not there are errors beside the answer for the rest."""
        if completed.returncode != 0:
            said = [line.strip() for line in completed.stderr.splitlines() if line.strip()]
            if not said or not all(_NOT_THERE.fullmatch(line) for line in said):
                raise failed(completed)
        output = completed.stdout
        begins = output.find("{\n") if "-json" in completed.argv else -1
        records = parse_json(output[begins:]) if begins >= 0 else parse_long(output)
        return {job_id: self._status(job_id, record) for job_id, record in records.items()}

    def _status(self, job_id: str, record: Record) -> JobStatus:
        state, cause = self.meaning(record.state, STATES)
        code, signal, reason = record.exit_code, record.signal, record.reason
        if state is BatchState.ENDED:
            cause = _TERMINATED.get(reason.partition(":")[0].strip(), cause)
            if code is not None and code > ENDED_BY_SIGNAL:
                signal, code = code - ENDED_BY_SIGNAL, None
            if cause is EndCause.COMPLETED:
                code = 0
        else:
            code = signal = None
        return JobStatus(
            job_id,
            state,
            record.state,
            reason=reason,
            node=record.node,
            cause=cause,
            exit_code=code,
            signal=signal,
            held=record.state == "PSUSP",
            tag=mark_in(record.name),
            estimated_start=record.start,
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the bkill command, with the elements of an array as `114[1-3,7]`."""
        return ("bkill", *compact(job_ids))

    def cancel_problem(self, completed: Completed) -> str:
        """Jobs that are gone or have ended are errors to bkill, and none to us."""
        return problem_but(completed, _NOT_THERE)

    def log_pattern(self, *, array: bool) -> str:
        """`%J` is the job's id, `%I` the index of an array's element."""
        return "%J.%I" if array else "%J"

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return what the template's `-o` and `-e` come to."""
        number, _, index = job_id.removesuffix("]").partition("[")
        stem = f"{job_name}-{number}{'.' if index else ''}{index}"
        stem = stem if log_directory is None else f"{log_directory}/{stem}"
        own = {"J": number, "I": index or "0"}
        return (
            filled(self.stdout, own) if self.stdout else f"{stem}.out",
            filled(self.stderr, own) if self.stderr else f"{stem}.err",
        )

    def fallback(self, completed: Completed) -> Self | None:
        """Read the answer for readers where bjobs has no JSON, or not these fields."""
        if not self.json or completed.argv[0] != "bjobs" or "-json" not in completed.argv:
            return None
        if completed.returncode and _NO_SUCH_OPTION.search(completed.stderr):
            return dataclasses.replace(self, json=False)
        return None


def arrays_once(job_ids: Iterable[str]) -> list[str]:
    """Return ids with all the elements of an array replaced by the array itself.

    Examples
    --------
    >>> arrays_once(["7", "114[1]", "114[4]"])
    ['7', '114']
    """
    return list(dict.fromkeys(_ELEMENT.sub(r"\g<id>", job_id) for job_id in job_ids))


def compact(job_ids: Iterable[str]) -> list[str]:
    """Return ids with the elements of each array written as one.

    Examples
    --------
    >>> compact(["7", "114[1]", "114[2]", "114[4]"])
    ['7', '114[1-2,4]']
    """
    plain, arrays = by_array(job_ids, _ELEMENT)
    return plain + [f"{number}[{','.join(range_texts(i))}]" for (number,), i in arrays.items()]


def units_in(lsf_conf: str) -> str:
    """Return the unit in which this `lsf.conf` wants memory limits: `kb` unless it says so.

    Examples
    --------
    >>> units_in("LSF_TOP=/opt/lsf\\nLSF_UNIT_FOR_LIMITS=MB # of all limits\\n"), units_in("")
    ('mb', 'kb')
    """
    found = re.findall(r'^\s*LSF_UNIT_FOR_LIMITS\s*=\s*"?(\w+)', lsf_conf, re.MULTILINE)
    return found[-1].lower() if found else "kb"
