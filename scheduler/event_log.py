"""What happens in a scheduler, as lines of JSON in a file; off unless a file is named.

`docs/event-log.md` has the table of events and their fields. Off, it costs nothing; on, it puts
itself in front of the handlers of messages. Lines are written once per turn of the event loop. A
file that cannot be written to, on a full disk, ends the log and hurts nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from jobqueue.errors import ConfigError
from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message
from jobqueue.scheduler.handlers import Handlers
from jobqueue.scheduler.info import RUNNING, WorkerDrains, WorkerEvent, WorkerJoined, status_of
from jobqueue.scheduler.records import ClientRecord, Task
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import UNFINISHED
from jobqueue.scheduler.worker_record import WorkerRecord

logger = logging.getLogger("jobqueue.scheduler")

UNTOLD = frozenset({"digest"})
"""Options of tasks that say nothing to people."""


class EventLog:
    """Writes down what happens.

    Parameters
    ----------
    path
        The file; what stands in it stays, events are appended.
    state
        The core whose tasks and workers it tells of.
    clock
        Gives the time, in seconds since 1970.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        state: SchedulerState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = os.fspath(path)
        self._state = state
        self._clock = clock
        self._file: BinaryIO | None = None
        self._lines: list[str] = []
        self._statuses: dict[str, str] = {}

    # -- the file ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin.

        Raises
        ------
        ConfigError
            The file cannot be written to.
        """
        try:
            self._file = open(self.path, "ab", opener=_private)  # noqa: SIM115
        except OSError as error:
            raise ConfigError(
                f"the event log {self.path!r} cannot be written: {error.strerror or error}; "
                "name a file in a folder that exists and is yours"
            ) from error

    def write(self, event: str, **fields: Any) -> None:
        """Append one event, to be written at the end of this turn."""
        if self._file is None:
            return
        line = {"time": round(self._clock(), 6), "event": event, **fields}
        try:
            self._lines.append(json.dumps(line, default=repr))
        except (TypeError, ValueError, RecursionError):  # a user's tags
            self._lines.append(json.dumps({name: repr(value) for name, value in line.items()}))

    def flush(self) -> None:
        """Write what has come together; on a disk that takes no more, that was all."""
        if self._file is None or not self._lines:
            return
        try:
            self._file.write(self._take_lines())
            self._file.flush()
        except OSError as error:
            logger.warning("event log ends path=%s error=%s", self.path, error)
            self.close()

    def close(self) -> None:
        """Write what is left, and end."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.write(self._take_lines())
            with suppress(OSError):  # closing writes, too
                file.close()

    def _take_lines(self) -> bytes:
        lines, self._lines = self._lines, []
        return "".join(f"{line}\n" for line in lines).encode()

    # -- what peers say ----------------------------------------------------------------------------

    def watch(self, handlers: Handlers) -> Handlers:
        """Return the same handlers, which also write down what they are called for."""
        notes: dict[str, Callable[..., None]] = {
            m.SUBMIT: self._submitted,
            m.SCATTER: self._scattered,
            m.CALL: self._called,
            m.FAILED: self._raised,
        }
        watched = {
            operation: _both(notes[operation], handler)
            for operation, handler in handlers.items()
            if operation in notes
        }
        if m.DONE in handlers:
            watched[m.DONE] = self._watch_done(handlers[m.DONE])
        if m.WORKER_ENDED in handlers:
            watched[m.WORKER_ENDED] = self._watch_reports(handlers[m.WORKER_ENDED])
        return {**handlers, **watched}

    def _submitted(
        self,
        client: ClientRecord,
        fid: bytes,
        options: dict[str, Any] | None,
        items: Sequence[tuple[Any, ...]],
    ) -> None:
        told = {name: value for name, value in (options or {}).items() if name not in UNTOLD}
        self.write(
            "submitted",
            client=client.name,
            function=self._state.functions[fid].name,
            keys=[item[0] for item in items],
            options=told,
        )

    def _scattered(
        self, client: ClientRecord, options: Any, items: Sequence[tuple[Any, ...]]
    ) -> None:
        self.write("scattered", client=client.name, keys=[key for key, _ in items])

    def _called(
        self, client: ClientRecord, number: int, workers: Any, call: Any, actor: str | None
    ) -> None:
        self.write("called", client=client.name, workers=workers, actor=actor)

    def _raised(self, worker: WorkerRecord, failures: Iterable[tuple[str, Any, float]]) -> None:
        for key, failure, seconds in failures:
            task = self._state.tasks.get(key)
            if task is not None and task.worker is worker:
                self.write(
                    "raised",
                    key=key,
                    worker=worker.name,
                    seconds=seconds,
                    error=failure[1],
                    retried=task.retries > 0,
                )

    def _watch_reports(self, handler: Callable[..., object]) -> Callable[..., object]:
        tasks = self._state.tasks

        def ended(
            agent: Any,
            name: str,
            cause: str,
            blame: bool,
            lines: Sequence[str],
            running: Sequence[str] | None,
            pid: int,
        ) -> None:
            self.write(
                "worker-ended",
                worker=name,
                cause=cause,
                blame=blame,
                lines=lines,
                running=running,
                pid=pid,
            )
            doubtful = [task for task, at in self._state.losses.in_doubt.items() if at.name == name]
            named = [tasks[key] for key in running or () if key in tasks]
            before = {task: task.deaths for task in (*doubtful, *named)}
            handler(agent, name, cause, blame, lines, running, pid)
            self._death_charged(before, name)

        return ended

    def _watch_done(self, handler: Callable[..., object]) -> Callable[..., object]:
        tasks = self._state.tasks

        def done(worker: WorkerRecord, results: Sequence[tuple[str, Any, int, float]]) -> None:
            before = {key: tasks[key] for key, *_ in results if key in tasks}
            before = {key: task for key, task in before.items() if task.state in UNFINISHED}
            handler(worker, results)
            for key, _, size, seconds in results:
                if key in before and before[key].state not in UNFINISHED:
                    self.write("done", key=key, worker=worker.name, seconds=seconds, bytes=size)

        return done

    # -- what peers are told -----------------------------------------------------------------------

    def sent(self, peer: WorkerRecord | ClientRecord, messages: Iterable[Message]) -> None:
        """Write down what a peer is told of tasks."""
        for operation, *fields in messages:
            if operation == m.RUN:
                self.write("placed", worker=peer.name, keys=[key for key, *_ in fields[0]])
            elif operation in (m.FAILED, m.GONE):
                for key, failure in fields[0]:
                    self.write(operation, key=key, client=peer.name, error=failure[1])
            elif operation in (m.CANCELLED, m.LOST):
                self.write(operation, client=peer.name, keys=fields[0])

    # -- who comes and goes ------------------------------------------------------------------------

    def on_worker(self, event: WorkerEvent) -> None:
        """Write down that a worker has come or gone, or is about to go."""
        worker = event.worker
        if isinstance(event, WorkerJoined):
            self.write(
                "worker-joined",
                worker=worker.name,
                host=worker.host,
                job=worker.job_id,
                nthreads=worker.nthreads,
                memory_limit=worker.memory_limit,
                resources=worker.resources,
            )
        elif isinstance(event, WorkerDrains):
            self.write("worker-drains", worker=worker.name, reason=event.reason)
        else:
            self._statuses.pop(worker.name, None)
            self.write(
                "worker-left", worker=worker.name, cause=event.reason, expected=event.expected
            )

    def look(self) -> None:
        """Write down how the workers have changed since the last look."""
        for worker in self._state.workers.values():
            status = status_of(worker)
            was = self._statuses.get(worker.name, RUNNING)
            if status != was:
                self._statuses[worker.name] = status
                self.write("worker-status", worker=worker.name, status=status, was=was)

    def watch_removal(self, remove: Callable[..., None]) -> Callable[..., None]:
        """Return what removes a worker, and writes down which tasks it charges with that."""

        def removing(worker: WorkerRecord, **why: Any) -> None:
            before = {task: task.deaths for task in worker.tasks}
            remove(worker, **why)
            self._death_charged(before, worker.name)

        return removing

    def _death_charged(self, before: Mapping[Task, int], worker: str) -> None:
        for task, deaths in before.items():
            if task.deaths > deaths:
                self.write("death-charged", key=task.key, worker=worker, deaths=task.deaths)


def _both(note: Callable[..., None], handler: Callable[..., object]) -> Callable[..., object]:
    def both(peer: Any, *fields: Any) -> None:
        note(peer, *fields)
        handler(peer, *fields)

    return both


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
