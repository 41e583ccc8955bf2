"""Clocks around the stages that a task goes through, in this process.

A stage is a function that is wrapped, so that each call adds its processor time, without that of
stages inside it, to its thread's account, and notes when it began and ended. The price is about a
microsecond a call: seen where a stage is called once a task, lost in the rest where it is called
once a batch.
"""

import functools
import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple


class Stage(NamedTuple):
    """A function, and what it does for a task."""

    label: str
    module: str
    name: str


STAGES = (
    Stage("pickle the call, make its future", "jobqueue.client.client", "Client.submit"),
    Stage("pickle the calls, make their futures", "jobqueue.client.client", "Client.map"),
    Stage("wait, unpickle the results", "jobqueue.client.client", "Client.gather"),
    Stage("wait, unpickle the result", "jobqueue.client.future", "Future.result"),
    Stage("client: say what is to be said", "jobqueue.client.connection", "Connection._flush"),
    Stage("client: note the ends", "jobqueue.client.states", "Book.finish"),
    Stage("scheduler: take in", "jobqueue.scheduler.state", "SchedulerState.submit"),
    Stage("scheduler: place", "jobqueue.scheduler.state", "SchedulerState.settle"),
    Stage("scheduler: note the ends", "jobqueue.scheduler.state", "SchedulerState.done"),
    Stage("scheduler: let go", "jobqueue.scheduler.wishes", "Wishes.release"),
    Stage("pack", "jobqueue.comm.stream", "encode"),
    Stage("write", "jobqueue.comm.outgoing", "Outgoing.write"),
    Stage("write at once", "jobqueue.comm.outgoing", "Outgoing.write_now"),
    Stage("take what was read", "jobqueue.protocol.decoder", "FrameDecoder.buffer_updated"),
    Stage("unpack", "jobqueue.protocol.decoder", "FrameDecoder.next_frame"),
    Stage("queue for a thread", "jobqueue.worker.line", "Line.put"),
    Stage("unpickle, call, pickle", "jobqueue.worker.performer", "Performer.perform"),
)

Account = dict[tuple[str, str], tuple[int, float]]
"""By thread and label: calls, and seconds of processor time."""

Mark = tuple[float, str, bool]
"""When, on a clock that all processes share; which stage; whether it ended."""


class Report(NamedTuple):
    """What a process tells of itself."""

    account: Account
    clocks: dict[str, float]
    """Seconds of processor time that each thread has had since it began."""
    marks: list[Mark]


class _Thread(threading.local):
    inside = 0.0  # seconds of the stages inside the one that runs


_thread = _Thread()
_accounts: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
_marks: list[Mark] = []


def timed(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a clock around it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        outside, _thread.inside = _thread.inside, 0.0
        _marks.append((time.perf_counter(), label, False))
        began = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds = time.thread_time() - began
            _marks.append((time.perf_counter(), label, True))
            account = _accounts[threading.current_thread().name, label]
            account[0] += 1
            account[1] += seconds - _thread.inside
            _thread.inside = outside + seconds

    return call


def install() -> None:
    """Put a clock around every stage, once; what holds a stage's function already keeps that."""
    for label, module, name in STAGES:
        owner: Any = importlib.import_module(module)
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        function = getattr(owner, last)
        if not hasattr(function, "__wrapped__"):
            setattr(owner, last, timed(label, function))


def report() -> Report:
    """Return what was measured since the last time."""
    clocks = {
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None
    }
    account = {key: (int(calls), seconds) for key, (calls, seconds) in _accounts.items()}
    marks = list(_marks)
    _accounts.clear()
    _marks.clear()
    return Report(account, clocks, marks)
