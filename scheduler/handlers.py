"""What each message of a peer leads to: three tables, for clients, workers and job agents.

A message that concerns one room of the core goes there; the others, to the core (`state.py`). All
handlers are called with the peer's record and the message's fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.losses import Report
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.connections import Connections
    from jobqueue.scheduler.server import Scheduler

Handlers = dict[str, Callable[..., object]]
"""By operation."""


def client_handlers(scheduler: Scheduler) -> Handlers:
    """Return what the messages of clients lead to."""
    state, wishes = scheduler.state, scheduler.state.wishes
    return {
        m.FUNCTIONS: wishes.add_functions,
        m.FORGET_FUNCTIONS: wishes.forget_functions,
        m.SUBMIT: state.submit,
        m.SCATTER: state.scatter,
        m.WANT: wishes.want,
        m.KEEP: lambda client, keys: wishes.keep(keys),
        m.RELEASE: wishes.release,
        m.RETRY: lambda client, keys: wishes.retry(keys),
        m.CANCEL: wishes.cancel,
        m.FETCH: state.transfers.fetch,
        m.CALL: scheduler.calls.call,
        m.ASK: scheduler.questions.ask,
    }


def worker_handlers(scheduler: Scheduler, connections: Connections) -> Handlers:
    """Return what the messages of workers lead to."""
    state, transfers = scheduler.state, scheduler.state.transfers

    def heartbeat(worker: WorkerRecord, numbers: dict[str, Any]) -> None:
        worker.measured = dict(numbers)
        worker.say((m.HEARTBEAT, {}))

    return {
        m.DONE: state.done,
        m.FAILED: state.failed,
        m.RETURNED: state.returned,
        m.INPUT_GONE: state.input_gone,
        m.CUT_OFF: lambda worker, key, failure: state.losses.cut_off(
            worker, key, Failure(*failure)
        ),
        m.COPIED: state.copied,
        m.RELAY: transfers.relay,
        m.DATA: transfers.data,
        m.NO_DATA: lambda worker, number, failure: transfers.no_data(
            worker, number, Failure(*failure) if failure else None
        ),
        m.MENTIONS: state.wishes.mentions,
        m.SECEDED: state.seceded,
        m.REJOINED: state.rejoined,
        m.LINGERING: state.lingering.told,
        m.PAUSED: state.paused,
        m.LEAVING: connections.worker_leaves,
        m.DRAIN: connections.worker_drains,
        m.CALLED: scheduler.calls.called,
        m.HEARTBEAT: heartbeat,
    }


def agent_handlers(scheduler: Scheduler) -> Handlers:
    """Return what the messages of job agents lead to."""
    losses = scheduler.state.losses
    return {m.WORKER_ENDED: lambda agent, name, *how: losses.reported(name, Report(*how))}
