"""How much of a node this process may use: CPUs and memory.

Control groups (both versions) are what batch systems and containers set; every level above the
process's own group counts as well. Read anew on each call, from files below `root`, so that tests
can lay out a node of their own.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

AGENT_RESERVE = 48 * 2**20
"""Bytes that the workers of a job leave to its agent and the job's shell.

The agent's resident memory is 15 MB, a shell's 4 MB; the rest is for what the kernel charges to
the job beside them (page tables, pipes, its log's pages).
"""


class Fractions(NamedTuple):
    """Of its memory limit, what makes a worker do something; None for never.

    Parameters
    ----------
    target
        Results that take more go to disk.
    spill
        If the process takes more, results go to disk.
    pause
        If the process takes more, no task begins.
    terminate
        If the process takes more, its agent ends it.
    """

    target: float | None = 0.60
    spill: float | None = 0.70
    pause: float | None = 0.80
    terminate: float | None = 0.95


def available_cpus(root: str = "/") -> int:
    """Return how many CPUs this process may use, at least 1.

    Parameters
    ----------
    root
        Where /proc and /sys are found.
    """
    cpus: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    cpus = cpus or os.cpu_count() or 1
    for line in _group_files(root, "", "cpu.max"):
        quota, _, period = line.partition(" ")
        if quota != "max":
            cpus = min(cpus, int(quota) / int(period))
    quotas = _group_files(root, "cpu", "cpu.cfs_quota_us")
    periods = _group_files(root, "cpu", "cpu.cfs_period_us")
    for quota, period in zip(quotas, periods, strict=False):
        if int(quota) > 0:
            cpus = min(cpus, int(quota) / int(period))
    return max(1, math.ceil(cpus))


def available_memory(root: str = "/") -> int:
    """Return how many bytes this process and its children may use together.

    Parameters
    ----------
    root
        Where /proc and /sys are found.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_group_files(root, "", "memory.max")]
    limits += _group_files(root, "memory", "memory.limit_in_bytes")
    return min([total, *(int(limit) for limit in limits if limit != "max")])


def process_limit() -> int | None:
    """Return how many bytes one process may take because of `ulimit`, or None."""
    import resource

    soft = [resource.getrlimit(getattr(resource, name))[0] for name in _PROCESS_LIMITS]
    return min((limit for limit in soft if limit != resource.RLIM_INFINITY), default=None)


_PROCESS_LIMITS = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_RSS")


def memory_per_worker(
    workers: int, *, asked: float | None, total: int, each: int | None = None
) -> int:
    """Return the memory limit of each worker.

    A job's memory is often divided among its workers to the last byte by whoever asks for it. The
    agent lives in the same control group; without room for it, the kernel kills one of them before
    a worker notices that its memory runs short.

    Parameters
    ----------
    workers
        Number of workers that share the total.
    asked
        Bytes asked for per worker, a fraction of the total up to 1, or None for as much as there
        is.
    total
        Bytes that may be used in all, see `available_memory`.
    each
        Bytes that one process may use, see `process_limit`, or None.

    Examples
    --------
    >>> memory_per_worker(4, asked=None, total=8 * 2**30) == (8 * 2**30 - AGENT_RESERVE) // 4
    True
    >>> memory_per_worker(4, asked=10**9, total=8 * 2**30)
    1000000000
    """
    share = max(total - AGENT_RESERVE, total // 2) // workers
    if each is not None:
        share = min(share, each)
    if asked is None:
        return share
    return min(int(asked * total) if asked <= 1 else int(asked), share)


def balanced(cpus: int) -> int:
    """Return into how many worker processes to divide some CPUs: as many as each has threads.

    Few CPUs get a process each; of many, processes and threads both want to be few: the
    interpreter's lock is shared by threads, and memory by none but them.

    Examples
    --------
    >>> [balanced(cpus) for cpus in (1, 4, 12, 24, 64)]
    [1, 4, 4, 6, 8]
    """
    if cpus <= 4:
        return cpus
    return next(n for n in range(1, cpus + 1) if cpus % n == 0 and n * n >= cpus)


def resident_bytes(pid: int | None = None) -> int:
    """Return the bytes of memory that a process takes.

    Its resident set, as far as that is known without files that are mapped into memory: the kernel
    drops those by itself when there is need.

    Parameters
    ----------
    pid
        The process, or None for this one.

    Returns
    -------
    int
        0 if there is no such process.
    """
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid or 'self'}/status", "rb", buffering=0) as file:
                found = _RESIDENT.findall(file.read(8192))
        except OSError:
            return 0
        return sum(int(kilobytes) << 10 for kilobytes in found)
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


_RESIDENT = re.compile(rb"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)  # since Linux 4.5


def kernel_kills(root: str = "/") -> int:
    """Return how many processes the kernel has killed for lack of memory.

    Those of this process's control group, or of the whole node where there is none.

    Parameters
    ----------
    root
        Where /proc and /sys are found.
    """
    groups = [*_group_files(root, "", "memory.events")]
    groups += _group_files(root, "memory", "memory.oom_control")
    # The first is the process's own group; it counts what is below it.
    text = groups[0] if groups else _read(os.path.join(root, "proc/vmstat"))
    for line in text.splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0


def show_bytes(count: float) -> str:
    """Return an amount of memory for people.

    Examples
    --------
    >>> show_bytes(1.5 * 2**30), show_bytes(300 * 2**20)
    ('1.5 GiB', '300 MiB')
    """
    unit, size = ("GiB", 2**30) if count >= 2**30 else ("MiB", 2**20)
    amount = count / size
    return f"{amount:.1f} {unit}" if amount < 100 else f"{amount:.0f} {unit}"


def percent(part: float, whole: float) -> str:
    """Return a part of something for people, as in ``84 %``."""
    return f"{100 * part / whole:.0f} %"


def _group_files(root: str, controller: str, name: str) -> Iterator[str]:
    """Yield the contents of a control group file, from the process's own group up to the top.

    `controller` is empty for version 2. Within a container /proc may name a path of the host that
    cannot be seen from inside; then only the top, which is the container's own group, is found.
    """
    path = _group_path(root, controller)
    if path is None:
        return
    mount = os.path.join(root, "sys/fs/cgroup", controller)
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        content = _read(os.path.join(mount, *parts[:depth], name))
        if content:
            yield content.strip()


def _group_path(root: str, controller: str) -> str | None:
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
