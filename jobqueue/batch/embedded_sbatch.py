"""The embedded batch system's sbatch: options, directives, and refusals in Slurm's words."""

from __future__ import annotations

import dataclasses
import getpass
import os
import re
import shlex
import time
from collections.abc import Sequence

from jobqueue.batch.embedded_daemon import ensure_running
from jobqueue.batch.embedded_store import Store, StoredJob

PARTITIONS = ("debug", "short")
CPUS = 256
"""Cores of a pretended node, whatever this machine has."""

_LONG = {
    "-A": "--account",
    "-J": "--job-name",
    "-N": "--nodes",
    "-c": "--cpus-per-task",
    "-e": "--error",
    "-n": "--ntasks",
    "-o": "--output",
    "-p": "--partition",
    "-t": "--time",
    "-a": "--array",
}
_KNOWN = frozenset(_LONG.values()) | {
    "--comment",
    "--mem",
    "--parsable",
    "--signal",
    "--no-requeue",
    "--ntasks-per-node",
}
_FLAGS = frozenset({"--parsable", "--no-requeue", "--exclusive", "--requeue"})
_ARRAY = re.compile(r"(\d+)(?:-(\d+))?")
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


class Refused(Exception):
    """What the command says on stderr before it ends with a status of its own."""

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.status = status


def sbatch(arguments: Sequence[str]) -> str:
    """Submit a script; return the id."""
    store = Store()
    path, given = _sbatch_options(arguments)
    text = _script(path)
    options = _directives(text) | given
    _check(options)
    jobs = _jobs(text, options, path)
    with store.locked():
        store.forget_old()
        first = store.next_numbers(len(jobs))
        for offset, job in enumerate(jobs):
            store.write(_numbered(job, first, offset))
        ensure_running(store)
    return str(first) if "--parsable" in options else f"Submitted batch job {first}"


def _sbatch_options(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    options: dict[str, str] = {}
    words = list(arguments)
    while words and words[0].startswith("-"):
        options |= _option(words)
    if len(words) != 1:
        raise Refused("sbatch: error: exactly one job script, please")
    return words[0], options


def _option(words: list[str]) -> dict[str, str]:
    """Take one option, and its value, off the front."""
    word = words.pop(0)
    name, equals, value = word.partition("=")
    if not word.startswith("--") and len(word) > 2:
        name, equals, value = word[:2], "=", word[2:]
    name = _LONG.get(name, name)
    if name not in _KNOWN | _FLAGS:
        raise Refused(
            f"sbatch: unrecognized option '{name}'",
            'Try "sbatch --help" for more information',
            status=255,
        )
    if name not in _FLAGS and not equals:
        value = words.pop(0) if words else ""
    return {name: value}


def _script(path: str) -> str:
    try:
        with open(path, newline="") as file:
            text = file.read()
    except OSError:
        raise Refused(f"sbatch: error: Unable to open file {path}") from None
    if not text.startswith("#!"):
        raise Refused(
            "sbatch: error: This does not look like a batch script.  The first",
            "sbatch: error: line must start with #! followed by the path to an interpreter.",
            "sbatch: error: For instance: #!/bin/sh",
        )
    if "\r\n" in text:
        raise Refused(
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)",
            "sbatch: error: instead of expected UNIX line breaks (\\n).",
        )
    return text


def _directives(text: str) -> dict[str, str]:
    """Read ``#SBATCH`` lines up to the first command."""
    options: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#SBATCH"):
            words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
            while words:
                options |= _option(words)
        elif line.strip() and not line.startswith("#"):
            break
    return options


def _check(options: dict[str, str]) -> None:
    failed = "sbatch: error: Batch job submission failed: "
    partition = options.get("--partition", PARTITIONS[0])
    if partition not in PARTITIONS:
        raise Refused(
            f"sbatch: error: invalid partition specified: {partition}",
            f"{failed}Invalid partition name specified",
        )
    if int(options.get("--nodes", "1")) > 1:
        raise Refused(f"{failed}Node count specification invalid")
    if int(options.get("--cpus-per-task", "1")) > CPUS:
        raise Refused(
            "sbatch: error: CPU count per node can not be satisfied",
            f"{failed}Requested node configuration is not available",
        )


def _jobs(text: str, options: dict[str, str], path: str) -> list[StoredJob]:
    """Return the jobs to be, numbered later."""
    job = StoredJob(
        number=0,
        array=None,
        index=None,
        name=options.get("--job-name", os.path.basename(path)),
        partition=options.get("--partition", PARTITIONS[0]),
        comment=options.get("--comment", ""),
        cpus=int(options.get("--cpus-per-task", "1")),
        time_limit=time_limit(options["--time"]) if "--time" in options else None,
        script=text,
        stdout=options.get("--output", ""),
        stderr=options.get("--error", ""),
        folder=os.getcwd(),
        environment=dict(os.environ),
        submitted=time.time(),
    )
    if "--array" not in options:
        return [job]
    match = _ARRAY.fullmatch(options["--array"])
    if match is None:
        raise Refused("sbatch: error: Invalid job array specification")
    first, last = int(match[1]), int(match[2] or match[1])
    return [dataclasses.replace(job, index=index) for index in range(first, last + 1)]


def _numbered(job: StoredJob, first: int, offset: int) -> StoredJob:
    number = first + offset
    array = first if job.index is not None else None
    default = f"slurm-{first}_{job.index}.out" if array else f"slurm-{number}.out"
    numbered = dataclasses.replace(job, number=number, array=array)
    out = _log_path(numbered, job.stdout or default)
    return dataclasses.replace(
        numbered, stdout=out, stderr=_log_path(numbered, job.stderr) if job.stderr else out
    )


def _log_path(job: StoredJob, pattern: str) -> str:
    """Replace what Slurm replaces in the name of a log; variables are not among it."""
    values = {
        "%A": str(job.array or job.number),
        "%a": str(job.index if job.index is not None else 4294967294),
        "%j": str(job.number),
        "%J": str(job.number),
        "%u": getpass.getuser(),
        "%x": job.name,
        "%%": "%",
    }
    path = re.sub(r"%[AajJux%]", lambda match: values[match[0]], pattern)
    return os.path.join(job.folder, path)


def time_limit(text: str) -> float:
    """Return the seconds of a `--time`: minutes, `hours:minutes:seconds`, `days-hours` and so on.

    Examples
    --------
    >>> time_limit("90"), time_limit("1:30:00"), time_limit("1-2")
    (5400.0, 5400.0, 93600.0)
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise Refused("sbatch: error: Invalid --time specification")
    days = match[1]
    a, b, c = (int(part or 0) for part in match.groups()[1:])
    if days is not None:  # days-hours:minutes:seconds
        return int(days) * 86400.0 + a * 3600 + b * 60 + c
    if match[4] is not None:  # hours:minutes:seconds
        return a * 3600.0 + b * 60 + c
    return a * 60.0 + b  # minutes[:seconds]
