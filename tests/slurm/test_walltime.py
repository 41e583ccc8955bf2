"""A computation that is longer than its jobs may be, on a real Slurm."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.cluster.jobs import JobState

TASKS, SECONDS = 200, 1.0  # 200 s on three threads: more than three jobs of a minute can do

pytestmark = pytest.mark.usefixtures("places")


def work(number: int, folder: Path) -> bytes:
    """Make a result that stays on its worker; say in a file when it was begun and when ended."""
    with (folder / str(number)).open("a") as file:
        file.write("begun\n")
        file.flush()
        time.sleep(SECONDS)
        file.write("ended\n")
    return number.to_bytes(2) * 5_000


def test_two_hundred_tasks_go_through_six_jobs_of_a_minute(
    slurm: Any, places: Path, wait_until: Any
) -> None:
    """Nobody is to blame, nothing that was finished is done again, and no job comes that need not.

    Of three jobs at a time two are relieved when others have come in their place. The third is in a
    pool that may have no two, so it hands over by itself, to the others, and is replaced then.
    """
    folder = places / "tasks"
    folder.mkdir()
    seen: dict[str, set[str]] = defaultdict(set)

    def look() -> list[str]:
        jobs = cluster.jobs
        for job in jobs:
            if job.state is JobState.DRAINING:
                seen[job.pool].add(job.reason.partition(" in ")[0])
        return [job.cause for job in jobs if job.state is JobState.ENDED]

    def there() -> Counter[str]:
        return Counter(job.pool for job in cluster.jobs if job.state is not JobState.ENDED)

    one = {"cores": 1, "memory": "256MB", "walltime": "00:01:00"}
    with (
        SLURMCluster(**one, pools={"single": {"max_jobs": 1}}) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        cluster.scale(jobs=1, pool="single")
        futures = client.map(work, range(TASKS), folder=folder)
        wait_until(
            lambda: (look(), all(future.done() for future in futures))[1], 900, "all to be done"
        )
        assert client.gather(futures) == [number.to_bytes(2) * 5_000 for number in range(TASKS)]
        lines = Counter(line for path in folder.iterdir() for line in path.read_text().split())
        assert lines["ended"] == TASKS
        left = sum(job.state in (JobState.DRAINING, JobState.ENDED) for job in cluster.jobs)
        assert lines["begun"] <= TASKS + left, "what ran when its job handed over"
        assert sum(cluster.scheduler.state.tasks[future.key].deaths for future in futures) == 0
        # On a slow machine those that came then may have had their minute as well.
        wait_until(
            lambda: len(look()) >= 3 and there() == {"default": 2, "single": 1},
            240,
            "three or more to have ended, and as many to be there as are wanted",
        )
        assert set(look()) == {"walltime"}, "one that was too many would have been cancelled"
        assert seen == {"default": {"walltime"}, "single": {"walltime"}}
        keepers = cluster._core.pools.pools.values()
        assert [keeper.state.setbacks.losses for keeper in keepers] == [0, 0]
