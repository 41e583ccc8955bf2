"""Which of several pools a task is a reason for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.cluster.adapt import Adaptation, Policy, needed
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.cluster.sharing import Adapting, shares
from jobqueue.scheduler.load import Backlog, JobLoad, Load

CPU = JobSize(workers=2, threads=4, cores=4, memory=0)
GPU = JobSize(workers=2, threads=4, cores=4, memory=0, resources={"GPU": 1})


def pools(*, cpu: bool = True, gpu: bool = True, jobs: str = "") -> list[Adapting]:
    ours = {name: [i for i in jobs.split() if i.startswith(name)] for name in ("cpu", "gpu")}
    return [
        Adapting("cpu", CPU, ours["cpu"], adapts=cpu),
        Adapting("gpu", GPU, ours["gpu"], adapts=gpu),
    ]


PLAIN = Backlog(b"plain", 8, 100.0)
ON_GPUS = Backlog(b"gpu", 4, 100.0, resources={"GPU": 1})


def counted(load: Load, members: list[Adapting]) -> dict[str, int]:
    """Jobs that each pool needs."""
    parts = shares(load, members)
    return {
        member.name: needed(
            parts[member.name], [(member.name, job) for job in member.jobs], member.size, 5.0
        )
        for member in members
        if member.adapts
    }


def test_each_task_is_a_reason_for_one_pool() -> None:
    """GPU tasks bring up jobs with GPUs only, and plain tasks none of those."""
    assert counted(Load([PLAIN]), pools()) == {"cpu": 2, "gpu": 0}
    assert counted(Load([ON_GPUS]), pools()) == {"cpu": 0, "gpu": 2}
    assert counted(Load([PLAIN, ON_GPUS]), pools()) == {"cpu": 2, "gpu": 2}


def test_the_first_of_those_that_adapt_counts() -> None:
    """A pool of a fixed number of jobs gets no more of them; others that can do it come."""
    assert counted(Load([PLAIN]), pools(cpu=False)) == {"gpu": 2}
    assert counted(Load([PLAIN]), pools()[::-1]) == {"gpu": 2, "cpu": 0}


def test_a_pool_that_is_named_is_the_only_one() -> None:
    """Also if its jobs have nothing that others lack; one that does not adapt gets none."""
    named = Backlog(b"f", 8, 100.0, pools=frozenset({"gpu"}))
    assert counted(Load([named]), pools()) == {"cpu": 0, "gpu": 2}
    assert counted(Load([named]), pools(gpu=False)) == {"cpu": 0}


def test_jobs_that_cannot_do_a_pools_work_do_no_part_of_it() -> None:
    """Idle threads elsewhere are no reason to have fewer GPUs, or fewer of a named pool."""
    idle = {
        ("cpu", "cpu-1"): JobLoad(threads=4),
        ("cpu", "cpu-2"): JobLoad(threads=4),
        ("", None): JobLoad(threads=40),
    }
    named = Backlog(b"f", 8, 100.0, pools=frozenset({"gpu"}))
    for entry in (named, Backlog(b"g", 4, 100.0, resources={"GPU": 1})):
        assert counted(Load([entry], idle), pools(jobs="cpu-1 cpu-2"))["gpu"] == 2


def test_jobs_that_can_do_it_do_their_part() -> None:
    """Workers with GPUs run plain tasks, too, as long as they are there and have room."""
    idle = {("gpu", "gpu-1"): JobLoad(threads=4)}
    assert counted(Load([PLAIN], idle), pools(jobs="gpu-1"))["cpu"] == 1


def test_jobs_of_two_batch_systems_may_have_the_same_id() -> None:
    """What one does is not the other's; of workers that name no pool, the id tells it."""
    here = JobLoad(threads=4, tasks=8, seconds=800.0, busy=True)
    both = {("cpu", "7"): here, ("gpu", "7"): JobLoad(threads=4)}
    near, far = Adapting("cpu", CPU, ["7"]), Adapting("gpu", GPU, ["7"])
    assert counted(Load([], both), [near, far]) == {"cpu": 2 - 1, "gpu": 0}
    assert counted(Load([], {("", "7"): here}), [near, far]) == {"cpu": 2, "gpu": 0}


def test_what_others_have_in_line_is_theirs_to_do() -> None:
    """Tasks that have taken a share of a GPU wait for a thread of its job, and for no other."""
    jobs = {("gpu", "gpu-1"): JobLoad(threads=4, tasks=40, seconds=4000.0, busy=True)}
    assert counted(Load([], jobs), pools(jobs="gpu-1")) == {"cpu": 0, "gpu": 10}
    assert counted(Load([PLAIN], jobs), pools(jobs="gpu-1"))["cpu"] == 2


def test_what_nobody_can_run_is_no_reason() -> None:
    """Of any pool."""
    bound = Backlog(b"f", 8, 100.0, bound=True)
    unmet = Backlog(b"f", 8, 100.0, resources={"TPU": 1})
    elsewhere = Backlog(b"f", 8, 100.0, pools=frozenset({"fat"}))
    assert counted(Load([bound, unmet, elsewhere]), pools()) == {"cpu": 0, "gpu": 0}


ENTRIES = st.lists(
    st.builds(
        Backlog,
        st.sampled_from([b"f", b"g"]),
        st.integers(1, 100),
        st.floats(0, 1e4),
        pools=st.sampled_from([None, frozenset({"cpu"}), frozenset({"cpu", "gpu"})]),
        bound=st.booleans(),
        resources=st.sampled_from([{}, {"GPU": 1}, {"GPU": 2}]),
    ),
    max_size=5,
)


@given(ENTRIES, st.booleans(), st.booleans())
def test_no_task_counts_twice(entries: list[Backlog], cpu: bool, gpu: bool) -> None:
    """And each counts somewhere that can be run by a pool which adapts."""
    members = pools(cpu=cpu, gpu=gpu)
    parts = shares(Load(entries), members)
    counted = [entry for part in parts.values() for entry in part.backlog]
    able = [entry for entry in entries if any(m.adapts and m.can_run(entry) for m in members)]
    key = repr
    assert sorted(counted, key=key) == sorted(able, key=key)


def test_two_pools_that_adapt_come_and_go_without_flapping() -> None:
    """However long jobs wait in the queue: each pool gets what its tasks need, once."""
    policy = Policy(maximum=10)
    sizes = {"cpu": CPU, "gpu": GPU}
    adaptations = {name: Adaptation(policy, size) for name, size in sizes.items()}
    seen: dict[str, set[int]] = {"cpu": set(), "gpu": set()}
    jobs: dict[str, list[JobRecord]] = {"cpu": [], "gpu": []}
    for now in range(200):
        running = {
            (name, f"{name}-{i}"): JobLoad(threads=4, tasks=4, seconds=400.0, busy=True)
            for name in sizes
            for i in range(2 if now >= (50 if name == "cpu" else 120) else 0)
        }
        for name in sizes:
            ids = [job_id for pool, job_id in running if pool == name]
            jobs[name] = [
                JobRecord(i, name, 0.0, JobState.CONNECTED, workers=frozenset({i})) for i in ids
            ]
        backlog = [PLAIN] * (now < 50) + [ON_GPUS] * (now < 120)
        members = [
            Adapting(name, size, [job.job_id for job in jobs[name]]) for name, size in sizes.items()
        ]
        for name, part in shares(Load(backlog, running), members).items():
            seen[name].add(adaptations[name].wanted(part, jobs[name], float(now)))
    assert seen == {"cpu": {2}, "gpu": {2}}
