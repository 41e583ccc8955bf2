"""What `jobqueue doctor` concludes from a job that came up: pure functions, from what was found to
findings with remedies.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jobqueue.worker.limits import show_bytes

SAME_PYTHON = "let `python` name an interpreter with the same packages as this one"
SHARED = "set JOBQUEUE_STATE_DIRECTORY, or shared_temp_directory, to a folder that all nodes share"


class Verdict(enum.StrEnum):
    """What a finding means."""

    OK = "ok"
    NOTE = "note"  # it works, and may surprise
    BAD = "bad"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table.

    Parameters
    ----------
    check
        What was looked at.
    verdict, fact
        How it is.
    remedy
        What to do about it, "" if nothing is to be done.
    """

    check: str
    verdict: Verdict
    fact: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was found by a job that came up.

    Parameters
    ----------
    cores, memory
        What was asked for; bytes.
    here, there
        What `doctor_probe.facts` says on this machine, and on the node.
    tokens
        What was written here: file -> (what its folder is for, its text).
    read
        What `doctor_probe.read` made of these files there.
    addresses
        The scheduler's, as (address, seconds or None, error).
    skew, uncertainty
        Seconds that the node's clock is ahead, and how far that may be wrong.
    round_trip
        Seconds of a call to the worker and back.
    log_seen
        Whether what the job has printed can be read here.
    """

    cores: int
    memory: int
    here: Mapping[str, Any]
    there: Mapping[str, Any]
    tokens: Mapping[str, tuple[str, str]]
    read: Mapping[str, Mapping[str, str]]
    addresses: Sequence[tuple[str, float | None, str]]
    skew: float
    uncertainty: float
    round_trip: float
    log_seen: bool


def examine(evidence: Evidence) -> list[Finding]:
    """Return all findings, in the order of `CHECKS`."""
    return [finding for check in CHECKS for finding in check(evidence)]


# --- the checks --------------------------------------------------------------------------

SKEW = 5.0
"""Seconds between two clocks that are worth a word."""

FEW_FILES = 1024
SMALL_DISK = 2 * 2**30
NETWORK_FILE_SYSTEMS = re.compile(r"nfs|lustre|gpfs|beegfs|ceph|afs|cifs|panfs|wekafs|fuse")


def python(evidence: Evidence) -> Iterable[Finding]:
    """Both ends run the same Python."""
    here, there = evidence.here["python"], evidence.there["python"]
    where = f"{there} ({evidence.there['executable']})"
    if here == there:
        yield Finding("python", Verdict.OK, where)
    else:  # a scheduler refuses another minor version, so this one works
        yield Finding("python", Verdict.NOTE, f"{where}; here {here}", SAME_PYTHON)


def packages(evidence: Evidence) -> Iterable[Finding]:
    """Both ends understand the same pickles."""
    here, there = evidence.here["packages"], evidence.there["packages"]
    equal, told = [], False
    for name, version in here.items():
        if version == there.get(name):
            equal.append(f"{name} {version}")
            continue
        told = True
        if name not in there:
            yield Finding(
                "packages",
                Verdict.NOTE,
                f"{name} {version} is here, not on the node",
                "tasks that use it would fail: install it for the job's Python, or let `python` "
                "name the environment that has it",
            )
            continue
        fatal = name == "jobqueue"
        yield Finding(
            "packages",
            Verdict.BAD if fatal else Verdict.NOTE,
            f"{name} {there[name]} on the node, {version} here",
            SAME_PYTHON,
        )
    if equal or not told:
        yield Finding("packages", Verdict.OK, ", ".join(equal))


def addresses(evidence: Evidence) -> Iterable[Finding]:
    """The node reaches the scheduler, best at the first of its addresses."""
    best = next((a for a, seconds, _ in evidence.addresses if seconds is not None), None)
    for address, seconds, error in evidence.addresses:
        if seconds is not None:
            yield Finding(
                "network", Verdict.OK, f"{address} answers, handshake in {_duration(seconds)}"
            )
        else:
            remedy = (
                "workers take another; interface= or contact_address= keep them from trying"
                if best
                else "see that some address is reachable"
            )
            fact = error if address in error else f"{address}: {error}"
            yield Finding("network", Verdict.NOTE if best else Verdict.BAD, fact, remedy)
    yield Finding("round trip", Verdict.OK, _duration(evidence.round_trip))


def folders(evidence: Evidence) -> Iterable[Finding]:
    """What is written here is read there."""
    for path, (purpose, text) in evidence.tokens.items():
        folder = path.rpartition("/")[0]
        found = evidence.read.get(path, {"text": "", "error": "not looked at"})
        if found["text"] == text:
            yield Finding("shared folder", Verdict.OK, f"{purpose}: {folder}")
        else:
            why = found["error"] or "the node reads another text"
            yield Finding(
                "shared folder",
                Verdict.BAD,
                f"{purpose}: {folder} is not the same there: {why}",
                SHARED,
            )


def log(evidence: Evidence) -> Iterable[Finding]:
    """What the job prints can be read here."""
    if evidence.log_seen:
        yield Finding("job log", Verdict.OK, "what the job prints can be read here")
    else:
        yield Finding(
            "job log",
            Verdict.NOTE,
            "what the job prints cannot be read here",
            "neither cluster.logs() nor errors can show it: let log_directory name a folder that "
            "nodes share",
        )


def clock(evidence: Evidence) -> Iterable[Finding]:
    """Both machines know what time it is."""
    certain = abs(evidence.skew) - evidence.uncertainty
    way = "ahead" if evidence.skew > 0 else "behind"
    if certain < SKEW:
        within = max(abs(evidence.skew), evidence.uncertainty)
        yield Finding("clock", Verdict.OK, f"the node's is right within {_duration(within)}")
    else:
        yield Finding(
            "clock",
            Verdict.NOTE,
            f"the node's is {abs(evidence.skew):.0f} s {way}",
            "times in logs do not compare, and beyond a day certificates are refused: tell the "
            "site that the node's clock is wrong",
        )


def disk(evidence: Evidence) -> Iterable[Finding]:
    """Results that do not fit into memory have somewhere to go."""
    found = evidence.there["disk"]
    folder, free, kind = found["folder"], found["free"], found["kind"]
    remedy = "let local_directory name a folder on the node's own disk, $TMPDIR for instance"
    if free is None:
        yield Finding("local disk", Verdict.BAD, f"{folder}: {found['error']}", remedy)
    elif kind in ("tmpfs", "ramfs"):
        yield Finding(
            "local disk",
            Verdict.NOTE,
            f"{folder} is in memory ({kind}), {show_bytes(free)} free",
            f"results that do not fit into memory would go there: {remedy}",
        )
    elif NETWORK_FILE_SYSTEMS.search(kind):
        yield Finding(
            "local disk",
            Verdict.NOTE,
            f"{folder} is on the network ({kind}), {show_bytes(free)} free",
            remedy,
        )
    elif free < SMALL_DISK:
        yield Finding(
            "local disk", Verdict.NOTE, f"{folder}: only {show_bytes(free)} are free", remedy
        )
    else:
        yield Finding("local disk", Verdict.OK, f"{folder}: {show_bytes(free)} free ({kind})")


def limits(evidence: Evidence) -> Iterable[Finding]:
    """What `ulimit` says is enough."""
    found = evidence.there["limits"]
    texts = [f"{name} {_limit(name, value)}" for name, value in found.items()]
    files, space = found["open files"], found["virtual memory"]
    if 0 <= files < FEW_FILES:
        yield Finding(
            "ulimit",
            Verdict.NOTE,
            f"only {files} open files",
            "a worker holds a connection to each of many others: put `ulimit -n hard` into "
            "job_script_prologue",
        )
    if 0 <= space < evidence.memory:
        yield Finding(
            "ulimit",
            Verdict.BAD,
            f"{show_bytes(space)} of virtual memory for a process, {show_bytes(evidence.memory)} "
            "were asked for",
            "put `ulimit -v unlimited` into job_script_prologue, or ask the batch system for more",
        )
    if files < 0 or files >= FEW_FILES:
        yield Finding("ulimit", Verdict.OK, ", ".join(texts))


def granted(evidence: Evidence) -> Iterable[Finding]:
    """The job has what was asked for."""
    cpus, memory = evidence.there["cpus"], evidence.there["memory"]
    if cpus < evidence.cores:
        yield Finding(
            "cpus",
            Verdict.BAD,
            f"{cpus} may be used, {evidence.cores} were asked for",
            "compare the script's directives (cluster.job_script()) with what the site wants",
        )
    else:
        bound = "" if cpus == evidence.cores else ": the batch system does not hold jobs to it"
        yield Finding("cpus", Verdict.OK, f"{cpus} may be used, {evidence.cores} asked for{bound}")
    asked = show_bytes(evidence.memory)
    if memory < 0.95 * evidence.memory:
        yield Finding(
            "memory",
            Verdict.BAD,
            f"{show_bytes(memory)} may be used, {asked} were asked for",
            "workers go by the smaller one; compare the script's directives with what the site "
            "wants (job_mem, resource_spec)",
        )
    elif memory >= evidence.there["node_memory"]:
        yield Finding(
            "memory",
            Verdict.OK,
            f"{asked} asked for; no control group holds the job to it (node: {show_bytes(memory)})",
        )
    else:
        yield Finding("memory", Verdict.OK, f"{show_bytes(memory)} may be used, {asked} asked for")


CHECKS: Sequence[Callable[[Evidence], Iterable[Finding]]] = (
    python,
    packages,
    addresses,
    folders,
    log,
    clock,
    disk,
    limits,
    granted,
)


def _duration(seconds: float) -> str:
    """Write a short time for people.

    Examples
    --------
    >>> _duration(0.00123), _duration(2.5)
    ('1.2 ms', '2.5 s')
    """
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _limit(name: str, value: int) -> str:
    if value < 0:
        return "unlimited"
    return show_bytes(value) if name == "virtual memory" else f"{value}"
