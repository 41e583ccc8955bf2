"""How many jobs a load is worth: case by case, and whatever the load does."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.cluster.adapt import FILLED, STUCK, Adaptation, Policy, needed
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import Load as Business
from jobqueue.cluster.reconcile import decide
from jobqueue.scheduler.load import Backlog, JobLoad, Load

SIZE = JobSize(workers=2, threads=4, cores=4, memory=1000)
IDLE = 60.0


def policy(minimum: int = 0, maximum: int = 10) -> Policy:
    return Policy(minimum=minimum, maximum=maximum, target=5.0, idle=IDLE)


def jobs(connected: Iterable[str] = (), pending: Iterable[str] = ()) -> list[JobRecord]:
    records = []
    for job_id in connected:
        workers = frozenset({f"{job_id}-0", f"{job_id}-1"})
        records.append(JobRecord(job_id, "p", 0.0, JobState.CONNECTED, workers=workers))
    return records + [JobRecord(job_id, "p", 0.0, JobState.PENDING) for job_id in pending]


def busy(tasks: int = 4, seconds: float = 400.0) -> JobLoad:
    return JobLoad(threads=4, tasks=tasks, seconds=seconds, busy=tasks > 0, turns=1)


# --- what is needed ---


def test_as_many_threads_as_do_the_work_in_time_in_whole_jobs() -> None:
    """50 seconds of work in 5 are 10 threads, which are three jobs of four."""
    assert needed(Load([Backlog(b"f", 100, 0.5)]), (), SIZE, 5.0) == 3
    assert needed(Load([Backlog(b"f", 100, 0.5)]), (), SIZE, 50.0) == 1


def test_never_more_threads_than_tasks() -> None:
    """However long these take."""
    assert needed(Load([Backlog(b"f", 5, 3600.0)]), (), SIZE, 5.0) == 2
    assert needed(Load([Backlog(b"f", 1, 0.0)]), (), SIZE, 5.0) == 1
    assert needed(Load(), (), SIZE, 5.0) == 0


def test_what_runs_counts_like_what_waits() -> None:
    """Four tasks that run and four that wait, all of them long, are two jobs."""
    load = Load([Backlog(b"f", 4, 100.0)], {("p", "a"): busy()})
    assert needed(load, [("p", "a")], SIZE, 5.0) == 2


def test_workers_of_others_do_their_part() -> None:
    """What was started by hand, or is of another pool, need not be there twice."""
    load = Load([Backlog(b"f", 4, 100.0)], {("", None): busy()})
    assert needed(load, [], SIZE, 5.0) == 1
    assert needed(Load([], {("", None): busy()}), [], SIZE, 5.0) == 0


def test_what_a_job_that_ends_still_does_is_no_reason_for_another() -> None:
    """Its workers take nothing more; it finishes what it has."""
    load = Load([], {("p", "leaving"): JobLoad(threads=0, tasks=4, seconds=400.0, busy=True)})
    assert needed(load, [], SIZE, 5.0) == 0


def test_demands_that_no_new_job_meets_do_not_count() -> None:
    """Tasks bound to certain workers, or that ask for what jobs do not bring."""
    gpus = JobSize(workers=2, threads=4, cores=4, memory=0, resources={"GPU": 2})
    bound = Backlog(b"f", 100, 10.0, bound=True)
    unmet = [Backlog(b"f", 9, 10.0, resources=r) for r in ({"GPU": 3}, {"TPU": 1})]
    assert needed(Load([bound, *unmet]), (), gpus, 5.0) == 0
    assert needed(Load([Backlog(b"f", 4, 10.0, resources={"GPU": 1})]), (), gpus, 5.0) == 1


def test_resources_may_need_more_jobs_than_threads_do() -> None:
    """Two workers with two GPUs each: tasks that take both leave the other threads without work."""
    gpus = JobSize(workers=2, threads=16, cores=16, memory=0, resources={"GPU": 2})
    one_each = Backlog(b"f", 8, 100.0, resources={"GPU": 1})
    most = Backlog(b"f", 8, 100.0, resources={"GPU": 1.5})  # one at a time fits into a worker
    assert needed(Load([one_each]), (), gpus, 5.0) == 2
    assert needed(Load([most]), (), gpus, 5.0) == 4
    running = busy(tasks=4)
    running.taken = {"GPU": 4.0}
    assert needed(Load([one_each], {("p", "a"): running}), [("p", "a")], gpus, 5.0) == 3


# --- how it changes ---


def test_more_at_once_and_fewer_after_the_timeout() -> None:
    """The need of a moment is met for as long as jobs are kept."""
    adaptation = Adaptation(policy(), SIZE)
    load = Load([Backlog(b"f", 100, 0.5)])
    assert adaptation.wanted(load, [], 0.0) == 3
    pending = jobs(pending="abc")
    assert adaptation.wanted(Load(), pending, 1.0) == 3
    assert adaptation.wanted(Load(), pending, IDLE - 1) == 3
    assert adaptation.wanted(Load(), pending, IDLE + 1) == 0


def test_jobs_with_work_stay_however_little_is_to_be_done() -> None:
    """Ten tasks of a second are worth one job; the three that have them are not disturbed."""
    adaptation = Adaptation(policy(), SIZE)
    three = {("p", job_id): busy(tasks=3, seconds=0.3) for job_id in "abc"}
    for now in (0.0, 2 * IDLE, 4 * IDLE):
        assert adaptation.wanted(Load([], three), jobs("abc"), now) == 3


def test_idle_jobs_go_when_their_time_is_over() -> None:
    """Each by itself: one that did something lately stays."""
    adaptation = Adaptation(policy(), SIZE)
    idle = JobLoad(threads=4, turns=5)
    before = {("p", "a"): idle, ("p", "b"): idle}
    adaptation.wanted(Load([], before), jobs("ab"), 0.0)
    worked = JobLoad(threads=4, turns=6)  # a short task, between two looks
    after = Load([], {("p", "a"): idle, ("p", "b"): worked})
    adaptation.wanted(after, jobs("ab"), IDLE / 2)
    assert adaptation.wanted(after, jobs("ab"), IDLE) == 1
    assert adaptation.wanted(after, jobs("ab"), 1.5 * IDLE) == 0


def test_results_keep_as_many_jobs_as_they_need_room() -> None:
    """They would have to go to the machine of the user, or to disks."""
    for stored, room in ((1, 1), (int(FILLED * 1000), 1), (int(FILLED * 1000) + 1, 2), (10**6, 3)):
        adaptation = Adaptation(policy(), SIZE)
        full = {("p", job_id): JobLoad(threads=4) for job_id in "abc"}
        full["p", "a"].stored_bytes = stored
        adaptation.wanted(Load([], full), jobs("abc"), 0.0)
        assert adaptation.wanted(Load([], full), jobs("abc"), 2 * IDLE) == room


def test_jobs_short_of_memory_are_not_counted_on() -> None:
    """If their workers take no tasks for long, others are to take them."""
    adaptation = Adaptation(policy(), SIZE)
    load = Load(
        [Backlog(b"f", 1, 1.0)], {("p", "a"): JobLoad(threads=0, tasks=1, seconds=1.0, busy=True)}
    )
    assert adaptation.wanted(load, jobs("a"), 0.0) == 1
    assert adaptation.wanted(load, jobs("a"), STUCK) == 2


def test_tasks_that_run_longer_than_they_should_are_believed_to_be_long() -> None:
    """What is known is a guess, or from a small trial before; the first that ends corrects it."""
    adaptation = Adaptation(policy(), SIZE)
    load = Load([Backlog(b"f", 36, 0.5, begun=True)], {("p", "a"): busy(4, 2.0)})
    assert adaptation.wanted(load, jobs("a"), 0.0) == 1
    assert adaptation.wanted(load, jobs("a"), 3600.0) == 10
    ended = Load([Backlog(b"f", 36, 0.6, begun=True)], {("p", "a"): busy(4, 2.0)})
    assert adaptation.wanted(ended, jobs("a"), 3601.0) == 10, "kept for a while"
    waiting = Load([Backlog(b"f", 36, 0.6)], {("p", "a"): busy(4, 2.0)})
    assert adaptation.wanted(waiting, jobs("a"), 3601.0 + IDLE) == 2


# --- whatever happens ---

LOADS = st.builds(
    Load,
    st.lists(
        st.builds(
            Backlog,
            st.sampled_from([b"f", b"g"]),
            st.integers(1, 10**6),
            st.floats(0, 1e5),
            begun=st.booleans(),
            bound=st.booleans(),
        ),
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from([("p", "a"), ("p", "b"), ("p", "c"), ("", None)]),
        st.builds(
            JobLoad,
            threads=st.sampled_from([0, 4]),
            tasks=st.integers(0, 100),
            seconds=st.floats(0, 1e4),
            busy=st.booleans(),
            stored_bytes=st.integers(0, 10**6),
            turns=st.integers(0, 100),
        ),
        max_size=4,
    ),
)


@given(st.lists(st.tuples(LOADS, st.floats(0, 100)), max_size=10), st.integers(0, 3))
def test_the_bounds_hold(looks: list[tuple[Load, float]], minimum: int) -> None:
    """Whatever the load."""
    adaptation = Adaptation(policy(minimum, 4), SIZE)
    now = 0.0
    for load, seconds in looks:
        now += seconds
        assert minimum <= adaptation.wanted(load, jobs("ab", "c"), now) <= 4


@given(LOADS, st.lists(st.floats(0.1, 100), min_size=2, max_size=20))
def test_a_load_that_does_not_change_changes_nothing(load: Load, steps: list[float]) -> None:
    """Once what it needs is there, the answer is the same for ever."""
    load = Load([entry for entry in load.backlog if not entry.begun], load.jobs)
    adaptation = Adaptation(policy(), SIZE)
    now = 0.0
    for _ in range(3):  # until all that was idle, or of no use, is known as such
        adaptation.wanted(load, jobs("abc"), now)
        now += IDLE
    first = adaptation.wanted(load, jobs("abc"), now)
    for step in steps:
        now += step
        assert adaptation.wanted(load, jobs("abc"), now) == first


class Simulation:
    """A pool that adapts, a scheduler that spreads tasks over its jobs, and a clock."""

    def __init__(self, delay: int, minimum: int = 0, maximum: int = 6) -> None:
        self.adaptation = Adaptation(policy(minimum, maximum), SIZE)
        self.pool = PoolState()
        self.delay = delay  # seconds a job waits in the queue
        self.ready: dict[str, float] = {}
        self.now = 0.0
        self.submitted = 0
        self.tasks = 0  # at all times, of 10 s each
        self.seconds = 0.0

    def spread(self) -> dict[str, int]:
        """Tasks of each connected job, the first ones full."""
        left, hands = self.tasks, {}
        for job in self.pool.live():
            if job.workers:
                hands[job.job_id] = min(left, 4)
                left -= hands[job.job_id]
        return hands

    def step(self) -> None:
        self.now += 1.0
        for job_id, due in list(self.ready.items()):
            if self.now >= due:
                del self.ready[job_id]
                if self.pool.jobs[job_id].live:
                    self.pool.worker_joined(job_id, f"{job_id}-0", self.now)
                    self.pool.worker_joined(job_id, f"{job_id}-1", self.now)
        hands = self.spread()
        waiting = self.tasks - sum(hands.values())
        backlog = [Backlog(b"f", waiting, 10.0)] if waiting else []
        loads = {
            (self.pool.name, i): JobLoad(threads=4, tasks=n, seconds=10.0 * n, busy=n > 0)
            for i, n in hands.items()
        }
        jobs = list(self.pool.jobs.values())
        self.pool.wanted = self.adaptation.wanted(Load(backlog, dict(loads)), jobs, self.now)
        business = {i: Business(n, busy=n > 0) for i, n in hands.items()}
        actions = decide(self.pool, business, self.now)
        for job_id in actions.retire:
            assert not hands[job_id], "a job that had work was taken away"
        if actions.submit:
            ids = tuple(str(self.submitted + n) for n in range(actions.submit))
            self.submitted += actions.submit
            self.pool.submitted(Submission(ids), self.now)
            self.ready |= dict.fromkeys(ids, self.now + self.delay)


@given(st.integers(1, 40), st.integers(0, 300), st.integers(1, 6))
def test_as_many_jobs_are_submitted_as_are_needed(tasks: int, delay: int, maximum: int) -> None:
    """With two workers a job, however long they wait in the queue: no submission is for nothing."""
    simulation = Simulation(delay, maximum=maximum)
    simulation.tasks = tasks
    for _ in range(delay + 3 * int(IDLE)):
        simulation.step()
    expected = min(maximum, -(-tasks // 4))
    assert simulation.submitted == expected == len(simulation.pool.live())
    simulation.tasks = 0
    for _ in range(int(IDLE) + 1):
        simulation.step()
    assert simulation.pool.live() == []
    assert simulation.submitted == expected


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 100)), max_size=8), st.integers(0, 90))
def test_whatever_the_load_does_no_job_with_work_is_taken_away(
    phases: list[tuple[int, int]], delay: int
) -> None:
    """And bounds hold, and in the end all jobs but the minimum are gone."""
    simulation = Simulation(delay, minimum=1)
    for tasks, seconds in [*phases, (0, int(IDLE) + delay + 2)]:
        simulation.tasks = tasks
        for _ in range(seconds):
            simulation.step()
            assert 1 <= len(simulation.pool.live()) <= 6
    assert len(simulation.pool.live()) == 1
