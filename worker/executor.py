"""The threads that run tasks.

Items come through a C queue (`jobqueue.worker.line`), are run one after another
(`jobqueue.worker.performer`), and what comes of them leaves through deques
(`jobqueue.worker.outcomes`). Here is who runs: the threads, the places that they have, and how a
task leaves its place, comes back to it, or is wanted no more.

`put`, `withdraw`, `abandon`, `pause`, `resume`, `start_over` and `close` are called from the event
loop; `secede`, `rejoin` and `keep_here` by tasks, in their threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Container
from typing import Any

from jobqueue.errors import TaskCancelled
from jobqueue.protocol.references import mentioning
from jobqueue.protocol.running import Host, running
from jobqueue.worker.board import Board, Slot, note
from jobqueue.worker.devices import Devices
from jobqueue.worker.line import Line
from jobqueue.worker.link import Link
from jobqueue.worker.outcomes import broken
from jobqueue.worker.performer import Performer
from jobqueue.worker.runner import Place, Run, Runner, here
from jobqueue.worker.store import Store

REJOIN_SLICE = 0.1
"""Seconds after which a task that waits for a place looks whether it is still wanted."""


class Executor:
    """Threads that run items in order.

    Parameters
    ----------
    nthreads
        How many items run at the same time, apart from those that have left their place.
    store
        Where inputs are, and where large results go.
    where
        Name of the worker, for tracebacks.
    wake
        Called, from any thread, when there is something for `take_results` after there was
        nothing.
    host
        The worker, as tasks find it.
    board
        Where threads show what they run, in case the process dies of it.
    link
        The way to the scheduler: when nothing else waits, a result leaves at once, from the thread
        that has made it.
    devices
        What is lent to tasks that take some.

    Attributes
    ----------
    functions
        What items name by their `fid`.
    set_inline_limit, take_results
        As `jobqueue.worker.performer.Performer` does it.
    put, withdraw, pause, resume
        As `jobqueue.worker.line.Line` does it; what runs goes on.
    """

    def __init__(
        self,
        nthreads: int,
        store: Store,
        *,
        where: str,
        wake: Callable[[], object],
        host: Host | None = None,
        link: Link | None = None,
        board: Board | None = None,
        devices: Devices | None = None,
    ) -> None:
        self._host = host
        self._board = board or Board(None)
        self._line = line = Line()
        self.put, self.withdraw, self._waiting = line.put, line.withdraw, line.waiting
        self.pause, self.resume = line.pause, line.resume
        self._performer = performer = Performer(
            store, line, where=where, wake=wake, link=link, devices=devices or Devices({})
        )
        self.functions, self.set_inline_limit = performer.functions, performer.set_inline_limit
        self.take_results = performer.take
        self._runners: dict[int, Runner] = {}  # by thread
        self._rejoining: deque[Place] = deque()
        self._closed = False
        self._started = 0
        for _ in range(nthreads):
            self._start_thread()

    # -- items -------------------------------------------------------------------------------------

    def abandon(self, keys: Container[str] | None = None) -> list[Run]:
        """Want the results of items (all items) that run no more; return those runs.

        The same keys may be put again, and are other items then.
        """
        runs = []
        for runner in list(self._runners.values()):
            item = runner.item
            if item is not None and (keys is None or item.key in keys):
                runner.abandon(item)
                runs.append(Run(runner, item))
        return runs

    def lingering(self) -> list[str]:
        """Return the keys of what runs in a place though it was abandoned."""
        runners = [runner for runner in list(self._runners.values()) if not runner.away]
        items = [(runner, runner.item) for runner in runners]
        return [item.key for runner, item in items if item is not None and runner.abandoned is item]

    def ran(self) -> dict[str, float]:
        """Return the keys of what runs and is wanted, and for how many seconds each has."""
        return dict(ran for each in list(self._runners.values()) if (ran := each.ran) is not None)

    @property
    def idle(self) -> bool:
        """Whether nothing runs, not even abandoned, and nothing waits."""
        return not self._waiting and self.at_rest

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, not even abandoned."""
        return all(runner.item is None for runner in list(self._runners.values()))

    def start_over(self) -> None:
        """Forget all items and functions; those that run are interrupted, and others take over."""
        self._line.clear()
        self._performer.start_over()
        for runner in list(self._runners.values()):
            item = runner.item
            if item is not None:
                if not runner.away:
                    runner.away = True
                    self._start_thread()
                runner.abandon(item)
                runner.interrupt(item)

    def close(self) -> None:
        """Let the threads end: those that run a task, after it."""
        self._closed = True
        self._waiting.clear()
        self._have_threads_look_up(len(self._runners))

    # -- what tasks ask for ------------------------------------------------------------------------

    def secede(self) -> str | None:
        """Leave this thread's place to another; return the key to tell the scheduler, if any."""
        runner = self._runners.get(threading.get_ident())
        if runner is None or runner.away or runner.item is None:
            return None
        with runner.shielded():
            runner.away = runner.odd = True
            self._start_thread()
        return runner.wanted

    def rejoin(self) -> str | None:
        """Wait for a place; return the key to tell the scheduler, if any.

        Raises
        ------
        TaskCancelled
            The task was abandoned, so it need not have a place.
        """
        runner = self._runners.get(threading.get_ident())
        if runner is None or not runner.away or runner.item is None:
            return None
        with runner.shielded():
            place = Place(runner)
            self._rejoining.append(place)
            self._have_threads_look_up(1)
            while not (place.free.wait(REJOIN_SLICE) or self._closed):
                if runner.wanted is None and self._take_back(place):
                    raise TaskCancelled("cancelled, while it waited for its place")
        return runner.wanted

    def _take_back(self, place: Place) -> bool:
        """Wait no more for a place; False if it is had already."""
        try:
            self._rejoining.remove(place)
        except ValueError:
            return False
        return True

    def keep_here(self) -> bool:
        """Have this thread's result stay in the store; return whether that is wanted."""
        runner = self._runners.get(threading.get_ident())
        if runner is None or runner.wanted is None:
            return False
        runner.stays = runner.odd = True
        return True

    # -- threads -----------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        name = f"jobqueue-task-{self._started}"
        self._started += 1
        threading.Thread(target=self._main, args=(Runner(),), name=name, daemon=True).start()

    def _have_threads_look_up(self, count: int) -> None:
        """Have all threads put themselves in order, and `count` of those that wait for items."""
        for runner in list(self._runners.values()):
            runner.odd = True
        self._line.have_look_up(count)

    def _main(self, runner: Runner) -> None:
        runner.ident = threading.get_ident()
        self._runners[runner.ident] = runner
        runner.odd = True  # perhaps it is to end already
        running.host, here.runner = self._host, runner
        running.unwanted = lambda: runner.wanted is None
        slot = self._board.take()
        trouble: BaseException | None = None
        try:
            with mentioning() as met:
                while True:
                    try:
                        if trouble is not None:
                            self._catch(runner, trouble)
                            trouble = None
                        self._work(runner, met, slot)
                        return
                    except BaseException as error:
                        trouble = error
        finally:
            self._board.give_back(slot)
            del self._runners[runner.ident]

    def _work(self, runner: Runner, met: list[Any], slot: Slot) -> None:
        """Run items until this thread is to end."""
        get, waiting, performer = self._line.get, self._waiting, self._performer
        memory, at = slot
        memory[at] = 0  # of what has slipped out of here
        while not (runner.odd and self._leaves(runner)):
            item = get()
            if item is None:
                runner.odd = True
                continue
            runner.item = item
            found = waiting.pop(item.key, None)
            told = False
            if found is not None:  # it was not withdrawn
                # Withdrawn and put again, it runs here, and what comes for it later is void.
                runner.item = found
                running.key = key = found.key
                note(memory, at, key.encode("utf-8", "surrogatepass"))
                told = performer.perform(runner, found, met)
                memory[at] = 0
            runner.item = None
            if not told and not performer.awake:
                performer.tell()

    def _catch(self, runner: Runner, error: BaseException) -> None:
        """Go on after what has come up outside of a task.

        A TaskCancelled has hit when its task had ended. Anything else comes of what a task has left
        behind in this thread, such as a trace function that raises, or of a lack of memory.
        """
        runner.calm()
        item = runner.item
        if item is not None and runner.abandoned is not item and type(error) is not TaskCancelled:
            self._performer.outcomes.failed.append((item.key, broken(error), 0.0))
        runner.item = None
        self._performer.tell()

    def _leaves(self, runner: Runner) -> bool:
        """Put a thread in order between two items; return whether it is to end."""
        runner.odd = runner.stays = False
        runner.abandoned = None
        if runner.give_back is not None:  # what has hit at its end has slipped out of it
            runner.returned()
        if runner.away or self._closed:
            return True
        try:
            place = self._rejoining.popleft()
        except IndexError:
            return False
        place.runner.away = False
        place.free.set()
        return True
