"""The job agent's decisions: when to start, drain and kill the workers of one job, when to end.

Rules of this file, and of `jobqueue.worker.slots`, which decides for each worker whether and when
it is started again. Everything that decides about a worker process or the end of the agent lives
in these two, and nothing else does: no clock (`now` comes in with each call, in seconds of any
monotonic clock), no process, no signal handler, no randomness, no log. Each call reports one event
and returns the actions to be carried out, in order. After an `End` nothing more comes out. The
words for all of that stand in `jobqueue.worker.orders`.

However an end is announced, there is one way to it: the workers are told to drain, and in how many
seconds (`Drain`); those that have not ended some seconds later are killed (`Kill`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jobqueue.worker.exit_codes import ExitCode, Kind
from jobqueue.worker.orders import (
    FINAL_STATUSES,
    PRECEDENCE,
    WARNED_AHEAD,
    Action,
    Drain,
    End,
    Kill,
    Policy,
    Request,
)
from jobqueue.worker.slots import Slot, SlotState

LEAVING = 12.0
"""Seconds that a worker needs to leave: to tell the scheduler so, and for its process to end."""


def time_to_drain(seconds: float) -> float:
    """Return how much of the time until a worker has to be gone it may use to hand over.

    The rest is for leaving, half of the time if that is short.

    Examples
    --------
    >>> [time_to_drain(seconds) for seconds in (8.0, 60.0)]
    [4.0, 48.0]
    """
    return max(seconds / 2, seconds - LEAVING)


class Supervisor:
    """Decides for one job agent.

    Parameters
    ----------
    workers
        Number of worker processes, at least 1.
    policy
        Patience.
    lifetime
        Seconds after which the agent ends by itself, or None.
    ends
        Seconds until the batch system ends the job, or None if that is not known.
    margin
        Seconds before that at which the workers are told to drain.

    Examples
    --------
    >>> supervisor = Supervisor(1)
    >>> supervisor.start(now=0.0)
    [Spawn(slot=0)]
    >>> supervisor.exited(0, status=-9, now=5.0)
    [Postpone(slot=0, delay=0.5, crashes=1)]
    >>> supervisor.deadline()
    5.5
    >>> supervisor.tick(now=5.5)
    [Spawn(slot=0)]
    >>> supervisor.exited(0, status=0, now=9.0)[0].cause
    'all workers were told to end'
    """

    def __init__(
        self,
        workers: int,
        *,
        policy: Policy | None = None,
        lifetime: float | None = None,
        ends: float | None = None,
        margin: float = 0.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"an agent needs at least one worker, not {workers}")
        self.policy = policy or Policy()
        self._lifetime = lifetime
        self._ends_in = ends
        self._margin = margin
        self._ends: float | None = None  # the job, at the batch system's hands
        self._lifetime_ends: float | None = None
        self._drain_at: float | None = None  # because of either, until something has asked to end
        self._slots = [Slot(index, self.policy) for index in range(workers)]
        self._request: Request | None = None
        self._drains_until = math.inf  # the workers, by the last order
        self._kill_at: float | None = None  # while ending, until the workers are killed
        self._leave_at: float | None = None  # after that
        self._over = False

    def __repr__(self) -> str:
        states = ", ".join(f"{n} {state.name}" for state, n in self.counts().items() if n)
        phase = "over" if self._over else self._request.cause if self._request else "supervising"
        return f"<Supervisor {phase}: {states}>"

    def counts(self) -> dict[SlotState, int]:
        """Return how many slots are in each state."""
        states = [slot.state for slot in self._slots]
        return {state: states.count(state) for state in SlotState}

    @property
    def request(self) -> Request | None:
        """Why the agent ends before its workers do, None if it does not."""
        return self._request

    # Events

    def start(self, now: float) -> list[Action]:
        """Begin: start all workers."""
        if self._ends_in is not None:
            self._ends = now + self._ends_in
        if self._lifetime is not None:
            self._lifetime_ends = now + self._lifetime
        drains = None if self._ends is None else self._ends - self._margin
        self._drain_at = min(_known(drains, self._lifetime_ends), default=None)
        return [slot.start(now) for slot in self._slots]

    def exited(
        self,
        index: int,
        status: int | None,
        now: float,
        *,
        worked: bool = False,
        busy: bool = False,
        memory: bool = False,
    ) -> list[Action]:
        """Take note that the worker process in a slot ended.

        Parameters
        ----------
        index
            The slot.
        status
            Its exit status, -n if signal n killed it, or None if it could not even be started.
        now
            The time.
        worked
            Whether it had found its scheduler: then it is its tasks that may be at fault.
        busy
            Whether it was running tasks, as far as is known.
        memory
            Whether it was killed for lack of memory.

        Raises
        ------
        ValueError
            If no worker runs in that slot.
        """
        slot = self._slots[index]
        if slot.state is not SlotState.RUNNING:
            raise ValueError(f"slot {index} holds {slot.state.value}, so it cannot have exited")
        actions: list[Action] = []
        if self._request is not None:
            slot.end()
        elif status in FINAL_STATUSES:
            slot.end(ExitCode(status))
        elif status == ExitCode.RESTART:
            actions.append(slot.start_anew(now))
        else:
            actions.append(slot.crashed(status, now, worked=worked, busy=busy, memory=memory))
        return actions + self._end_if_all_ended()

    def asked_to_end(self, request: Request, now: float, *, memory: bool = False) -> list[Action]:
        """Take note that the agent should end, and its workers before it.

        The first request names the cause. A later urgent one only shortens the time left. An early
        warning of an end that is known is no news: a minute is dear in a job of ten.

        Parameters
        ----------
        request
            Who asks.
        now
            The time.
        memory
            Whether the kernel has just killed somebody for lack of memory.
        """
        if self._over:
            return []
        if request.early and self._drain_at is not None and self._near_end(now):
            return []
        kill_at = now + self._time_for(request, now)
        if self._request is not None:
            if self._kill_at is None or kill_at >= self._kill_at:
                return []
        else:
            kind = request.kind or self._kind_of(now, memory)
            self._request, self._drain_at = request._replace(kind=kind), None
            for slot in self._slots:
                if slot.state is SlotState.WAITING:
                    slot.end()
        self._kill_at = kill_at
        return self._drain(time_to_drain(kill_at - now), request.cause, now) + (
            self._end_if_all_ended()
        )

    def _time_for(self, request: Request, now: float) -> float:
        """Return how many seconds the workers have until they are killed."""
        policy = self.policy
        if request.urgent:
            return policy.grace
        if self._ends is not None and self._near_end(now):
            return max(self._ends - policy.ahead - now, policy.ahead)
        return policy.drain

    def _near_end(self, now: float) -> bool:
        return self._ends is not None and now >= self._ends - self._margin - WARNED_AHEAD

    def _kind_of(self, now: float, memory: bool) -> Kind:
        """Return whose order one is that does not say it."""
        if memory:
            return Kind.OUT_OF_MEMORY
        return Kind.WALLTIME if self._near_end(now) else Kind.UNKNOWN

    def tick(self, now: float) -> list[Action]:
        """Do what is due. To be called at `deadline`; calling it at other times does no harm."""
        if self._over:
            return []
        if self._drain_at is not None and now >= self._drain_at:
            return self.asked_to_end(self._time_is_over(now), now)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at, self._leave_at = None, now + self.policy.last_wait
            return self._to_running(Kill)
        if self._leave_at is not None and now >= self._leave_at:
            return self._end_without_them()
        waiting = [slot for slot in self._slots if slot.state is SlotState.WAITING]
        return [slot.start(now) for slot in waiting if now >= slot.since]

    def deadline(self) -> float | None:
        """Return when `tick` is due next, or None if only an event can change something."""
        if self._over:
            return None
        times = [slot.since for slot in self._slots if slot.state is SlotState.WAITING]
        times += _known(self._drain_at, self._kill_at, self._leave_at)
        return min(times, default=None)

    @property
    def lets_go(self) -> float | None:
        """When its workers stop working at the latest if nobody asks for it, None for never."""
        at = self._drain_at
        if at is None:
            return None
        return at + time_to_drain(self._time_for(self._time_is_over(at), at))

    # Steps

    def _time_is_over(self, now: float) -> Request:
        """Return why to end at a time that was known from the beginning."""
        if self._lifetime_ends is not None and now >= self._lifetime_ends:
            cause = f"its lifetime of {self._lifetime:.0f} s is over"
            return Request(cause, ExitCode.TOLD_TO_END, False, Kind.COMPLETED)
        assert self._ends is not None
        cause = f"its walltime is nearly over: the job ends in {self._ends - now:.0f} s"
        return Request(cause, ExitCode.TOLD_TO_END, False, Kind.WALLTIME)

    def _drain(self, seconds: float, cause: str, now: float) -> list[Action]:
        """Order the workers to drain, unless they were told to be faster than that."""
        if now + seconds >= self._drains_until:
            return []
        self._drains_until = now + seconds
        return self._to_running(lambda index: Drain(index, seconds, cause))

    def _to_running(self, action: Callable[[int], Action]) -> list[Action]:
        return [
            action(index)
            for index, slot in enumerate(self._slots)
            if slot.state is SlotState.RUNNING
        ]

    def _end_if_all_ended(self) -> list[Action]:
        if self._over or any(slot.state is not SlotState.ENDED for slot in self._slots):
            return []
        self._over = True
        if self._request is not None:
            return [End(self._request.exit_code, self._request.cause, self._request.kind)]
        codes = {slot.exit_code for slot in self._slots}
        code = next(code for code in PRECEDENCE if code in codes)
        crashed = "crash again and again" if self.policy.restart_delays else "crashed"
        kind = Kind.COMPLETED if code == ExitCode.TOLD_TO_END else Kind.CRASHED
        if code == ExitCode.CRASHED and any(slot.short_of_memory for slot in self._slots):
            kind = Kind.OUT_OF_MEMORY
        return [End(code, FINAL_STATUSES.get(code, f"its workers {crashed}"), kind)]

    def _end_without_them(self) -> list[Action]:
        assert self._request is not None
        self._over = True
        running = self.counts()[SlotState.RUNNING]
        cause = f"{self._request.cause}; {running} workers, though killed, have not ended"
        return [End(self._request.exit_code or ExitCode.CRASHED, cause, self._request.kind)]

    def validate(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        counts = self.counts()
        ending = self._request is not None
        assert not (ending and counts[SlotState.WAITING]), "an ending agent starts nothing"
        assert not (ending and self._drain_at is not None), "asked to end, and waits to be"
        assert self._over or counts[SlotState.ENDED] != len(self._slots), "all ended, and no End"
        assert self._over or not ending or self.deadline() is not None, "ending without a bound"
        assert self._over or counts[SlotState.RUNNING] or self.deadline() is not None, "stuck"
        for slot in self._slots:
            slot.validate()
            if slot.state is SlotState.ENDED and not ending:
                assert slot.exit_code is not None, "ended without a reason"


def _known(*times: float | None) -> list[float]:
    return [time for time in times if time is not None]
