"""What a node, a container and a batch system's control groups leave to a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.worker.limits import (
    AGENT_RESERVE,
    available_cpus,
    available_memory,
    balanced,
    kernel_kills,
    memory_per_worker,
    percent,
    process_limit,
    resident_bytes,
    show_bytes,
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


def test_a_fraction_of_what_there_is() -> None:
    """Up to all of it, less the agent's part."""
    assert memory_per_worker(4, asked=0.125, total=8 * GIB) == GIB
    assert memory_per_worker(1, asked=1.0, total=8 * GIB) == 8 * GIB - AGENT_RESERVE


def test_what_one_process_may_take_bounds_each() -> None:
    """However much there is for all."""
    assert memory_per_worker(2, asked=None, total=8 * GIB, each=GIB) == GIB
    assert memory_per_worker(2, asked=2 * GIB, total=8 * GIB, each=GIB) == GIB


def test_ulimit_is_heeded() -> None:
    """The lowest of those that bound memory; none here, or in the shell that runs this."""
    code = (
        "import resource as r\n"
        "from jobqueue.worker.limits import process_limit\n"
        "r.setrlimit(r.RLIMIT_AS, (2**36, r.getrlimit(r.RLIMIT_AS)[1]))\n"
        "r.setrlimit(r.RLIMIT_DATA, (2**35, r.getrlimit(r.RLIMIT_DATA)[1]))\n"
        "print(process_limit())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) <= 2**35
    assert process_limit() is None or process_limit() > 0  # type: ignore[operator]


def test_processes_and_threads_are_balanced() -> None:
    """Never more of either than CPUs, and all CPUs are used."""
    for cpus in range(1, 130):
        processes = balanced(cpus)
        assert 1 <= processes <= cpus
        assert cpus % processes == 0
        assert cpus <= 4 or processes >= cpus // processes


def test_what_a_process_takes() -> None:
    """This one some megabytes; one that does not exist, nothing."""
    assert 2**20 < resident_bytes() < 2**36
    assert abs(resident_bytes(os.getpid()) - resident_bytes()) < 2**24
    assert resident_bytes(2**22 + 1) == 0


def test_files_in_memory_do_not_count(tmp_path: Path) -> None:
    """What only mirrors a file is given up by the kernel when memory is short; what we hold not."""
    # A process of its own: what other tests have left in this one's memory has room for much.
    script = """
import mmap, sys
from jobqueue.worker.limits import resident_bytes
before = resident_bytes()
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert sum(mapped[::4096]) == 0
    mirrored = resident_bytes() - before
held = b"x" * (50 * 2**20)
print(mirrored, resident_bytes() - before)
"""
    path = tmp_path / "file"
    path.write_bytes(bytes(50 * 2**20))
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    mirrored, held = map(int, done.stdout.split())
    assert mirrored < 25 * 2**20
    assert held > 25 * 2**20


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/self/cgroup": "0::/job/step\n",
            "sys/fs/cgroup/job/step/memory.events": "low 0\noom 3\noom_kill 2\n",
            "sys/fs/cgroup/job/memory.events": "low 0\noom 9\noom_kill 9\n",
            "proc/vmstat": "oom_kill 50\n",
        },
        {
            "proc/self/cgroup": "4:memory:/job\n0::/\n",
            "sys/fs/cgroup/memory/job/memory.oom_control": "under_oom 0\noom_kill 2\n",
            "proc/vmstat": "oom_kill 50\n",
        },
        {"proc/vmstat": "nr_free_pages 1\noom_kill 2\n"},
    ],
)
def test_whom_the_kernel_has_killed(tmp_path: Path, files: dict[str, str]) -> None:
    """Counted in the process's own control group, of either version, or on the node."""
    assert kernel_kills(lay_out(tmp_path, files)) == 2


def test_a_kernel_that_does_not_count(tmp_path: Path) -> None:
    """Has killed nobody, as far as anybody knows."""
    assert kernel_kills(f"{tmp_path}/") == 0
    assert kernel_kills() >= 0


def test_amounts_for_people() -> None:
    """Three digits will do."""
    amounts = [50 * 2**10, 5 * 2**20, 300 * 2**20, 1.5 * GIB, 2000 * GIB]
    assert [show_bytes(a) for a in amounts] == [
        "0.0 MiB",
        "5.0 MiB",
        "300 MiB",
        "1.5 GiB",
        "2000 GiB",
    ]
    assert percent(96, 100) == "96 %"
