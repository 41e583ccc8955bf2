"""The job agent's decisions about workers that cannot end themselves.

A worker ends itself when it has had no scheduler for the death timeout. It cannot while a task
holds the interpreter's lock (a long call of C code that never lets go of it): then its event loop
stands still. So a worker shows its agent that the loop runs, several times in each death timeout;
of one that does not, nothing bad is thought as long as there is a scheduler. The agent asks for
that itself, and when nobody has answered for the death timeout, it ends those workers.

Like `jobqueue.worker.supervise`, this file has no clock, process or connection: `now` comes in
with each call, in seconds of any monotonic clock.
"""

from __future__ import annotations

SHOWN = 8
"""Signs of life that a worker gives in each death timeout."""

SILENCE = 2
"""After so many parts of a death timeout without one, the agent begins to ask, each time again."""


class Watch:
    """Decides for one job agent when to ask for the scheduler, and which workers to end.

    Parameters
    ----------
    death_timeout
        Seconds that there may be no scheduler.

    Examples
    --------
    >>> watch = Watch(60.0)
    >>> watch.alive(0, now=0.0)
    >>> watch.deadline()
    30.0
    >>> watch.asks(30.0)
    True
    >>> watch.answered(False, now=31.0)
    []
    >>> watch.asks(91.0), watch.answered(False, now=91.0)
    (True, [0])
    """

    def __init__(self, death_timeout: float) -> None:
        self._death_timeout = death_timeout
        self._silence = death_timeout / SILENCE
        self._alive: dict[int, float] = {}  # by slot
        self._asking = False
        self._next = 0.0  # not to ask again before
        self._alone_since: float | None = None

    def __repr__(self) -> str:
        alone = "" if self._alone_since is None else f", no scheduler since {self._alone_since:g}"
        return f"<Watch {len(self._alive)} workers{alone}>"

    def alive(self, slot: int, now: float) -> None:
        """Take note that a worker was started, or showed that its loop runs."""
        self._alive[slot] = now

    def ended(self, slot: int) -> None:
        """Take note that a worker has ended."""
        self._alive.pop(slot, None)

    def asks(self, now: float) -> bool:
        """Return whether to ask for the scheduler now, to report with `answered`."""
        if not self._silent(now):
            self._alone_since = None
            return False
        if self._asking or now < self._next:
            return False
        self._asking = True
        return True

    def answered(self, there: bool, now: float) -> list[int]:
        """Take note whether there is a scheduler; return the slots whose workers to end."""
        self._asking = False
        self._next = now + self._silence / 2
        if there:
            self._alone_since = None
            return []
        if self._alone_since is None:
            self._alone_since = now
        return self._silent(now) if now >= self._alone_since + self._death_timeout else []

    def deadline(self) -> float | None:
        """Return when to call `asks` next, or None if only an event can change something."""
        if self._asking or not self._alive:
            return None
        return max(self._next, min(self._alive.values()) + self._silence)

    def _silent(self, now: float) -> list[int]:
        return [slot for slot, last in self._alive.items() if now >= last + self._silence]
