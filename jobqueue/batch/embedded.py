"""The embedded batch system: Slurm's commands for a machine without any batch system.

``python -m jobqueue.batch.embedded sbatch --parsable job.sh`` takes the arguments that
jobqueue.batch.slurm gives, prints what Slurm 22.05 prints, and runs the script as a process of
this machine.  So the same adapter, the same job script and the same way of a job lead through it
as through a real Slurm.  ``embedded_sbatch.py`` takes jobs in, everything that is known of them
lies in ``embedded_store.py``, and ``embedded_daemon.py`` runs them.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from jobqueue.batch.embedded_daemon import ensure_running
from jobqueue.batch.embedded_sbatch import Refused, sbatch
from jobqueue.batch.embedded_store import Store, StoredJob
from jobqueue.errors import BatchSystemError

PREFIX = (sys.executable, "-m", "jobqueue.batch.embedded")
"""Words before a command of Slurm's that have it answered here."""

_ELEMENTS = re.compile(r"(\d+)(?:_(?:\[([\d,-]+)\]|(\d+)))?")

# --- squeue, sacct -----------------------------------------------------------------------


def squeue(arguments: Sequence[str]) -> str:
    """List jobs; ``-o`` says how, ``-t all`` includes those that ended lately."""
    options = _value_options("squeue", arguments, ("-o", "-t", "-j", "-u"), ("--me", "-h", "-r"))
    ended = options.get("-t", "") == "all"
    wanted = options["-j"].split(",") if "-j" in options else None
    format_ = options.get("-o", "%i %P %j %T %N")
    return "\n".join(
        _line(job, format_)
        for job in _all_jobs()
        if (ended or not job.over)
        and (wanted is None or job.job_id in wanted or str(job.array) in wanted)
    )


def _line(job: StoredJob, format_: str) -> str:
    return re.sub(r"%(?:\.?\d+)?([a-zA-Z])", lambda match: _field(job, match[1]), format_)


def _field(job: StoredJob, letter: str) -> str:
    fields = {
        "i": job.job_id,
        "A": str(job.number),
        "F": str(job.array or job.number),
        "K": str(job.index) if job.index is not None else "N/A",
        "T": job.state,
        "r": job.reason,
        "S": _time(job.started),
        "N": job.node,
        "k": job.comment or "(null)",
        "j": job.name,
        "P": job.partition,
    }
    return fields.get(letter, "")


def sacct(arguments: Sequence[str]) -> str:
    """Tell how jobs ended."""
    options = _value_options("sacct", arguments, ("-j", "-o"), ("-n", "-P", "-X"))
    wanted = _expanded(_split_ids(options.get("-j", "")))
    names = options.get("-o", "JobID,State,ExitCode").split(",")
    return "\n".join(
        "|".join(_account(job, name) for name in names)
        for job in _all_jobs()
        if {job.job_id, str(job.array)} & wanted
    )


def _account(job: StoredJob, name: str) -> str:
    fields = {
        "jobid": job.job_id,
        "state": f"CANCELLED by {os.getuid()}" if job.state == "CANCELLED" else job.state,
        "exitcode": f"{job.exit_code}:{job.signal}",
        "reason": job.reason,
        "nodelist": job.node or "None assigned",
        "jobname": job.name,
    }
    return fields.get(name.lower(), "")


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) if seconds else "N/A"


def scontrol(arguments: Sequence[str]) -> str:
    """Remember no more than `sacct` does: the controller has forgotten every job."""
    raise Refused("slurm_load_jobs error: Invalid job id specified")


# --- scancel -----------------------------------------------------------------------------


def scancel(arguments: Sequence[str]) -> str:
    """Cancel jobs; unknown and ended ones are passed over in silence."""
    store = Store()
    wanted = _expanded(word for word in arguments if not word.startswith("-"))
    with store.locked():
        for job in store.jobs():
            if not job.over and {job.job_id, str(job.array or job.number)} & wanted:
                store.ask_to_cancel(job)
        ensure_running(store)
    return ""


def _expanded(words: Iterable[str]) -> set[str]:
    """Return ids with ``5_[0-2,7]`` written out."""
    ids: set[str] = set()
    for word in words:
        match = _ELEMENTS.fullmatch(word)
        if match is None:
            raise Refused(f"scancel: error: Invalid job id {word}")
        if match[2] is None:
            ids.add(word)
            continue
        for part in match[2].split(","):
            first, _, last = part.partition("-")
            ids |= {f"{match[1]}_{index}" for index in range(int(first), int(last or first) + 1)}
    return ids


def _split_ids(text: str) -> list[str]:
    return [word for word in re.split(r",(?![^\[]*\])", text) if word]


# --- all of them -------------------------------------------------------------------------


def _all_jobs() -> list[StoredJob]:
    store = Store()
    with store.locked():
        ensure_running(store)
    return store.jobs()


def _value_options(
    command: str, arguments: Sequence[str], valued: Sequence[str], flags: Sequence[str]
) -> dict[str, str]:
    options: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in valued and words:
            options[word] = words.pop(0)
        elif word in flags:
            options[word] = ""
        else:
            raise Refused(f"{command}: unrecognized option '{word}'")
    return options


COMMANDS: dict[str, Callable[[Sequence[str]], str]] = {
    "sbatch": sbatch,
    "squeue": squeue,
    "scancel": scancel,
    "sacct": sacct,
    "scontrol": scontrol,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"one of {', '.join(COMMANDS)}, please", file=sys.stderr)
        return 2
    try:
        output = COMMANDS[arguments[0]](arguments[1:])
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return refusal.status
    except BatchSystemError as error:
        print(f"{arguments[0]}: error: {error}", file=sys.stderr)
        return 1
    if output:
        print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
