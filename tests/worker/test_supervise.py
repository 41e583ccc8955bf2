"""The job agent's decisions, without a process or a clock."""

import math
import signal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobqueue.worker.exit_codes import ExitCode, Kind
from jobqueue.worker.orders import (
    SIGNAL_REQUESTS,
    Action,
    Drain,
    End,
    GiveUp,
    Kill,
    Policy,
    Postpone,
    Request,
    Spawn,
)
from jobqueue.worker.slots import SlotState
from jobqueue.worker.supervise import Supervisor, time_to_drain

TERM = SIGNAL_REQUESTS[signal.SIGTERM]
WARNING = SIGNAL_REQUESTS[signal.SIGUSR1]
NOTICE = SIGNAL_REQUESTS[signal.SIGUSR2]
POLICY = Policy()


def test_all_workers_start_at_once() -> None:
    """The first actions start a worker in each slot, and then only events matter."""
    supervisor = Supervisor(3)
    assert supervisor.start(0.0) == [Spawn(0), Spawn(1), Spawn(2)]
    assert supervisor.deadline() is None


def test_no_workers_are_refused() -> None:
    """An agent without workers would wait for ever."""
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        Supervisor(0)


@pytest.mark.parametrize(
    ("statuses", "code", "cause"),
    [
        ([0, 0], ExitCode.TOLD_TO_END, "all workers were told to end"),
        ([3, 3], ExitCode.NO_SCHEDULER, "no scheduler"),
        ([0, 3], ExitCode.NO_SCHEDULER, "no scheduler"),
        ([3, 4], ExitCode.REFUSED, "refused"),
        ([4, 0], ExitCode.REFUSED, "refused"),
    ],
)
def test_final_statuses_are_not_restarted(statuses: list[int], code: int, cause: str) -> None:
    """Workers that ended for good are let go; the agent ends with the worst of their reasons."""
    supervisor = Supervisor(len(statuses))
    supervisor.start(0.0)
    assert supervisor.exited(0, statuses[0], 1.0) == []
    (end,) = supervisor.exited(1, statuses[1], 2.0)
    assert isinstance(end, End)
    assert end.exit_code == code
    assert cause in end.cause


@pytest.mark.parametrize("status", [1, 2, 5, 139, ExitCode.TERMINATED, -9, -11, -15, None])
def test_a_crashed_worker_is_started_again(status: int | None) -> None:
    """Every other status is a crash, a SIGTERM that the agent did not send included."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    assert supervisor.exited(0, status, 10.0) == [Postpone(0, POLICY.restart_delays[0], 1)]
    due = supervisor.deadline()
    assert due == 10.0 + POLICY.restart_delays[0]
    assert supervisor.tick(due - 0.01) == []
    assert supervisor.tick(due) == [Spawn(0)]


def test_crashes_in_a_row_wait_longer_and_end_the_agent() -> None:
    """A job that cannot work ends, with a status that says so, instead of spinning."""
    supervisor = Supervisor(1)
    now = 0.0
    supervisor.start(now)
    for nth, delay in enumerate(POLICY.restart_delays, 1):
        assert supervisor.exited(0, 1, now) == [Postpone(0, delay, nth)]
        now += delay
        assert supervisor.tick(now) == [Spawn(0)]
    give_up, end = supervisor.exited(0, 1, now)
    assert give_up == GiveUp(0, len(POLICY.restart_delays) + 1)
    assert end == End(ExitCode.CRASHED, "its workers crash again and again", Kind.CRASHED)


def test_a_worker_may_ask_to_be_started_again() -> None:
    """At once, as often as it likes: that is no crash, and ends a row of them."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    for _ in range(10):
        assert supervisor.exited(0, ExitCode.RESTART, 1.0, worked=True) == [Spawn(0)]
    supervisor.exited(0, 1, 1.0)
    supervisor.tick(2.0)
    assert supervisor.exited(0, ExitCode.RESTART, 2.0) == [Spawn(0)]
    assert supervisor.exited(0, 1, 3.0) == [Postpone(0, POLICY.restart_delays[0], 1)]


def test_an_ending_agent_starts_no_worker_that_asks_for_it() -> None:
    """Even one that was told to begin anew a moment before."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.asked_to_end(TERM, 1.0)
    assert supervisor.exited(0, ExitCode.RESTART, 1.1) == [End(143, "asked to end by SIGTERM")]


def test_one_slot_given_up_leaves_the_others_alone() -> None:
    """The others go on, and the agent's status still tells of the crash in the end."""
    supervisor = Supervisor(2, policy=Policy(restart_delays=()))
    supervisor.start(0.0)
    assert supervisor.exited(0, 1, 1.0) == [GiveUp(0, 1)]
    assert supervisor.counts()[SlotState.RUNNING] == 1
    (end,) = supervisor.exited(1, 0, 100.0)
    assert end == End(ExitCode.CRASHED, "its workers crashed", Kind.CRASHED)


def test_order_to_end() -> None:
    """All workers are told to drain; when they have ended, so does the agent, and says why."""
    supervisor = Supervisor(2)
    supervisor.start(0.0)
    cause = "asked to end by SIGTERM"
    drain = [Drain(slot, POLICY.grace / 2, cause) for slot in (0, 1)]
    assert supervisor.asked_to_end(TERM, 5.0) == drain
    assert supervisor.exited(1, ExitCode.TERMINATED, 5.1) == []
    assert supervisor.exited(0, -15, 5.2) == [End(143, "asked to end by SIGTERM")]


def test_workers_that_do_not_end_are_killed() -> None:
    """Those that are left after the grace."""
    supervisor = Supervisor(2)
    supervisor.start(0.0)
    supervisor.asked_to_end(TERM, 5.0)
    supervisor.exited(1, 0, 5.1)
    assert supervisor.deadline() == 5.0 + POLICY.grace
    assert supervisor.tick(5.0 + POLICY.grace) == [Kill(0)]
    assert supervisor.exited(0, -9, 16.0) == [End(143, "asked to end by SIGTERM")]


def test_a_worker_that_cannot_be_killed_does_not_hold_the_agent() -> None:
    """A process stuck in the kernel is left behind, with a word about it."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.asked_to_end(TERM, 0.0)
    supervisor.tick(POLICY.grace)
    (end,) = supervisor.tick(POLICY.grace + POLICY.last_wait)
    assert isinstance(end, End)
    assert "1 workers, though killed, have not ended" in end.cause
    assert supervisor.deadline() is None


def test_a_warning_gives_time_to_drain_and_an_order_shortens_it() -> None:
    """SIGUSR1 ahead of the walltime is a planned end; a SIGTERM after it leaves only the grace."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.asked_to_end(WARNING, 0.0)
    assert supervisor.deadline() == POLICY.drain
    (drain,) = supervisor.asked_to_end(TERM, 1.0)
    assert drain == Drain(0, time_to_drain(POLICY.grace), "asked to end by SIGTERM")
    assert supervisor.deadline() == 1.0 + POLICY.grace
    assert supervisor.asked_to_end(WARNING, 2.0) == []
    assert supervisor.deadline() == 1.0 + POLICY.grace
    assert supervisor.exited(0, 143, 3.0) == [End(0, "warned of the job's end by SIGUSR1")]


def test_an_order_gives_nobody_more_time() -> None:
    """One that comes when the time to drain is nearly over only has the workers killed sooner."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    (drain,) = supervisor.asked_to_end(NOTICE, 0.0)
    assert isinstance(drain, Drain)
    late = drain.seconds - time_to_drain(POLICY.grace) + 1.0
    assert supervisor.asked_to_end(TERM, late) == []
    assert supervisor.deadline() == late + POLICY.grace
    assert supervisor.tick(late + POLICY.grace) == [Kill(0)]


def test_lifetime() -> None:
    """When its lifetime is over, the agent ends in order."""
    supervisor = Supervisor(1, lifetime=100.0)
    supervisor.start(1000.0)
    assert supervisor.deadline() == 1100.0
    assert supervisor.tick(1099.0) == []
    cause = "its lifetime of 100 s is over"
    assert supervisor.tick(1100.0) == [Drain(0, time_to_drain(POLICY.drain), cause)]
    assert supervisor.exited(0, 143, 1101.0) == [End(0, cause, Kind.COMPLETED)]


def test_the_end_of_the_job() -> None:
    """Its workers are told some time ahead, and are gone a moment before the batch system acts."""
    supervisor = Supervisor(1, ends=3600.0, margin=120.0, lifetime=7200.0)
    supervisor.start(1000.0)
    assert supervisor.deadline() == 1000.0 + 3600.0 - 120.0
    assert supervisor.lets_go == 1000.0 + 3600.0 - 1.0 - 12.0
    assert supervisor.tick(4479.0) == []
    (drain,) = supervisor.tick(4480.0)
    assert drain == Drain(0, 107.0, "its walltime is nearly over: the job ends in 120 s")
    assert supervisor.deadline() == 4599.0
    assert supervisor.lets_go is None
    (end,) = supervisor.exited(0, 0, 4500.0)
    assert end == End(0, "its walltime is nearly over: the job ends in 120 s", Kind.WALLTIME)


def test_what_comes_first_ends_it() -> None:
    """A lifetime within the walltime: the job goes on for as long as the walltime allows."""
    supervisor = Supervisor(1, ends=70.0, margin=10.0, lifetime=50.0)
    supervisor.start(0.0)
    (drain,) = supervisor.tick(50.0)
    assert isinstance(drain, Drain)
    assert drain.seconds == time_to_drain(19.0)
    assert supervisor.deadline() == 69.0
    (end,) = supervisor.exited(0, 0, 51.0)
    assert end == End(0, "its lifetime of 50 s is over", Kind.COMPLETED)


def test_an_early_warning_of_a_known_end_is_no_news() -> None:
    """Slurm's come up to a minute early; one that comes long before may tell of another end."""
    supervisor = Supervisor(1, ends=3600.0, margin=120.0)
    supervisor.start(0.0)
    assert supervisor.asked_to_end(WARNING, 3421.0) == []
    assert supervisor.deadline() == 3480.0
    assert supervisor.asked_to_end(WARNING, 3419.0) != []


@pytest.mark.parametrize("request_", [NOTICE, TERM])
@pytest.mark.parametrize(("at", "kind"), [(100.0, Kind.UNKNOWN), (3425.0, Kind.WALLTIME)])
def test_whose_order_it_was(request_: Request, at: float, kind: Kind) -> None:
    """Near the end it is the walltime: batch systems warn up to a minute earlier than asked."""
    supervisor = Supervisor(1, ends=3600.0, margin=120.0)
    supervisor.start(0.0)
    supervisor.asked_to_end(request_, at)
    assert supervisor.request is not None
    assert supervisor.request.kind == kind


def test_a_warning_leaves_what_is_left_of_the_job() -> None:
    """Near its known end that counts; far from it, or without one, what is customary."""
    supervisor = Supervisor(1, ends=3600.0, margin=120.0)
    supervisor.start(0.0)
    supervisor.asked_to_end(NOTICE, 3430.0)
    assert supervisor.deadline() == 3599.0
    supervisor = Supervisor(1, ends=3600.0, margin=120.0)
    supervisor.start(0.0)
    supervisor.asked_to_end(WARNING, 100.0)
    assert supervisor.deadline() == 100.0 + POLICY.drain


def test_a_lack_of_memory_is_told_apart() -> None:
    """Be it that workers crash again and again, or that the kernel had just killed somebody."""
    supervisor = Supervisor(1, policy=Policy(restart_delays=()))
    supervisor.start(0.0)
    _, end = supervisor.exited(0, -9, 1.0, memory=True)
    assert end == End(ExitCode.CRASHED, "its workers crashed", Kind.OUT_OF_MEMORY)
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.asked_to_end(TERM, 1.0, memory=True)
    (end,) = supervisor.exited(0, 0, 2.0)
    assert end == End(143, "asked to end by SIGTERM", Kind.OUT_OF_MEMORY)


def test_a_lifetime_that_ends_while_the_agent_does() -> None:
    """Who ends already is not told so again: the agent neither stays busy nor changes its cause."""
    supervisor = Supervisor(1, lifetime=1.0)
    supervisor.start(0.0)
    supervisor.asked_to_end(TERM, 0.5)
    assert supervisor.deadline() == 0.5 + POLICY.grace
    assert supervisor.tick(2.0) == []
    assert supervisor.exited(0, 143, 3.0) == [End(143, "asked to end by SIGTERM")]


def test_an_order_while_waiting_for_a_restart() -> None:
    """Nothing is started any more; the agent ends at once."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.exited(0, 1, 1.0)
    assert supervisor.asked_to_end(TERM, 1.1) == [End(143, "asked to end by SIGTERM")]
    assert supervisor.tick(100.0) == []
    assert supervisor.asked_to_end(TERM, 101.0) == []


def test_an_impossible_event_changes_nothing() -> None:
    """The end of a worker that does not run is an error of the caller."""
    supervisor = Supervisor(1)
    supervisor.start(0.0)
    supervisor.exited(0, 1, 1.0)
    before = repr(supervisor)
    with pytest.raises(ValueError, match="slot 0 holds nothing, until the next start is due"):
        supervisor.exited(0, 1, 1.0)
    assert repr(supervisor) == before == "<Supervisor supervising: 1 WAITING>"


class AgentMachine(RuleBasedStateMachine):
    """A world of processes that does what the supervisor says, and anything else it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.running: set[int] = set()
        self.end: End | None = None

    @initialize(
        workers=st.integers(1, 4),
        lifetime=st.none() | st.floats(0, 100),
        ends=st.none() | st.floats(1, 300),
        margin=st.floats(0, 150),
    )
    def begin(
        self, workers: int, lifetime: float | None, ends: float | None, margin: float
    ) -> None:
        self.ends = math.inf if ends is None else ends
        self.supervisor = Supervisor(workers, lifetime=lifetime, ends=ends, margin=margin)
        self.least = math.inf  # until when workers may drain, in the last order
        self.perform(self.supervisor.start(self.now))

    def perform(self, actions: list[Action]) -> None:
        assert not (actions and self.end), "an action after the end"
        drains_until = self.least
        for action in actions:
            match action:
                case Spawn(slot):
                    assert slot not in self.running
                    self.running.add(slot)
                case Drain(slot, seconds, _):
                    assert slot in self.running
                    assert seconds > 0
                    assert self.now + seconds <= self.least, "an order that gives more time"
                    drains_until = self.now + seconds
                case Kill(slot):
                    assert slot in self.running
                    assert self.least < self.now, "killed before it was to have ended"
                case Postpone(slot, delay, _):
                    assert slot not in self.running
                    assert delay > 0
                case GiveUp(slot, _):
                    assert slot not in self.running
                case End(_, cause):
                    assert action is actions[-1]
                    assert not self.running or "have not ended" in cause
                    self.end = action
        self.least = drains_until

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        status=st.none() | st.sampled_from([0, 3, 4, 6, 7, 143, -15]) | st.integers(-64, 255),
        ran=st.floats(0, 60),
        worked=st.booleans(),
    )
    def a_worker_exits(
        self, data: st.DataObject, status: int | None, ran: float, worked: bool
    ) -> None:
        slot = data.draw(st.sampled_from(sorted(self.running)))
        self.now += ran
        self.running.discard(slot)
        self.perform(self.supervisor.exited(slot, status, self.now, worked=worked))

    @rule(request=st.sampled_from(list(SIGNAL_REQUESTS.values())))
    def someone_asks(self, request: Request) -> None:
        self.perform(self.supervisor.asked_to_end(request, self.now))

    @rule()
    def the_deadline_comes(self) -> None:
        deadline = self.supervisor.deadline()
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.perform(self.supervisor.tick(self.now))
            later = self.supervisor.deadline()
            assert self.end or later is None or later > self.now, "a deadline that stays due"

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.supervisor.tick(self.now))

    @invariant()
    def state_is_sound(self) -> None:
        if hasattr(self, "supervisor"):
            self.supervisor.validate()
            assert (self.end is None) or self.supervisor.deadline() is None

    def teardown(self) -> None:
        """Whatever happened, an order ends the agent within a few deadlines."""
        if not hasattr(self, "supervisor"):
            return
        self.someone_asks(TERM)
        for _ in range(4):
            self.the_deadline_comes()
        assert self.end is not None


TestAgentMachine = AgentMachine.TestCase
TestAgentMachine.settings = settings(stateful_step_count=30)
