"""What a node, a container and a batch system's control groups leave to a process."""

import os
from pathlib import Path

import pytest

from jobqueue.worker.limits import (
    AGENT_RESERVE,
    available_cpus,
    available_memory,
    memory_per_worker,
)

GIB = 2**30
PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def lay_out(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return f"{root}/"


def test_without_control_groups_the_machine_is_the_limit(tmp_path: Path) -> None:
    """No /proc, no /sys: physical memory and the CPUs of the affinity mask."""
    assert available_memory(f"{tmp_path}/") == PHYSICAL
    assert available_cpus(f"{tmp_path}/") == len(os.sched_getaffinity(0))


def test_version_2_counts_every_level(tmp_path: Path) -> None:
    """Slurm limits the job above the step that the agent runs in."""
    job = "sys/fs/cgroup/system.slice/job_7"
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/job_7/step_batch/task_0\n",
            f"{job}/memory.max": "1073741824\n",
            f"{job}/cpu.max": "100000 100000\n",
            f"{job}/step_batch/memory.max": "max\n",
            f"{job}/step_batch/task_0/memory.max": "max\n",
            f"{job}/step_batch/task_0/cpu.max": "max 100000\n",
        },
    )
    assert available_memory(root) == GIB
    assert available_cpus(root) == 1


def test_version_1(tmp_path: Path) -> None:
    """The older layout has one tree per controller, and a huge number for no limit."""
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/slurm/job_7\n2:cpu,cpuacct:/slurm\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": "2147483648\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/slurm/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/slurm/cpu.cfs_period_us": "100000\n",
        },
    )
    assert available_memory(root) == min(PHYSICAL, 2 * GIB)
    assert available_cpus(root) == 1


def test_a_container_that_shows_a_path_of_its_host(tmp_path: Path) -> None:
    """The group's own path cannot be seen from inside; the top of the tree is the container's."""
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": "0::/kubepods/pod-1/abc\n",
            "sys/fs/cgroup/memory.max": "1073741824\n",
        },
    )
    assert available_memory(root) == GIB


def test_workers_leave_room_for_their_agent() -> None:
    """Together with the agent they fit into what the job may use, also if more was asked for."""
    for asked in (None, 2 * GIB, 100 * GIB):
        limit = memory_per_worker(4, asked=asked, total=8 * GIB)
        assert 4 * limit + AGENT_RESERVE <= 8 * GIB
        assert limit > 1.9 * GIB


def test_a_modest_wish_is_granted_as_it_is() -> None:
    """Less than there is stays what it is."""
    assert memory_per_worker(4, asked=GIB, total=8 * GIB) == GIB


@pytest.mark.parametrize("total", [1, 2**20, AGENT_RESERVE])
def test_a_tiny_total_never_gives_a_negative_limit(total: int) -> None:
    """Where there is hardly any memory, workers get at least half of it."""
    assert memory_per_worker(1, asked=None, total=total) >= total // 2
