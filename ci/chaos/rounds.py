"""Graph after graph, by several clients at once, while trouble is made; and what came of it."""

from __future__ import annotations

import random
import shutil
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from graphs import Graph, Step, digest, expected, kept, make_graph, run, value_of
from place import Place, new_folder
from trouble import Trouble

from jobqueue import Client
from jobqueue.errors import DataLost, TaskCancelled

PATIENCE = 60.0
"""Seconds within which a graph has to end, whatever happens: it takes less than one in peace."""


class Budget(NamedTuple):
    """When it is enough."""

    graphs: int
    seconds: float


class Wrong(Exception):
    """A graph did not come out as it had to."""


class Rounds:
    """All of a run.

    Parameters
    ----------
    seed
        From which graphs and trouble follow.
    budget
        When to end.
    kinds
        Of trouble.
    protocol, workers
        Of the place.
    first
        Number of the first graph.
    """

    def __init__(
        self,
        seed: int,
        budget: Budget,
        kinds: list[str],
        protocol: str,
        workers: int,
        first: int,
    ) -> None:
        self._seed = seed
        self._budget = budget
        self._kinds = kinds
        self._protocol = protocol
        self._workers = workers
        self._next = self._first = first
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._log: deque[str] = deque(maxlen=60)
        self._failures: list[str] = []
        self._tasks = self._done = self._lost = 0

    def run(self, clients: int) -> int:
        """Do it; return the exit status: 0 if all was right."""
        folder = new_folder()
        place = Place(self._protocol, self._workers, folder, spills=self._seed % 2 == 0)
        try:
            with Client(place.scheduler) as client:
                client.wait_for_workers(self._workers, timeout=60)
            trouble = Trouble(place, random.Random(self._seed), self._say, self._kinds)
            threads = [
                threading.Thread(target=self._work, args=(place, index), name=f"client {index}")
                for index in range(clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self._attempt("trouble", trouble.stop)
            if not self._failures:
                self._attempt("after all of them", self._look_after, place)
        finally:
            place.close()
        return self._report(trouble.count, folder)

    def _say(self, text: str) -> None:
        self._log.append(f"{time.monotonic() - self._began:8.2f} s  {text}")

    # -- graphs ------------------------------------------------------------------------------------

    def _work(self, place: Place, index: int) -> None:
        """Compute graphs until it is enough."""
        client = None
        while (number := self._take()) is not None:
            if client is None:
                client = Client(place.scheduler, name=f"chaos-{index}")
            graph = make_graph(self._seed, number)
            self._say(f"graph {graph.name} ({graph.manner} {graph.shape}, {len(graph.steps)})")
            self._attempt(f"graph {graph.name}", self._compute, client, graph, place)
            self._say(f"graph {graph.name} ends")
            if graph.manner == "leave":
                client.close()
                client = None
        if client is not None:
            client.close()

    def _take(self) -> int | None:
        with self._lock:
            enough = self._next - self._first >= self._budget.graphs
            late = time.monotonic() - self._began > self._budget.seconds
            if enough or late or self._failures:
                return None
            self._next += 1
            return self._next - 1

    def _attempt(self, what: str, function: Any, *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            self._failures.append(f"{what}:\n{traceback.format_exc()}")

    def _compute(self, client: Client, graph: Graph, place: Place) -> None:
        dice = random.Random(graph.name)
        right = expected(graph)
        doubtful = graph.doubtful()
        futures: dict[int, Any] = {}
        for step in graph.steps:
            futures[step.number] = _submit(client, graph, step, futures, place.folder)
        cancelled: set[int] = set()
        if graph.manner == "cancel":
            # Values are scattered under names that follow from them: other graphs have the same.
            victim = dice.choice([step.number for step in graph.steps if not step.scattered] or [0])
            cancelled = graph.with_dependents({victim})
            time.sleep(dice.choice((0, 0.01, 0.1)))
            if not graph.steps[victim].scattered:
                futures[victim].cancel(force=dice.random() < 0.5)
        for number in list(futures):
            if number not in graph.wanted and dice.random() < 0.8:
                del futures[number]  # released, perhaps before it has run
        order = list(graph.wanted)
        dice.shuffle(order)
        if graph.manner == "leave":
            del order[len(order) // 3 :]
        deadline = time.monotonic() + PATIENCE
        for number in order:
            try:
                value = futures[number].result(timeout=max(0.1, deadline - time.monotonic()))
                if graph.steps[number].hands_over:
                    (future,) = value
                    value = future.result(timeout=max(0.1, deadline - time.monotonic()))
            except TaskCancelled as error:
                if number not in cancelled:
                    raise Wrong(f"step {number} was not cancelled: {error}") from error
                continue
            except DataLost as error:
                if number not in doubtful:
                    raise Wrong(f"step {number} needs nothing that can be lost: {error}") from error
                self._lost += 1
                continue
            except TimeoutError:
                raise Wrong(_unfinished(client, futures, place)) from None
            if digest(value) != right[number]:
                raise Wrong(f"step {number}: {value!r:.80} is not what it is here")
        with self._lock:
            self._done += 1
            self._tasks += len(graph.steps)

    # -- the end -----------------------------------------------------------------------------------

    def _look_after(self, place: Place) -> None:
        """See that all works again, and that nothing is left."""
        with Client(place.scheduler) as client:
            client.wait_for_workers(self._workers, timeout=60)
            assert client.gather(client.map(abs, range(-200, 0))) == [*range(200, 0, -1)]
            tasks = place.scheduler.scheduler.state.tasks
            _wait("all tasks to be forgotten", lambda: not tasks)
            _wait("the workers to drop their results", lambda: not any(client.run(kept).values()))
        if complaints := place.complaints():
            raise Wrong("\n".join(complaints))

    def _report(self, troubles: int, folder: Path) -> int:
        elapsed = time.monotonic() - self._began
        print(
            f"seed {self._seed}: {self._done} graphs with {self._tasks} tasks were right, "
            f"{self._lost} results lost with scattered data, {troubles} troubles, {elapsed:.0f} s"
        )
        if not self._failures:
            shutil.rmtree(folder)
            return 0
        print("\n".join(["", "What happened last:", *self._log, "", *self._failures]))
        print(
            f"Logs: {folder}\nRepeat: python3 ci/chaos --seed {self._seed} "
            f"--first {self._first} --graphs {self._next - self._first} "
            f"--protocol {self._protocol} --only {','.join(self._kinds)}"
        )
        return 1


def _submit(client: Client, graph: Graph, step: Step, futures: dict[int, Any], folder: Path) -> Any:
    if step.scattered:
        return client.scatter(value_of(step.number, step.size, []))
    return client.submit(
        run,
        step,
        "" if step.pure else str(folder / f"{graph.name}-{step.number}.ran"),
        [futures[source] for source in step.inputs],
        pure=step.pure,
        retries=1 if step.fails else 0,
        priority=step.priority,
    )


def _unfinished(client: Client, futures: dict[int, Any], place: Place) -> str:
    """Say what is known of futures that have not ended in time."""
    lines = [f"not done after {PATIENCE:g} s; workers: {place.scheduler.workers()}"]
    for number, future in futures.items():
        if not future.done():
            lines.append(f"step {number} {future.key}: {client.explain(future)}")
    return "\n".join(lines)


def _wait(what: str, condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise Wrong(f"waited in vain for {what}")
        time.sleep(0.05)
