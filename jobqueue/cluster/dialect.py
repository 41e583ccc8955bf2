"""How a batch system turns out to speak here: what one adapter learns, all of a cluster learn.

A command may be a relative of what was expected, or a site have other limits: an answer shows it
(`BatchAdapter.fallback`). Pools have adapters of their own, which differ in what their jobs ask
for; what such an answer shows holds for each of them.
"""

from __future__ import annotations

from jobqueue.batch.answers import Completed
from jobqueue.batch.base import BatchAdapter


class Dialect:
    """An adapter, in the dialect that has turned out to be spoken here.

    Parameters
    ----------
    adapter
        As it is before anything is known.
    like
        Another adapter of the same batch system, to learn together with.

    Examples
    --------
    >>> from jobqueue.batch.pbs import PBSAdapter
    >>> one = Dialect(PBSAdapter())
    >>> other = Dialect(PBSAdapter(), like=one)
    >>> one.learn(Completed(PBSAdapter.probe_argv, 0, "Version: 6.1.2", ""))
    True
    >>> other.adapter.dialect.name
    'TORQUE'
    """

    def __init__(self, adapter: BatchAdapter, *, like: Dialect | None = None) -> None:
        self._adapter = adapter
        self._lessons: list[Completed] = [] if like is None else like._lessons
        self._learnt = 0

    @property
    def adapter(self) -> BatchAdapter:
        """The adapter to use now."""
        for lesson in self._lessons[self._learnt :]:
            self._adapter = self._adapter.fallback(lesson) or self._adapter
        self._learnt = len(self._lessons)
        return self._adapter

    def learn(self, completed: Completed) -> bool:
        """Take in what a command said; return whether it shows another dialect: then try again."""
        if self.adapter.fallback(completed) is None:
            return False
        self._lessons.append(completed)
        return True
