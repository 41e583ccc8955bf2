"""Chance against the pool's rules: a simulated batch system does whatever batch systems do."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobqueue.cluster.jobs import WAITING, JobReport, JobState, Phase
from jobqueue.cluster.limits import Limits
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import CANCEL_AGAIN, DRAIN_GRACE, Load, decide
from jobqueue.cluster.setbacks import DELAYS, FAILURES_IN_A_ROW
from jobqueue.errors import SubmissionRejected

PICK = st.integers(0, 2**16)


class Simulated:
    """One job of the simulated batch system: "pending", "running" or "ended", and its workers."""

    def __init__(self) -> None:
        self.phase = Phase.PENDING
        self.workers: set[str] = set()
        self.cancelled = False
        self.held = False
        self.expires_at: float | None = None


class PoolMachine(RuleBasedStateMachine):
    """Every rule is something that happens outside; after it the pool decides, as in the loop."""

    limits = Limits()

    def __init__(self) -> None:
        super().__init__()
        self.pool = PoolState(limits=self.limits)
        self.batch: dict[str, Simulated] = {}
        self.now = 0.0
        self.count = 0
        self.to_submit = 0
        self.to_drain: set[str] = set()
        self.submissions: list[float] = []

    # --- the shell ---

    def act(self) -> None:
        load = {job.job_id: Load(self.count % 3) for job in self.pool.live()}
        actions = decide(self.pool, load, self.now)
        assert not (actions.submit and self.to_submit), "two submissions at a time"
        self.to_submit += actions.submit
        if actions.submit:
            self.submissions.append(self.now)
            if self.limits.max_pending is not None:
                pending = sum(job.state in WAITING for job in self.pool.unended())
                assert pending + actions.submit <= self.limits.max_pending
        working = [job for job in self.pool.live() if job.state is JobState.CONNECTED]
        stand_in = [job for job in self.pool.standing_in() if job.state is JobState.CONNECTED]
        assert len(working) + len(stand_in) <= max(self.pool.goal, len(working))
        for job_id in actions.cancel:
            self.batch[job_id].cancelled = True
        self.to_drain |= set(actions.retire)
        again = decide(self.pool, load, self.now)
        assert (again.submit, again.cancel, again.retire) == (0, (), {}), "decided twice"

    def pick(self, number: int, phase: Phase, *, connected: bool | None = None) -> str | None:
        ids = [
            job_id
            for job_id, job in self.batch.items()
            if job.phase is phase and (connected is None or bool(job.workers) is connected)
        ]
        return ids[number % len(ids)] if ids else None

    def end(self, job_id: str) -> None:
        job = self.batch[job_id]
        job.phase = Phase.ENDED
        for worker in sorted(job.workers):
            self.pool.worker_left(job_id, worker)
        job.workers.clear()

    # --- what the user does ---

    @rule(wanted=st.integers(0, 6))
    def scale(self, wanted: int) -> None:
        self.pool.scale(wanted)
        self.act()

    @rule()
    def resume(self) -> None:
        self.pool.setbacks.forget()
        self.act()

    # --- what the batch system does ---

    @precondition(lambda self: self.to_submit)
    @rule(accepted=st.integers(0, 6), rejected=st.booleans(), in_doubt=st.booleans())
    def answer_submission(self, accepted: int, rejected: bool, in_doubt: bool) -> None:
        n = min(accepted, self.to_submit) if rejected else self.to_submit
        ids = tuple(f"{self.count + i}" for i in range(n))
        self.count += n
        self.to_submit = 0
        self.batch |= {job_id: Simulated() for job_id in ids}
        error = SubmissionRejected("no") if rejected else None
        self.pool.submitted(Submission(ids, error, in_doubt), self.now)
        self.act()

    @rule(number=PICK)
    def start(self, number: int) -> None:
        if job_id := self.pick(number, Phase.PENDING):
            self.batch[job_id].phase = Phase.RUNNING
            self.batch[job_id].held = False

    @rule(
        number=PICK,
        worker=st.sampled_from("ab"),
        time_left=st.sampled_from([None, 0.0, 5.0, 60.0, 3600.0]),
    )
    def connect(self, number: int, worker: str, time_left: float | None) -> None:
        if job_id := self.pick(number, Phase.RUNNING):
            job = self.batch[job_id]
            if job.expires_at is None and time_left is not None:
                job.expires_at = self.now + time_left
            job.workers.add(worker)
            self.pool.worker_joined(job_id, worker, self.now, job.expires_at)
            self.act()

    @rule(number=PICK, reason=st.sampled_from(["walltime", "asked to end by SIGTERM"]))
    def hand_over(self, number: int, reason: str) -> None:
        """The agent of a job has its workers hand over."""
        if job_id := self.pick(number, Phase.RUNNING, connected=True):
            self.pool.worker_drains(job_id, reason, self.now)
            self.act()

    @rule()
    def reach_walltime(self) -> None:
        """The batch system ends all jobs whose time is over."""
        for job_id, job in self.batch.items():
            over = job.expires_at is not None and self.now >= job.expires_at
            if over and job.phase is Phase.RUNNING:
                self.end(job_id)
        self.act()

    @rule(number=PICK)
    def disconnect(self, number: int) -> None:
        if job_id := self.pick(number, Phase.RUNNING, connected=True):
            worker = min(self.batch[job_id].workers)
            self.batch[job_id].workers.remove(worker)
            self.pool.worker_left(job_id, worker)
            self.act()

    @rule(number=PICK, held=st.booleans())
    def requeue(self, number: int, held: bool) -> None:
        if job_id := self.pick(number, Phase.RUNNING):
            self.end(job_id)
            self.batch[job_id].phase = Phase.PENDING
            self.batch[job_id].held = held
            self.batch[job_id].expires_at = None
            self.act()

    @rule(number=PICK, phase=st.sampled_from([Phase.PENDING, Phase.RUNNING]))
    def die(self, number: int, phase: Phase) -> None:
        if job_id := self.pick(number, phase):
            self.end(job_id)
            self.act()

    @rule()
    def carry_out_cancellations(self) -> None:
        for job_id, job in self.batch.items():
            if job.cancelled and job.phase is not Phase.ENDED:
                self.end(job_id)
        self.pool.made_sure(job_id for job_id, job in self.batch.items() if job.cancelled)

    @rule(trace=st.booleans(), cause=st.sampled_from(["", "completed", "walltime", "preempted"]))
    def poll(self, trace: bool, cause: str = "") -> None:
        for job in list(self.pool.unended()):
            simulated = self.batch[job.job_id]
            phase = simulated.phase
            if phase is Phase.ENDED and not trace:
                phase = Phase.MISSING
            told = cause if phase in (Phase.ENDED, Phase.MISSING) else ""
            held = simulated.held and phase is Phase.PENDING
            self.pool.report(JobReport(job.job_id, phase, cause=told, held=held), self.now)
        self.act()

    @rule()
    def drain(self) -> None:
        for job_id in sorted(self.to_drain):
            self.pool.drained(job_id, self.now)
        self.to_drain.clear()
        self.act()

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 100.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.act()

    # --- what must hold ---

    @invariant()
    def state_is_consistent(self) -> None:
        self.pool.validate()

    @invariant()
    def never_more_than_wanted(self) -> None:
        """What lives and is not being taken away never exceeds what is wanted."""
        live = len(self.pool.live())
        assert live <= self.pool.goal
        if not self.to_submit:
            assert live + self.pool.submitting <= self.pool.goal

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Each job that may still exist is known as such, so that it is asked about and ended."""
        unended = {job.job_id for job in self.pool.unended()}
        alive = {job_id for job_id, job in self.batch.items() if job.phase is not Phase.ENDED}
        assert alive <= unended

    @invariant()
    def a_pause_means_no_submission(self) -> None:
        if self.pool.setbacks.pause:
            assert self.pool.setbacks.pause.failures >= FAILURES_IN_A_ROW

    def teardown(self) -> None:
        """However it went: at rest the pool holds what is wanted, and close() leaves nothing."""
        self.settle()
        if self.pool.setbacks.pause is None:
            assert self.pool.allowed(self.pool.wanted - len(self.pool.live())) == 0
            if self.limits.max_pending is None:
                assert len(self.pool.live()) == self.pool.goal
        self.pool.close()
        self.settle()
        assert all(job.phase is Phase.ENDED for job in self.batch.values())
        assert not self.pool.unended()
        assert not self.pool.uncertain()

    def settle(self) -> None:
        """Let a benevolent batch system answer everything until nothing is left to do."""
        for _ in range(6):
            self.now += max(CANCEL_AGAIN, DRAIN_GRACE, *DELAYS)
            self.act()
            if self.to_submit:
                self.answer_submission(0, False, False)
            self.drain()
            self.carry_out_cancellations()
            self.reach_walltime()
            self.poll(True)
        idle = decide(self.pool, {}, self.now)
        assert (idle.submit, idle.cancel, idle.retire) == (0, (), {})


PoolMachine.TestCase.settings = settings(stateful_step_count=40)
TestPool = PoolMachine.TestCase


class LimitedMachine(PoolMachine):
    """The same, of a pool that may not ask for much."""

    limits = Limits(max_jobs=4, max_pending=2, burst=2, pace=20.0)

    @invariant()
    def limits_hold(self) -> None:
        """Jobs that exist are few, and so are submissions."""
        assert len(self.pool.unended()) + self.pool.submitting <= 4
        for first, third in zip(self.submissions, self.submissions[2:], strict=False):
            assert third - first >= 20.0 - 1e-6


LimitedMachine.TestCase.settings = settings(stateful_step_count=40)
TestLimitedPool = LimitedMachine.TestCase


def test_a_simulated_batch_system_reaches_every_state() -> None:
    """The simulation is worth something: a fixed run through it visits the whole table."""
    machine = PoolMachine()
    seen: set[JobState] = set()

    def look() -> None:
        seen.update(job.state for job in machine.pool.jobs.values())

    machine.scale(2)
    machine.answer_submission(0, False, False)
    look()
    machine.poll(True)
    look()
    machine.start(0)
    machine.poll(True)
    look()
    machine.connect(0, "a", None)
    look()
    machine.scale(0)
    look()
    machine.drain()
    machine.teardown()
    look()
    assert seen == set(JobState)
