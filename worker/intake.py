"""Tasks that wait at a worker for their inputs, and the fetching of those.

An input is fetched once however many tasks wait for it, and stays as a copy that other workers can
be sent to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.worker.devices import RESOURCE
from jobqueue.worker.executor import Executor
from jobqueue.worker.items import Inputs, Item
from jobqueue.worker.peers import Answer, Peers
from jobqueue.worker.store import Store


class _Waiting:
    __slots__ = ("item", "missing")

    def __init__(self, item: Item, missing: set[str]) -> None:
        self.item = item
        self.missing = missing


class Intake:
    """Brings tasks and their inputs together, then hands them to the executor.

    Parameters
    ----------
    executor, store, peers
        Of the same worker.
    say
        Sends a message to the scheduler.
    """

    def __init__(
        self, executor: Executor, store: Store, peers: Peers, say: Callable[[Message], None]
    ) -> None:
        self._executor = executor
        self._store = store
        self._peers = peers
        self._say = say
        self._waiting: dict[str, _Waiting] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._unwanted: set[str] = set()  # freed while they were on their way
        self._reserved: dict[str, float] = {}  # devices of tasks that are about to come

    @property
    def idle(self) -> bool:
        """Whether no task waits for an input."""
        return not self._waiting

    def reserve(self, amounts: Iterable[tuple[str, Mapping[str, float]]]) -> None:
        """Take in what tasks take of this worker, as RESERVED describes it."""
        for key, taken in amounts:
            if devices := taken.get(RESOURCE, 0.0):
                self._reserved[key] = devices

    def run(self, items: Iterable[tuple[str, bytes, Serialized, Any]]) -> None:
        """Take in tasks as RUN describes them."""
        if self._reserved:
            items = [self._with_devices(*item) for item in items]
        put = self._executor.put
        for key, fid, arguments, inputs in items:
            if inputs is None:
                put(Item(key, fid, arguments, None))
            else:
                self._run_with_inputs(key, fid, arguments, inputs)

    def _with_devices(self, key: str, fid: bytes, arguments: Serialized, inputs: Any) -> Any:
        """Have a task that takes devices go the way of those that need something."""
        wants = key in self._reserved
        return key, fid, arguments, () if wants and inputs is None else inputs

    def _run_with_inputs(
        self,
        key: str,
        fid: bytes,
        arguments: Serialized,
        inputs: Sequence[tuple[str, Serialized | None, Sequence[Sequence[str]]]],
    ) -> None:
        stored = tuple(source for source, value, _ in inputs if value is None)
        inline = tuple((source, value) for source, value, _ in inputs if value is not None)
        devices = self._reserved.pop(key, 0.0) if self._reserved else 0.0
        item = Item(key, fid, arguments, Inputs(stored, inline, devices))
        missing = {source for source in stored if source not in self._store}
        if not missing:
            self._executor.put(item)
            return
        self._waiting[key] = _Waiting(item, missing)
        for source, value, holders in inputs:
            if value is None and source in missing:
                self._fetch(source, holders)

    def copy(self, wanted: Iterable[tuple[str, Sequence[Sequence[str]]]]) -> None:
        """Fetch results to keep, as COPY describes them."""
        for source, holders in wanted:
            if source in self._store:
                self._say((m.COPIED, [source], []))
            else:
                self._fetch(source, holders)

    def withdraw(self, key: str) -> bool:
        """Take a task back; return whether it had not begun."""
        return self._waiting.pop(key, None) is not None or self._executor.withdraw(key)

    def freed(self, key: str) -> None:
        """Note that nobody needs a result any more, even if it is only on its way."""
        if key in self._fetching:
            self._unwanted.add(key)

    def clear(self) -> None:
        """Forget all tasks that wait here."""
        for fetching in self._fetching.values():
            fetching.cancel()
        self._fetching.clear()
        self._waiting.clear()
        self._unwanted.clear()
        self._reserved.clear()

    def _fetch(self, source: str, holders: Sequence[Sequence[str]]) -> None:
        self._unwanted.discard(source)
        if source not in self._fetching:
            task = asyncio.create_task(self._fetch_and_serve(source, holders))
            self._fetching[source] = task

    async def _fetch_and_serve(self, source: str, holders: Sequence[Sequence[str]]) -> None:
        answer = await self._peers.get(source, holders)
        del self._fetching[source]
        self._serve(source, answer)

    def _serve(self, source: str, answer: Answer) -> None:
        unwanted = source in self._unwanted
        self._unwanted.discard(source)
        tasks = [(key, task) for key, task in self._waiting.items() if source in task.missing]
        came = answer is not None and not isinstance(answer, Failure)
        if came and (tasks or not unwanted):
            self._store.put_serialized(source, answer)  # type: ignore[arg-type]
        here = source in self._store  # perhaps because it was computed here meanwhile
        self._say((m.COPIED, [source], []) if here else (m.COPIED, [], [source]))
        for key, waiting in tasks:
            if here:
                waiting.missing.discard(source)
                if not waiting.missing:
                    del self._waiting[key]
                    self._executor.put(waiting.item)
            else:
                del self._waiting[key]
                if isinstance(answer, Failure):
                    self._say((m.FAILED, [(key, answer, 0.0)]))
                else:
                    self._say((m.INPUT_GONE, key, source))
