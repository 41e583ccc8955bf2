"""How a worker parts with its scheduler in order.

It says DRAIN when it knows that it has to end soon, works on what it has, and the scheduler ends it
as soon as nothing is only here any more. When that does not come in time, or there is none to
spare, it says LEAVING, waits a little while for the same, and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from jobqueue.protocol import messages as m
from jobqueue.worker.link import Link

LEAVE: Final = 8.0
"""Seconds to hand over results after LEAVING; the agent waits a little longer before it kills."""


class Parting:
    """Of one worker, in its event loop.

    Parameters
    ----------
    link
        The way to the scheduler.
    end
        Ends the worker, for the reason given.
    ran
        Returns what runs, by key, and for how many seconds it has.
    """

    def __init__(
        self, link: Link, end: Callable[[str], object], ran: Callable[[], dict[str, float]]
    ) -> None:
        self._link = link
        self._ran = ran
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._drains_until: float | None = None
        self._leaving = False

    def drain(self, cause: str, seconds: float) -> None:
        """Work on for so long, and let the scheduler take over what is only here.

        Said again, it can only shorten that time.

        Parameters
        ----------
        cause
            Why, for messages.
        seconds
            Until it leaves.
        """
        until = self._loop.time() + seconds
        if self._leaving or (self._drains_until is not None and until >= self._drains_until):
            return
        if self._alone:
            self._end(cause)
            return
        self._drains_until = until
        self._link.say((m.DRAIN, cause, seconds, self._ran()))
        self._wait(seconds, self.leave, cause, min(LEAVE, 0.8 * seconds))

    def leave(self, cause: str, seconds: float = LEAVE) -> None:
        """Say that it ends, and do so when the scheduler has nothing against it any more."""
        self._leaving = True
        self._link.say((m.LEAVING, cause))
        if self._alone:
            self._end(cause)
        else:
            self._wait(seconds, self._end, f"{cause}; not drained within {seconds:g} s")

    def lost(self, cause: str) -> None:
        """Take note that the connection is gone, and with it whoever could take anything over."""
        if self._drains_until is not None:
            self._end(cause)

    def clear(self) -> None:
        """Do not part after all: it begins anew."""
        self._drains_until, self._leaving = None, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _alone(self) -> bool:
        return self._link.comm is None or self._link.comm.closed

    def _wait(self, seconds: float, then: Callable[..., object], *arguments: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then, *arguments)
