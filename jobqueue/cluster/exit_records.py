"""What a job's agents wrote at their end: read by the cluster, because batch systems forget or lag.

The agent of a job's only or first node writes `ID.json`, those of the others `ID.1.json` and so on.
"""

from __future__ import annotations

import glob
import json
from pathlib import Path

from jobqueue.cluster.causes import COMPLETED, CRASHED, SIGNALLED, LastWords
from jobqueue.worker.exit_record import show_tried


def read_exit_records(path: Path) -> tuple[LastWords, ...]:
    """Return what the agents of a job wrote, the first node's first; () if nothing did.

    Parameters
    ----------
    path
        The file of the first node's agent.
    """
    pattern = f"{glob.escape(path.stem)}.*{path.suffix}"
    others = (other for other in path.parent.glob(pattern) if _rank(path, other).isdigit())
    records = map(read_exit_record, [path, *sorted(others, key=lambda o: int(_rank(path, o)))])
    return tuple(record for record in records if record is not None)


def read_exit_record(path: Path) -> LastWords | None:
    """Return what the file says; None if there is none, or nothing sensible in it."""
    try:
        record = json.loads(path.read_text())
        exit_code, phrase = int(record["exit_code"]), str(record["cause"])
        kind = record.get("kind")
        return LastWords(
            exit_code,
            phrase,
            _kind_of(exit_code) if kind is None else str(kind),
            show_tried(record.get("tried") or ()),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _rank(path: Path, other: Path) -> str:
    """Return what stands between the job's id and the suffix."""
    return other.name[len(path.stem) + 1 : -len(path.suffix)]


def _kind_of(exit_code: int) -> str:
    """Judge an agent that does not say it itself by its exit status."""
    if exit_code == 0:
        return COMPLETED
    return "" if exit_code > SIGNALLED else CRASHED
