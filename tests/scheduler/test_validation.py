"""The invariants of the core, each broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import ASSIGNED, MEMORY, READY, RELEASED
from jobqueue.scheduler.validation import validate
from jobqueue.scheduler.worker_record import WorkerRecord

BREAKS: dict[str, Callable[[Any], object]] = {
    "an assigned task without a worker": lambda c: setattr(c.task("runs"), "worker", None),
    "a waiting task that is assigned": lambda c: setattr(c.task("waits"), "state", ASSIGNED),
    "a wrong count of missing inputs": lambda c: setattr(c.task("waits"), "missing", 2),
    "a task ready without its input": lambda c: setattr(c.task("waits"), "state", READY),
    "a result that is nowhere": lambda c: c.task("large").holders.clear(),
    "a task in memory without a value": lambda c: setattr(c.task("waits"), "state", MEMORY),
    "a released task that is wanted": lambda c: setattr(c.task("large"), "state", RELEASED),
    "a wrong count of waiters": lambda c: setattr(c.task("runs"), "waiters", 0),
    "a dependent that is not known": lambda c: c.task("runs").dependents.add(
        Task("x", None, None, 0, ())
    ),
    "an input that is forgotten": lambda c: c.state.tasks.pop("runs"),
    "a wrong sum of held bytes": lambda c: setattr(c.state.results, "held_bytes", 1),
    "a task that was not looked at": lambda c: c.state.lives.loose.append(c.task("runs")),
    "a client that nobody knows of": lambda c: c.client("other").wants.add(c.task("runs")),
    "a task for nobody": lambda c: setattr(c.task("waits"), "clients", ()),
    "a holder that does not know": lambda c: c.task("large").holders.add(WorkerRecord("x", 1)),
    "a wrong sum of stored bytes": lambda c: setattr(c.worker_, "stored", 1),
    "a wrong sum of occupancy": lambda c: setattr(c.worker_, "occupancy", 77.0),
    "a wrong level": lambda c: setattr(c.worker_, "level", 7),
    "one that retires and was not told so": lambda c: c.state.transfers.retiring.add(c.worker_),
    "moving without retiring": lambda c: c.worker_.moving.add(c.task("large")),
    "a move that nobody makes": lambda c: (
        setattr(c.worker_, "retiring", True),
        setattr(c.worker_, "level", None),
        c.worker_.moving.add(c.task("large")),
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_contradicts_itself_is_found(core, name):
    """A state with one of everything is valid, and is not any more after any of these."""
    client, core.worker_ = core.client(), core.worker(nthreads=2)
    core.submit(client, "large")
    core.submit(client, "runs")
    core.submit(client, "waits", inputs=["runs"])
    core.done(core.worker_, "large")
    core.said(client), core.said(core.worker_)
    validate(core.state)
    BREAKS[name](core)
    with pytest.raises(AssertionError):
        validate(core.state)
