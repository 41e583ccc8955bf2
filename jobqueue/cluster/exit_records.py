"""What a job's agent wrote at its end: read by the cluster, because batch systems forget or lag."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

DECISIVE = frozenset({"walltime", "out of memory", "preempted", "node failed", "cancelled"})
"""Causes that only the batch system can know; the agent has seen no more than a signal."""

COMPLETED, CRASHED = "completed", "crashed"


@dataclasses.dataclass(frozen=True, slots=True)
class ExitRecord:
    """Why an agent ended.

    Parameters
    ----------
    exit_code
        Its exit status.
    cause
        Why, in one phrase.
    """

    exit_code: int
    cause: str

    def judge(self, cause: str) -> str:
        """Return the cause of the job's end, given what the batch system says.

        Examples
        --------
        >>> record = ExitRecord(3, "no scheduler within the death timeout")
        >>> record.judge("crashed"), record.judge("node failed")
        ('no scheduler within the death timeout', 'node failed')
        """
        if cause in DECISIVE or not self.cause:
            return cause
        return COMPLETED if self.exit_code == 0 else self.cause


def read_exit_record(path: Path) -> ExitRecord | None:
    """Return what the file says; None if there is none, or nothing sensible in it."""
    try:
        record = json.loads(path.read_text())
        return ExitRecord(int(record["exit_code"]), str(record["cause"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
