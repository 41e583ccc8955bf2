"""How much of a node this process may use: CPUs and memory.

Control groups (both versions) are what batch systems and containers set; every level above the
process's own group counts as well. Read anew on each call, from files below `root`, so that tests
can lay out a node of their own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

AGENT_RESERVE = 48 * 2**20
"""Bytes that the workers of a job leave to its agent and the job's shell.

The agent's resident memory is 15 MB, a shell's 4 MB; the rest is for what the kernel charges to
the job beside them (page tables, pipes, its log's pages).
"""


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


def memory_per_worker(workers: int, *, asked: int | None, total: int) -> int:
    """Return the memory limit of each worker.

    A job's memory is often divided among its workers to the last byte by whoever asks for it. The
    agent lives in the same control group; without room for it, the kernel kills one of them before
    a worker notices that its memory runs short.

    Parameters
    ----------
    workers
        Number of workers that share the total.
    asked
        Bytes asked for per worker, or None for as much as there is.
    total
        Bytes that may be used in all, see `available_memory`.

    Examples
    --------
    >>> memory_per_worker(4, asked=None, total=8 * 2**30) == (8 * 2**30 - AGENT_RESERVE) // 4
    True
    >>> memory_per_worker(4, asked=10**9, total=8 * 2**30)
    1000000000
    """
    share = max(total - AGENT_RESERVE, total // 2) // workers
    return share if asked is None else min(asked, share)


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
