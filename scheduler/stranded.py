"""Tasks that wait for workers which will not come, while others go on. Part of the core: pure.

Whether workers may come is not for the scheduler to know: its owner judges that, pool by pool. A
task that waits for one which cannot run waits in vain, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jobqueue.errors import WorkersUnavailable
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import READY, WAITING

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.state import SchedulerState

Resources = tuple[tuple[str, float], ...]

Judge = Callable[[frozenset[str] | None, Resources], WorkersUnavailable | None]
"""Says why nobody will come for a task that demands workers of these names (None: any) and these
resources; None if somebody may."""


def in_vain(state: SchedulerState, keys: Iterable[str], judge: Judge) -> tuple[int, Failure | None]:
    """Return how many of some tasks wait in vain, and why the first of them does."""
    verdicts: dict[Demand | None, Failure | None] = {}
    known: dict[Task, Failure | None] = {}
    count, why = 0, None
    for key in keys:
        task = state.tasks.get(key)
        if task is not None and (failure := _judge(state, task, judge, verdicts, known)):
            count += 1
            why = why or failure
    return count, why


def _judge(
    state: SchedulerState,
    task: Task,
    judge: Judge,
    verdicts: dict[Demand | None, Failure | None],
    known: dict[Task, Failure | None],
) -> Failure | None:
    """Look at a task and at all that it waits for, each once."""
    stack = [task]
    while stack:
        last = stack[-1]
        if last in known:
            stack.pop()
            continue
        waits_for = [t for t in last.inputs if t.state in (WAITING, READY)]
        if unknown := [t for t in waits_for if t not in known]:
            stack += unknown
            continue
        stack.pop()
        known[last] = next((failure for t in waits_for if (failure := known[t])), None)
        if known[last] is None and last.state in (WAITING, READY):
            demand = last.demand
            if demand not in verdicts:
                verdicts[demand] = _verdict(state, demand, judge)
            known[last] = verdicts[demand]
    return known[task]


def _verdict(state: SchedulerState, demand: Demand | None, judge: Judge) -> Failure | None:
    workers = state.workers.values()
    if workers if demand is None else demand.suitable(workers):
        return None
    if demand is None:
        error = judge(None, ())
    else:
        error = judge(None if demand.others else demand.names, demand.resources)
    return None if error is None else Failure.of(error)
