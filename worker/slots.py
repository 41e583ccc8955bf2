"""One slot of a job agent: what is in it, and what becomes of it when its worker crashes.

A slot stays when the process in it is replaced. It goes this way:

    RUNNING -> ENDED      it ended for good, or the agent is ending
    RUNNING -> WAITING    it crashed, and is started again after a delay
    RUNNING -> RUNNING    it asked to be started again, or its tasks have ended it: at once
    WAITING -> RUNNING    the delay is over
    WAITING -> ENDED      the agent is ending
    RUNNING -> ENDED      it crashed once too often

No clock in here: `now` comes in with each call, in seconds of any monotonic clock.
"""

from __future__ import annotations

import enum
import math
import signal

from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.orders import GiveUp, Policy, Postpone, Spawn

# What batch systems end a job's processes with; tasks end their worker otherwise, as a rule.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class SlotState(enum.Enum):
    """What is in a slot."""

    RUNNING = "a worker process"
    WAITING = "nothing, until the next start is due"
    ENDED = "nothing any more"


class Slot:
    """Decides for one worker of an agent.

    Parameters
    ----------
    index
        Its place among the agent's slots.
    policy
        Patience.

    Attributes
    ----------
    state
        What is in it.
    since
        When that was started if RUNNING; when the next start is due if WAITING.
    exit_code
        Why its worker ended for good; None if the agent ended first.
    short_of_memory
        Whether its last crash was for lack of memory.

    Examples
    --------
    >>> slot = Slot(0, Policy())
    >>> slot.start(now=0.0)
    Spawn(slot=0)
    >>> slot.crashed(-9, now=5.0)
    Postpone(slot=0, delay=0.5, crashes=1)
    >>> slot.state.name, slot.since
    ('WAITING', 5.5)
    """

    __slots__ = (
        "_crashes",
        "_failed_starts",
        "_index",
        "_policy",
        "exit_code",
        "short_of_memory",
        "since",
        "state",
    )

    def __init__(self, index: int, policy: Policy) -> None:
        self.state = SlotState.WAITING
        self.since = 0.0
        self.exit_code: ExitCode | None = None
        self.short_of_memory = False
        self._index = index
        self._policy = policy
        self._crashes = 0  # in a row
        self._failed_starts = 0  # of those, the last ones, of workers that never got to work

    def start(self, now: float) -> Spawn:
        """Have a worker in it from now on."""
        self.state, self.since = SlotState.RUNNING, now
        return Spawn(self._index)

    def start_anew(self, now: float) -> Spawn:
        """Have another worker in it, as the last one has asked for: whatever was, is forgiven."""
        self._crashes = self._failed_starts = 0
        return self.start(now)

    def end(self, exit_code: ExitCode | None = None) -> None:
        """Have nothing in it any more."""
        self.state, self.exit_code = SlotState.ENDED, exit_code

    def crashed(
        self,
        status: int | None,
        now: float,
        *,
        worked: bool = False,
        busy: bool = False,
        memory: bool = False,
    ) -> Spawn | Postpone | GiveUp:
        """Decide what becomes of it after a crash, see `Policy`.

        Parameters
        ----------
        status, now, worked, busy, memory
            As for `jobqueue.worker.supervise.Supervisor.exited`.
        """
        policy, delays = self._policy, self._policy.restart_delays
        self.short_of_memory = memory
        if now - self.since >= policy.settled:
            self._crashes = self._failed_starts = 0
        self._crashes += 1
        self._failed_starts = 0 if worked else self._failed_starts + 1
        helpless = status == ExitCode.MEMORY and worked  # the worker could do nothing about it
        patience = math.inf if helpless else policy.patience
        if self._crashes > patience or self._failed_starts > len(delays) or not delays:
            self.end(ExitCode.CRASHED)
            return GiveUp(self._index, self._crashes)
        prompt = policy.prompt if worked and busy else 1 if helpless else 0
        if self._crashes <= prompt and status not in _FROM_OUTSIDE:
            return self.start(now)
        delay = delays[min(max(1, self._crashes - prompt), len(delays)) - 1]
        self.state, self.since = SlotState.WAITING, now + delay
        return Postpone(self._index, delay, self._crashes)

    def validate(self) -> None:
        """Raise AssertionError if it contradicts itself."""
        assert 0 <= self._failed_starts <= self._crashes
        assert self.state is SlotState.ENDED or self.exit_code is None
