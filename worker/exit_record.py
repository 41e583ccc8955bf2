"""How a job agent remembers the ends of its workers, and its own, for those who ask later.

Batch systems forget ended jobs at different speeds and tell little about them; some keep no
accounting at all. So the agent writes down what it saw itself, as one small JSON file, when it is
asked to end and again at its end. Its fields, of which a reader need only know the first four:

- ``exit_code``: the agent's exit status, see `jobqueue.worker.exit_codes.ExitCode`
- ``cause``: why, in one phrase for people
- ``kind``: what the job's end was, a `jobqueue.worker.exit_codes.Kind`; "" if only the batch system
  can know, since somebody sent a signal
- ``tried``: ``[[address, outcome], ...]``: where no scheduler was found, if that is why
- ``said``: the last line of the worker that explains it, or null
- ``host``, ``pid``, ``job``, ``name``, ``rank``: which agent it is; rank null in jobs of one node
- ``started``, ``ended``: of the agent, in seconds since 1970
- ``workers``: the ends of its last fifty workers, each as `WorkerEnd`

In a job of several nodes, that of the first writes ID.json, the others write ID.RANK.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from jobqueue.worker.exit_codes import ExitCode

TAIL_BYTES = 4096
TAIL_LINES = 20
_ROUTINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ INFO jobqueue\.")  # see `process.LOG_FORMAT`
MAX_ENDS = 50

_MEANINGS = {
    ExitCode.TOLD_TO_END: "told to end",
    ExitCode.NO_SCHEDULER: "no scheduler within {death_timeout:g} s",
    ExitCode.REFUSED: "refused by the scheduler",
    ExitCode.RESTART: "to be started again",
    ExitCode.TERMINATED: "ended on SIGTERM",
}


def describe_status(status: int | None, *, death_timeout: float) -> str:
    """Say in one phrase how a worker process ended.

    Parameters
    ----------
    status
        Its exit status, -n if signal n killed it, None if it could not be started.
    death_timeout
        The seconds it waited for a scheduler.

    Examples
    --------
    >>> describe_status(-9, death_timeout=60.0)
    'killed by signal 9 (SIGKILL)'
    >>> describe_status(3, death_timeout=60.0)
    'exit 3: no scheduler within 60 s'
    """
    if status is None:
        return "could not be started"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = "unnamed"
        return f"killed by signal {-status} ({name})"
    meaning = _MEANINGS.get(ExitCode(status)) if status in _MEANINGS else None
    return f"exit {status}: " + (meaning or "crashed").format(death_timeout=death_timeout)


class Tail:
    """The last lines of what a process wrote; bounded, whatever it writes."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Append what was written."""
        self._data += data[-TAIL_BYTES:]
        del self._data[:-TAIL_BYTES]

    def lines(self) -> list[str]:
        """Return the last lines; the first may be cut.

        Without empty ones, and without what a worker of ours says while all is well: that it has
        connected is no word of whoever asks why it died.
        """
        lines = self._data.decode(errors="replace").splitlines()
        said = (line.rstrip() for line in lines if line.strip() and not _ROUTINE.match(line))
        return list(said)[-TAIL_LINES:]


class WorkerEnd(NamedTuple):
    """How one worker process ended. Times are seconds since 1970."""

    worker: str
    pid: int | None
    status: int | None
    cause: str
    started: float
    ended: float
    last_lines: list[str]


class ExitRecord:
    """Why an agent ended, and its workers before it.

    Parameters
    ----------
    agent
        What identifies the agent: host, pid, job id, name, ...
    started
        When it started, in seconds since 1970.
    """

    def __init__(self, agent: dict[str, object], *, started: float) -> None:
        self._agent = agent
        self._started = started
        self._ends: deque[WorkerEnd] = deque(maxlen=MAX_ENDS)

    def add(self, end: WorkerEnd) -> None:
        """Take note of the end of a worker. Only the last fifty are kept."""
        self._ends.append(end)

    def last_words(self) -> str | None:
        """Return the last line of the last worker that had something to say."""
        for end in reversed(self._ends):
            if end.last_lines:
                return end.last_lines[-1].strip()
        return None

    def to_json(self, *, ended: float, **fields: object) -> str:
        """Return the record as JSON text; `fields` tell of the agent's own end."""
        times = {"started": self._started, "ended": ended}
        workers = [end._asdict() for end in self._ends]
        record = {**self._agent, **fields, **times, "workers": workers}
        return json.dumps(record, indent=1) + "\n"


def show_tried(tried: Sequence[tuple[str, str]]) -> str:
    """Return where no scheduler was found, for people.

    Examples
    --------
    >>> show_tried([("tls://10.1.2.3:4000", "refused, nobody listens there"),
    ...             ("tls://192.168.0.5:4000", "timed out after 10 s")])
    '10.1.2.3:4000 refused, 192.168.0.5:4000 timed out after 10 s'
    """
    return ", ".join(
        f"{address.rpartition('://')[2]} {outcome.partition(',')[0]}" for address, outcome in tried
    )


def write_atomically(path: str, text: str) -> None:
    """Write a file so that nobody ever reads half of it.

    Raises
    ------
    OSError
        If the folder is missing, the disk full, ...; no partial file is left then.
    """
    temporary = f"{path}.{os.uname().nodename}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
