"""What a cluster has, as people see it: in one line, and as a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from jobqueue.batch.units import mebibytes

if TYPE_CHECKING:
    from jobqueue.cluster.core import Core


class Figures(NamedTuple):
    """What a cluster has, and is to have.

    Parameters
    ----------
    pools
        By name: jobs that are connected, and jobs that there are to be.
    workers, threads, memory
        Workers, and threads and bytes of memory of all of them.

    Examples
    --------
    >>> print(Figures({"default": (2, 4)}, workers=12, threads=48, memory=186 * 2**30))
    2/4 jobs, workers=12, threads=48, memory=186GiB
    """

    pools: Mapping[str, tuple[int, int]]
    workers: int
    threads: int
    memory: int

    @classmethod
    def of(cls, core: Core) -> Figures:
        """Count what a cluster has now."""
        workers = core.workers()
        return cls(
            core.counts(),
            len(workers),
            sum(worker.nthreads for worker in workers),
            sum(worker.memory_limit or 0 for worker in workers),
        )

    def __str__(self) -> str:
        connected, wanted = map(sum, zip(*self.pools.values(), strict=True))
        each = ", ".join(f"{name} {have}/{most}" for name, (have, most) in self.pools.items())
        jobs = f"{connected}/{wanted} jobs" + (f" ({each})" if len(self.pools) > 1 else "")
        return f"{jobs}, workers={self.workers}, {self._brought}"

    def rows(self) -> list[tuple[str, str]]:
        """Return rows of a table."""
        several = len(self.pools) > 1
        jobs = [
            (f"jobs of {name}" if several else "jobs", f"{have} of {wanted} connected")
            for name, (have, wanted) in self.pools.items()
        ]
        return [*jobs, ("workers", f"{self.workers}, {self._brought}")]

    @property
    def _brought(self) -> str:
        return f"threads={self.threads}, memory={mebibytes(self.memory)}"


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return rows of two texts as HTML, for notebooks."""
    import html  # which brings all of HTML's names of characters

    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for key, value in rows
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{body}</table></div>"
