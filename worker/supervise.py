"""The job agent's decisions: when to start, signal and give up the workers of one job.

Rules of this file. Everything that decides about a worker process or the end of the agent lives
here, and nothing else does: no clock (`now` comes in with each call, in seconds of any monotonic
clock), no process, no signal handler, no randomness, no log. Each call reports one event and
returns the actions to be carried out, in order. After an `End` nothing more comes out.

A worker has a *slot*, which stays when the process in it is replaced. A slot goes this way:

    RUNNING -> ENDED      it ended for good, or the agent is ending
    RUNNING -> WAITING    it crashed, and is started again after a delay
    RUNNING -> RUNNING    it asked to be started again, or its tasks have ended it: at once
    WAITING -> RUNNING    the delay is over
    WAITING -> ENDED      the agent is ending
    RUNNING -> ENDED      it crashed once too often
"""

from __future__ import annotations

import enum
import math
import signal
from typing import NamedTuple

from jobqueue.worker.exit_codes import ExitCode


class Policy(NamedTuple):
    """The agent's patience; all times in seconds.

    Parameters
    ----------
    grace
        From an order to end until the workers are killed. Slurm gives 30 s, PBS and HTCondor 10 s.
    drain
        The same after an announcement (lifetime, SIGUSR1), when the job itself goes on for a while.
    last_wait
        From killing the workers until the agent ends without having seen them end: a process that
        hangs in the kernel, say on a dead file server, cannot be killed.
    settled
        A worker that ran this long was well: its crash is the first one of a new row.
    restart_delays
        Delay before each restart in a row of crashes, and the last for all that follow. One crash
        more, and the slot is given up, if the worker never got as far as to work; with no delays,
        at the first, and in any case.
        Even the first is no shorter than batch systems take to signal all processes of a job,
        lest a worker be started again in the middle of the job's end.
    prompt
        Crashes in a row of a worker that was running tasks before these delays begin: until then
        it is started again at once, or after the first of them if it was killed from outside.
        Nothing is wrong with the worker, and the other tasks wait for it; a bad one costs them
        three workers, say, before it has failed.
    patience
        Restarts in a row of crashes of workers that did get to work. They are more, as the worker
        is well and its tasks are at fault: each bad task kills three workers, or however many the
        scheduler allows, before it has failed.
    """

    grace: float = 10.0
    drain: float = 60.0
    last_wait: float = 10.0
    settled: float = 30.0
    restart_delays: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    prompt: int = 9
    patience: int = 30


class Request(NamedTuple):
    """Why the agent should end before its workers do.

    Parameters
    ----------
    cause
        One phrase for people.
    exit_code
        The agent's exit status.
    urgent
        Whether the workers get `Policy.grace` or, being only announced, `Policy.drain`.
    """

    cause: str
    exit_code: int
    urgent: bool


# SIGUSR1 and SIGUSR2 are what batch systems send ahead of the end (`sbatch --signal`, Grid Engine's
# -notify and s_rt, LSF's run limit): a job that ends in order on them has not failed.
SIGNAL_REQUESTS = {
    signal.SIGTERM: Request("asked to end by SIGTERM", ExitCode.TERMINATED, True),
    signal.SIGINT: Request("asked to end by SIGINT", 128 + signal.SIGINT, True),
    signal.SIGHUP: Request("asked to end by SIGHUP", 128 + signal.SIGHUP, True),
    signal.SIGUSR1: Request("warned of the job's end by SIGUSR1", ExitCode.TOLD_TO_END, False),
    signal.SIGUSR2: Request("warned of the job's end by SIGUSR2", ExitCode.TOLD_TO_END, False),
}

# What a worker's exit status means for its slot. Whatever is missing here is a crash.
FINAL_STATUSES = {
    ExitCode.TOLD_TO_END: "all workers were told to end",
    ExitCode.NO_SCHEDULER: "no scheduler within the death timeout",
    ExitCode.REFUSED: "the scheduler refused the workers",
}

# When workers ended for different reasons, the first of these that occurs is the agent's.
PRECEDENCE = (
    ExitCode.CRASHED,
    ExitCode.REFUSED,
    ExitCode.NO_SCHEDULER,
    ExitCode.TOLD_TO_END,
)


# What batch systems end a job's processes with; tasks end their worker otherwise, as a rule.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class Spawn(NamedTuple):
    """Start a worker process in this slot. If that fails, report `exited` with status None."""

    slot: int


class Signal(NamedTuple):
    """Send a signal to the worker process in this slot."""

    slot: int
    signum: signal.Signals


class Postpone(NamedTuple):
    """For the log: the worker in this slot will be started again, after its n-th crash in a row."""

    slot: int
    delay: float
    crashes: int


class GiveUp(NamedTuple):
    """For the log: the worker in this slot crashed once too often."""

    slot: int
    crashes: int


class End(NamedTuple):
    """End the agent."""

    exit_code: int
    cause: str


Action = Spawn | Signal | Postpone | GiveUp | End


class SlotState(enum.Enum):
    """What is in a slot."""

    RUNNING = "a worker process"
    WAITING = "nothing, until the next start is due"
    ENDED = "nothing any more"


class _Slot:
    __slots__ = ("crashes", "exit_code", "failed_starts", "since", "state")

    def __init__(self) -> None:
        self.state = SlotState.WAITING
        self.since = 0.0  # of the start if RUNNING, of the next start if WAITING
        self.crashes = 0  # in a row
        self.failed_starts = 0  # of those, the last ones, of workers that never got to work
        self.exit_code: ExitCode | None = None  # once ENDED by itself


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
    >>> supervisor.exited(0, status=0, now=9.0)
    [End(exit_code=<ExitCode.TOLD_TO_END: 0>, cause='all workers were told to end')]
    """

    def __init__(
        self, workers: int, *, policy: Policy | None = None, lifetime: float | None = None
    ) -> None:
        if workers < 1:
            raise ValueError(f"an agent needs at least one worker, not {workers}")
        self.policy = policy or Policy()
        self._lifetime = lifetime
        self._lifetime_ends: float | None = None
        self._slots = [_Slot() for _ in range(workers)]
        self._request: Request | None = None
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
    def ending(self) -> str | None:
        """Why the agent ends before its workers do, None if it does not."""
        return None if self._request is None else self._request.cause

    # Events

    def start(self, now: float) -> list[Action]:
        """Begin: start all workers."""
        if self._lifetime is not None:
            self._lifetime_ends = now + self._lifetime
        return [self._spawn(index, now) for index in range(len(self._slots))]

    def exited(
        self,
        index: int,
        status: int | None,
        now: float,
        *,
        worked: bool = False,
        busy: bool = False,
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
            slot.state = SlotState.ENDED
        elif status in FINAL_STATUSES:
            slot.state, slot.exit_code = SlotState.ENDED, ExitCode(status)
        elif status == ExitCode.RESTART:
            slot.crashes = slot.failed_starts = 0
            actions.append(self._spawn(index, now))
        else:
            actions.append(self._crashed(index, status, worked, busy, now))
        return actions + self._end_if_all_ended()

    def asked_to_end(self, request: Request, now: float) -> list[Action]:
        """Take note that the agent should end, and its workers before it.

        The first request names the cause. A later urgent one only shortens the time left.
        """
        if self._over:
            return []
        kill_at = now + (self.policy.grace if request.urgent else self.policy.drain)
        if self._request is not None:
            if self._kill_at is not None:
                self._kill_at = min(self._kill_at, kill_at)
            return []
        self._request, self._kill_at, self._lifetime_ends = request, kill_at, None
        for slot in self._slots:
            if slot.state is SlotState.WAITING:
                slot.state = SlotState.ENDED
        return self._signal_running(signal.SIGTERM) + self._end_if_all_ended()

    def tick(self, now: float) -> list[Action]:
        """Do what is due. To be called at `deadline`; calling it at other times does no harm."""
        if self._over:
            return []
        if self._lifetime_ends is not None and now >= self._lifetime_ends:
            self._lifetime_ends = None
            cause = f"its lifetime of {self._lifetime:.0f} s is over"
            return self.asked_to_end(Request(cause, ExitCode.TOLD_TO_END, False), now)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at, self._leave_at = None, now + self.policy.last_wait
            return self._signal_running(signal.SIGKILL)
        if self._leave_at is not None and now >= self._leave_at:
            return self._end_without_them()
        due = [
            index
            for index, slot in enumerate(self._slots)
            if slot.state is SlotState.WAITING and now >= slot.since
        ]
        return [self._spawn(index, now) for index in due]

    def deadline(self) -> float | None:
        """Return when `tick` is due next, or None if only an event can change something."""
        if self._over:
            return None
        times = [slot.since for slot in self._slots if slot.state is SlotState.WAITING]
        others = (self._lifetime_ends, self._kill_at, self._leave_at)
        times += [time for time in others if time is not None]
        return min(times, default=None)

    # Steps

    def _spawn(self, index: int, now: float) -> Spawn:
        slot = self._slots[index]
        slot.state, slot.since = SlotState.RUNNING, now
        return Spawn(index)

    def _crashed(
        self, index: int, status: int | None, worked: bool, busy: bool, now: float
    ) -> Action:
        slot, delays = self._slots[index], self.policy.restart_delays
        if now - slot.since >= self.policy.settled:
            slot.crashes = slot.failed_starts = 0
        slot.crashes += 1
        slot.failed_starts = 0 if worked else slot.failed_starts + 1
        memory = status == ExitCode.MEMORY and worked  # the worker could do nothing about it
        patience = math.inf if memory else self.policy.patience
        if slot.crashes > patience or slot.failed_starts > len(delays) or not delays:
            slot.state, slot.exit_code = SlotState.ENDED, ExitCode.CRASHED
            return GiveUp(index, slot.crashes)
        prompt = self.policy.prompt if worked and busy else 1 if memory else 0
        if slot.crashes <= prompt and status not in _FROM_OUTSIDE:
            return self._spawn(index, now)
        delay = delays[min(max(1, slot.crashes - prompt), len(delays)) - 1]
        slot.state, slot.since = SlotState.WAITING, now + delay
        return Postpone(index, delay, slot.crashes)

    def _signal_running(self, signum: signal.Signals) -> list[Action]:
        return [
            Signal(index, signum)
            for index, slot in enumerate(self._slots)
            if slot.state is SlotState.RUNNING
        ]

    def _end_if_all_ended(self) -> list[Action]:
        if self._over or any(slot.state is not SlotState.ENDED for slot in self._slots):
            return []
        self._over = True
        if self._request is not None:
            return [End(self._request.exit_code, self._request.cause)]
        codes = {slot.exit_code for slot in self._slots}
        code = next(code for code in PRECEDENCE if code in codes)
        crashed = "crash again and again" if self.policy.restart_delays else "crashed"
        return [End(code, FINAL_STATUSES.get(code, f"its workers {crashed}"))]

    def _end_without_them(self) -> list[Action]:
        assert self._request is not None
        self._over = True
        running = self.counts()[SlotState.RUNNING]
        cause = f"{self._request.cause}; {running} workers, though killed, have not ended"
        return [End(self._request.exit_code or ExitCode.CRASHED, cause)]

    def validate(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        counts = self.counts()
        ending = self._request is not None
        assert not (ending and counts[SlotState.WAITING]), "an ending agent starts nothing"
        assert self._over or counts[SlotState.ENDED] != len(self._slots), "all ended, and no End"
        assert self._over or not ending or self.deadline() is not None, "ending without a bound"
        assert self._over or counts[SlotState.RUNNING] or self.deadline() is not None, "stuck"
        for slot in self._slots:
            assert slot.crashes >= 0
            assert slot.state is SlotState.ENDED or slot.exit_code is None
            if slot.state is SlotState.ENDED and not ending:
                assert slot.exit_code is not None, "ended without a reason"
