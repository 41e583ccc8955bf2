"""PBS: qsub, qstat, qdel. OpenPBS and PBS Professional, TORQUE, and Slurm's `qsub` wrappers."""

from __future__ import annotations

import dataclasses
import enum
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
)
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.ids import by_array, range_texts, whole_line
from jobqueue.batch.qstat import (
    MARK,
    Attributes,
    is_json,
    mark_of,
    nodes_of,
    parse_json,
    parse_plain,
    reason_of,
)

_ENDED: Meaning = (BatchState.ENDED, None)

STATES: Mapping[str, Meaning] = {
    "Q": PENDING,
    "H": PENDING,
    "W": PENDING,
    "T": PENDING,
    "R": RUNNING,
    # Suspended, by the server or because the workstation's owner is back: it will go on.
    "S": RUNNING,
    "U": RUNNING,
    # Exiting: its processes are being ended.
    "E": RUNNING,
    # An array some of whose elements have begun; the elements have states of their own.
    "B": RUNNING,
    # An element that ended, a job in the history, a job in TORQUE's memory.
    "X": _ENDED,
    "F": _ENDED,
    "C": _ENDED,
}

_SUBMITTED = re.compile(r"(?P<number>[0-9]+)(?P<array>\[\])?(?P<server>\.[\w.-]+)", re.ASCII)
_SUBMITTED_BARE = re.compile(r"(?P<number>[0-9]+)(?P<array>\[\])?(?P<server>)")
_ELEMENT = re.compile(r"(?P<number>\d+)\[(?P<index>\d+)\](?P<server>(\.[\w.-]+)?)")
_UNKNOWN_JOB = 153
_FINISHED_JOB = 35
_SIGNALLED = 256  # Exit_status of a job killed by signal N is 256 + N
# Negative: PBS itself ended the job.
_KILLED = {
    -29: EndCause.WALLTIME,
    -27: EndCause.OUT_OF_MEMORY,
    -26: EndCause.OUT_OF_MEMORY,  # of address space
}
_KILLED_BY_TORQUE = {
    -10: EndCause.OUT_OF_MEMORY,
    -11: EndCause.WALLTIME,
}
_TERM = 15
_VARIABLES = re.compile(r"^#PBS\b.*\s-v", re.MULTILINE)
_NAME = re.compile(r"^#PBS +-N .*$", re.MULTILINE)
_WRAPPED_ERROR = "and the output was:"
_TORQUE_VERSION = re.compile(r"^[Vv]ersion: \d", re.MULTILINE)  # PBS says "pbs_version = "
_PERL_REFUSAL = re.compile(
    r"^Unknown option: \w+$", re.MULTILINE
)  # C programs say "invalid option"


class Dialect(enum.Enum):
    """Whose qsub, qstat and qdel they are."""

    PBS = "OpenPBS, PBS Professional"
    TORQUE = "TORQUE: nodes and ppn, arrays by -t, ended jobs listed for some minutes, no JSON"
    SLURM_WRAPPERS = "the wrappers over Slurm that come with it: no arrays, no history, no JSON"


@dataclass(frozen=True)
class PBSAdapter(BatchAdapter):
    """OpenPBS, PBS Professional, TORQUE, and Slurm's wrappers of the same names.

    Parameters
    ----------
    dialect
        Whose commands they are.
    json
        Whether qstat can answer in JSON (`-F json`); else it answers in wrapped lines.
    array_limit
        Jobs in one array; the server's `max_array_size` is 10,000 unless configured.
    """

    name: ClassVar[str] = "pbs"
    template: ClassVar[str] = "pbs.sh.j2"
    directive_prefix: ClassVar[str] = "#PBS"
    job_id_expression: ClassVar[str] = "${PBS_JOBID:-$SLURM_JOB_ID}"
    # `22[3].server.site` is known as `22[3]` to readers of worker names.
    job_label_expression: ClassVar[str] = "${JOBQUEUE_JOB_ID%%.*}"
    probe_argv: ClassVar[Argv] = ("qstat", "--version")
    node_script: ClassVar[bool] = True

    dialect: Dialect = Dialect.PBS
    json: bool = True
    array_limit: int = 10_000

    def with_directives(self, directives: Sequence[str]) -> Self:
        """No directive concerns qstat or qdel: the server's name is part of each id."""
        return self

    def launcher(self, nodes: int, cores: int) -> str:
        """Return pbsdsh, which TORQUE has to be told to count nodes, and not their cores.

        Slurm's wrappers come without one.
        """
        if self._wrappers:
            return f"srun --ntasks-per-node=1 --export=ALL {super().launcher(nodes, cores)}"
        return f"pbsdsh {'-u ' if self._torque else ''}{super().launcher(nodes, cores)}"

    def marked(self, text: str, tag: str, *, count: int = 1) -> str:
        """Put the mark among the job's variables, which qstat shows, unless the script has some.

        Names are short in some versions, and logs are called after them. The wrappers show none.
        """
        if self._wrappers or _VARIABLES.search(text):
            return text
        return _NAME.sub(lambda line: f"{line[0]}\n#PBS -v {MARK}={tag}", text, count=1)

    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the qsub command; an array of one is refused by PBS, so that is a plain job.

        The wrappers pass over the script's `-o` and `-e`.
        """
        argv = ["qsub"]
        if self._wrappers and log_directory is not None:
            argv += ["-o", f"{log_directory}/%j.OU", "-e", f"{log_directory}/%j.ER"]
        if count > 1:
            argv += ["-t" if self._torque else "-J", f"0-{count - 1}"]
        return (*argv, script)

    def variables(self) -> dict[str, Any]:
        """Return `nodes_and_ppn`: whether resources are asked for as TORQUE wants it.

        TORQUE passes over `-l select=` without a word, and gives the job one core.
        """
        return {**super().variables(), "nodes_and_ppn": self._torque}

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
        """Return qsub's error; the wrappers print theirs on stdout, below what they ran."""
        words = _unwrapped(completed.words)
        lines = (line.strip().removeprefix("qsub: ") for line in words.splitlines())
        return "; ".join(line.removeprefix("sbatch: error: ") for line in lines if line)

    def submitted(
        self, completed: Completed, count: int = 1, *, script: str = ""
    ) -> tuple[str, ...]:
        """As for others; of a refusal, the wrappers' account of what they ran is left out."""
        if _WRAPPED_ERROR in completed.words:
            completed = dataclasses.replace(
                completed, stdout=_unwrapped(completed.words), stderr=""
            )
        return super().submitted(completed, count, script=script)

    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Ask for these jobs, and for the elements of their arrays."""
        return self._qstat(() if self._wrappers else ("-t",), job_ids)

    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Ask the job history, which is off unless the site has switched it on.

        The others have none, and show ended jobs for some minutes anyway.
        """
        if self.dialect is not Dialect.PBS:
            return ()
        return (self._qstat(("-x", "-t"), job_ids),)

    @property
    def _wrappers(self) -> bool:
        return self.dialect is Dialect.SLURM_WRAPPERS

    @property
    def _torque(self) -> bool:
        return self.dialect is Dialect.TORQUE

    def _qstat(self, options: Argv, job_ids: Sequence[str]) -> Query:
        form = ("-F", "json") if self.json else ()
        argv = ("qstat", *options, "-f", *form, *arrays_once(job_ids))
        return Query(argv, lambda completed: self._parse(completed, job_ids))

    def _parse(self, completed: Completed, asked: Sequence[str]) -> dict[str, JobStatus]:
        """Read either format, whatever was asked for.

        Jobs that qstat does not know, or that finished, are errors beside the answer for the rest.
        """
        if completed.returncode not in (0, _UNKNOWN_JOB, _FINISHED_JOB):
            raise failed(completed)
        output = completed.stdout
        jobs = parse_json(output) if output.lstrip().startswith("{") else parse_plain(output)
        names = {_number(job_id): job_id for job_id in asked}
        # qstat may write the server's name out where qsub has not.
        named = {j if j in asked else names.get(_number(j), j): a for j, a in jobs.items()}
        marks = {_array_of(job_id): mark for job_id, a in jobs.items() if (mark := mark_of(a))}
        return {
            job_id: self._status(job_id, attributes, marks.get(_array_of(job_id), ""))
            for job_id, attributes in named.items()
            if "[]" not in job_id
        }

    def _status(self, job_id: str, attributes: Attributes, mark: str) -> JobStatus:
        raw = attributes.get("job_state", "")
        state, _ = self.meaning(raw, STATES)
        cause, code, signal = None, None, None
        if state is BatchState.ENDED:
            status = attributes.get("Exit_status", attributes.get("exit_status"))
            killed = _KILLED_BY_TORQUE if self._torque else _KILLED
            cause, code, signal = _end(raw, _integer(status), killed)
        return JobStatus(
            job_id,
            state,
            raw,
            reason=reason_of(attributes),
            node=nodes_of(attributes),
            cause=cause,
            exit_code=code,
            signal=signal,
            held=raw == "H",
            tag=mark,
            estimated_start=attributes.get("estimated.start_time", ""),
        )

    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the qdel command, with runs of an array's elements as `22[0-3].server`.

        TORQUE takes one element at a time.
        """
        return ("qdel", *(job_ids if self._torque else compact(job_ids)))

    def cancel_problem(self, completed: Completed) -> str:
        """Unknown and finished jobs are errors to qdel, and none to us.

        The wrappers' exit status is the number of jobs that could not be ended, and they say
        nothing about those that are unknown or ended.
        """
        if completed.returncode in (0, _UNKNOWN_JOB, _FINISHED_JOB):
            return ""
        if self._wrappers and not completed.words:
            return ""
        return "; ".join(completed.words.splitlines()) or f"exit status {completed.returncode}"

    def log_pattern(self, *, array: bool) -> str:
        """PBS names the files in a folder by itself."""
        return ""

    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return `ID.OU` and `ID.ER` in the folder, or PBS's default, `NAME.oNUMBER`.

        TORQUE has its default in a folder as well, with `10-3` for an array's element.
        """
        if self._torque:
            number = _number(job_id).replace("[", "-").removesuffix("]")
            folder = "" if log_directory is None else f"{log_directory}/"
            return (f"{folder}{job_name}.o{number}", f"{folder}{job_name}.e{number}")
        if log_directory is not None:
            return (f"{log_directory}/{job_id}.OU", f"{log_directory}/{job_id}.ER")
        number = _number(job_id)
        if element := _ELEMENT.fullmatch(job_id):
            number = f"{element['number']}.{element['index']}"
        return (f"{job_name}.o{number}", f"{job_name}.e{number}")

    def fallback(self, completed: Completed) -> Self | None:
        """Recognise TORQUE by its version, Slurm's wrappers by how they refuse to tell one.

        Elsewhere, do without JSON where there is none.
        """
        if completed.argv[0] != "qstat" or self.dialect is not Dialect.PBS:
            return None
        if completed.argv == self.probe_argv and _TORQUE_VERSION.search(completed.words):
            return dataclasses.replace(self, dialect=Dialect.TORQUE, json=False)
        if completed.returncode and _PERL_REFUSAL.search(completed.stderr):
            return dataclasses.replace(
                self, dialect=Dialect.SLURM_WRAPPERS, json=False, array_limit=1
            )
        if self.json and "-F" in completed.argv and _no_json(completed):
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
    plain, arrays = by_array(job_ids, _ELEMENT)
    return plain + [
        f"{number}[{text}]{server}"
        for (number, server), indices in arrays.items()
        for text in range_texts(indices)
    ]


def _end(
    raw_state: str, exit_status: int | None, killed: Mapping[int, EndCause]
) -> tuple[EndCause | None, int | None, int | None]:
    """Return cause, exit code and signal.

    A finished job without an exit status was deleted while it was queued. An array's element (X)
    never has one, and neither has any job of the wrappers (C).
    """
    if exit_status is None:
        return (EndCause.CANCELLED if raw_state == "F" else None), None, None
    if exit_status == 0:
        return EndCause.COMPLETED, 0, None
    if exit_status in killed:
        return killed[exit_status], None, None
    if exit_status > _SIGNALLED:
        signal = exit_status - _SIGNALLED
        return (EndCause.CANCELLED if signal == _TERM else EndCause.CRASHED), None, signal
    return EndCause.CRASHED, (exit_status if exit_status > 0 else None), None


def _no_json(completed: Completed) -> bool:
    """Tell a qstat that does not know `-F`, and one whose JSON cannot be read.

    Attributes hold what users have in their environment, which not every version escapes.
    """
    if completed.returncode == 0:
        return completed.stdout.lstrip().startswith("{") and not is_json(completed.stdout)
    return "option" in completed.stderr.lower() or "usage:" in completed.stderr.lower()


def _unwrapped(words: str) -> str:
    """Return what sbatch said to the wrappers, without what they say around it."""
    return words.partition(_WRAPPED_ERROR)[2].strip().strip("'").strip() or words


def _number(job_id: str) -> str:
    """Return the part of an id before the server's name."""
    return job_id.partition(".")[0]


def _array_of(job_id: str) -> str:
    """Return the number that a job has with the other elements of its array, if it is one."""
    return _number(job_id).partition("[")[0]


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None
