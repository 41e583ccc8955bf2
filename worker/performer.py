"""What a thread does with one item: from its arguments to the news of its end.

Every task comes through here, so what seldom happens costs the others one look at a flag,
`Runner.odd`, or at a field that is None.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import CoroutineType
from typing import Any

from jobqueue.comm import Comm
from jobqueue.errors import SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.running import running
from jobqueue.protocol.serialize import dumps, dumps_if_small, loads
from jobqueue.worker.devices import Devices
from jobqueue.worker.functions import Functions
from jobqueue.worker.items import InputGone, Item, arguments_of
from jobqueue.worker.line import Line
from jobqueue.worker.link import Link
from jobqueue.worker.outcomes import Done, Outcomes, Taken, failure_of, unsendable
from jobqueue.worker.runner import Runner
from jobqueue.worker.sizeof import sizeof
from jobqueue.worker.store import Store


class Performer:
    """Runs one item after another, each in the thread that brings it.

    Parameters
    ----------
    store
        Where inputs are, and where large results go.
    line
        Where the next items wait: as long as there are any, nobody is told at once of a result.
    where
        Name of the worker, for tracebacks.
    wake
        Called, from any thread, when there is something to `take` after there was nothing.
    link
        The way to the scheduler, if results may leave at once.
    devices
        What is lent to tasks that take some.

    Attributes
    ----------
    functions
        What items name by their `fid`.
    outcomes
        What has come of items and was not taken.
    awake
        Whether `wake` was called, and nothing has been taken since.
    """

    def __init__(
        self,
        store: Store,
        line: Line,
        *,
        where: str,
        wake: Callable[[], object],
        link: Link | None,
        devices: Devices,
    ) -> None:
        self.functions = Functions()
        self.outcomes = Outcomes()
        self.awake = False
        self._inline_limit = 0
        self._store = store
        self._waiting = line.waiting
        self._where = where
        self._wake = wake
        self._link = link
        self._devices = devices

    def set_inline_limit(self, limit: int) -> None:
        """Have results of up to so many bytes sent along; larger ones stay in the store."""
        self._inline_limit = limit

    def start_over(self) -> None:
        """Forget functions and outcomes, also those of the items that run."""
        self.functions.clear()
        self.outcomes = Outcomes()

    def tell(self) -> None:
        """Have somebody `take` what there is, unless they will anyway."""
        if not self.awake:
            self.awake = True
            self._wake()

    def take(self) -> Taken:
        """Return, and forget, what has come of items since the last call."""
        self.awake = False  # before looking: what comes from now on wakes again
        return self.outcomes.take()

    def perform(self, runner: Runner, item: Item, met: list[Any]) -> bool:
        """Run an item; return whether the scheduler knows of its end already.

        Parameters
        ----------
        runner
            The record of this thread.
        item
            What it has taken.
        met
            Gathers the futures that this thread pickles.
        """
        outcomes = self.outcomes
        # That it is done is news for the scheduler that asked for it, and no other.
        comm = None if self._link is None else self._link.comm
        runner.since = started = perf_counter()
        try:
            function = self.functions.loaded.get(item.fid)
            if function is None:
                function = self.functions.load(item.fid)
            if item.inputs is None:
                arguments = loads(item.arguments)
            else:
                arguments = arguments_of(item, item.inputs, self._store)
                if item.inputs.devices:
                    self._lend(runner, item.inputs.devices)
            runner.calling = item
            if type(arguments) is tuple:
                value = function(*arguments)
            else:
                value = function(*arguments[0], **arguments[1])
            if type(value) is CoroutineType:
                value = runner.complete(value)
            runner.calling = None
            if runner.odd:
                runner.returned()
        except InputGone as gone:
            outcomes.gone.append((item.key, str(gone)))
            return False
        except BaseException as error:
            seconds = perf_counter() - started
            runner.calling = None
            if runner.odd:
                runner.returned()
            if runner.abandoned is not item:
                outcomes.raised(item.key, error, self._where, seconds)
            return False
        seconds = perf_counter() - started
        if met:
            met.clear()  # of what the task itself has pickled
        try:
            small = None if runner.stays else dumps_if_small(value, self._inline_limit)
            if met:
                self._keep_mentions(item, value, small, met, outcomes)
                comm = None  # the futures are to be told of first
            elif small is None and runner.abandoned is not item:
                self._store.put(item.key, value)
            size = sizeof(value) if small is None else len(small)
            if runner.abandoned is not item:
                done = (item.key, small, size, seconds)
                if self._tell_now(comm, runner, done):
                    return True
                outcomes.done.append(done)
            elif small is None:
                self._store.discard(item.key)
        except SerializationError as error:
            outcomes.failed.append((item.key, unsendable(item.key, value, error), seconds))
        except BaseException as error:  # of the value's own code, or of the user's mapping
            failure = failure_of(error, self._where)._replace(task=item.key)
            outcomes.failed.append((item.key, failure, seconds))
        return False

    def _lend(self, runner: Runner, amount: float) -> None:
        """Lend devices to the task that a thread is about to call; see `Runner.returned`."""
        loan = self._devices.take(amount)
        running.devices = loan.names

        def give_back() -> None:
            running.devices = ()
            self._devices.give_back(loan)

        runner.give_back, runner.odd = give_back, True

    def _tell_now(self, comm: Comm | None, runner: Runner, done: Done) -> bool:
        """Tell of a result from this thread, if there is nothing that it could be told with."""
        if comm is None or self._waiting or self.awake or runner.odd:
            return False
        return comm.send_now([(m.DONE, [done])])

    def _keep_mentions(
        self, item: Item, value: Any, small: Serialized | None, met: list[Any], outcomes: Outcomes
    ) -> None:
        """Note which futures a result holds; a large one is pickled to the end to find all.

        It is kept as that pickle, for otherwise it would hold the futures itself, and with them
        this worker's client.
        """
        if small is None:
            met.clear()
            self._store.put_serialized(item.key, dumps(value))
        outcomes.mentions.append((item.key, list({future.key: future for future in met}.values())))
        met.clear()
