"""Locks, events, semaphores, queues, variables and datasets that clients share by their names.

Part of the core: pure, without clock or sockets. `things.py` and `shelf.py` say how they behave;
here are their names, who may ask what, and what is kept for them: values, unopened, and the tasks
whose futures are inside. Those are wanted by a client of this room's own, so that they stay.

A question is (kind, name, operation, arguments). Operations are answered by ANSWER, or by REFUSED;
but for three, whose argument is the number of another question: ``hurry`` (answer it now),
``withdraw`` (undo it), ``taken`` (what it got has arrived).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from jobqueue.errors import ConfigError, CoordinationError, JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import nbytes
from jobqueue.scheduler.records import ClientRecord, StandIn
from jobqueue.scheduler.shelf import Shelf
from jobqueue.scheduler.thing import Desk, Element, Question, Thing
from jobqueue.scheduler.things import Event, Queue, Semaphore, Variable

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

LONGEST_NAME: Final = 1000
"""Characters of a name."""

MOST_THINGS: Final = 100_000
"""Things that are in use at a time, of all kinds together."""

MOST_BYTES: Final = 1 << 30
"""Bytes of values that are kept at a time; they are in the memory of the scheduler's process."""

CLOSED_KNOWN: Final = 1000
"""Closed semaphores that are remembered, so that nobody begins them anew by mistake."""

KINDS: Final[dict[str, type[Thing]]] = {
    "lock": Semaphore,
    "event": Event,
    "semaphore": Semaphore,
    "queue": Queue,
    "variable": Variable,
    "datasets": Shelf,
}

OPERATIONS: Final[dict[type[Thing], frozenset[str]]] = {
    Event: frozenset({"wait", "set", "clear", "is_set"}),
    Semaphore: frozenset({"acquire", "release", "get_value", "close"}),
    Queue: frozenset({"open", "put", "get", "qsize", "close"}),
    Variable: frozenset({"set", "get", "delete"}),
    Shelf: frozenset({"publish", "get", "unpublish", "names"}),
}
"""What can be asked of each, by the name of its method."""

UNANSWERED: Final = frozenset({"hurry", "withdraw", "taken"})


class Keeper(StandIn):
    """Wants the tasks whose futures are inside of kept values."""

    __slots__ = ("_counts", "_state")

    def __init__(self, state: SchedulerState) -> None:
        super().__init__("coordination")
        self._state = state
        self._counts: Counter[str] = Counter()

    def hold(self, keys: Sequence[str]) -> None:
        """Want these, once more than before."""
        new = [key for key in dict.fromkeys(keys) if not self._counts[key]]
        self._counts.update(keys)
        if new:
            self._state.wishes.want(self, new)

    def drop(self, keys: Sequence[str]) -> None:
        """Want these once less."""
        self._counts.subtract(keys)
        gone = [key for key in dict.fromkeys(keys) if not self._counts[key]]
        for key in gone:
            del self._counts[key]
        if gone:
            self._state.wishes.release(self, gone)


class Coordination:
    """All named things.

    Parameters
    ----------
    state
        The core whose tasks are meant by the futures inside of values.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._keeper = Keeper(state)
        self._desk = Desk(_answer, _refuse, self._admit, self._hold, self._drop)
        self._things: dict[tuple[str, str], Thing] = {}
        self._closed: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._nbytes = 0

    def __len__(self) -> int:
        return len(self._things)

    def coordinate(
        self, client: ClientRecord, number: int, arguments: tuple[str, str, str, Sequence[Any]]
    ) -> None:
        """Take in a question; the answer goes to the client's outbox, now or when it is time.

        Parameters
        ----------
        client
            Who asks.
        number
            Of the question.
        arguments
            Kind, name, operation, and the operation's own arguments.
        """
        kind, name, operation, args = arguments
        if operation in UNANSWERED:
            thing = self._things.get((kind, name))
            if thing is not None:
                getattr(thing, operation)((client, args[0]))
                self._settle(kind, name)
            return
        try:
            self._method(kind, name, operation)((client, number), *args)
        except JobQueueError as error:
            _refuse((client, number), error)
        finally:
            self._settle(kind, name)

    def forget_client(self, client: ClientRecord) -> None:
        """Release what a client that is gone had acquired, and undo what it waited for."""
        for (kind, name), thing in list(self._things.items()):
            thing.forget(client)
            self._settle(kind, name)

    # -- names -------------------------------------------------------------------------------------

    def _method(self, kind: str, name: str, operation: str) -> Callable[..., None]:
        """Return what a question calls; a thing comes into being when it is first named."""
        if kind not in KINDS or operation not in OPERATIONS[KINDS[kind]]:
            raise ConfigError(f"this scheduler does not know {kind!r:.100}, {operation!r:.100}")
        thing = self._things.get((kind, name))
        if thing is None:
            if not isinstance(name, str) or len(name) > LONGEST_NAME:
                raise ConfigError(
                    f"the name of a {kind} is text of up to {LONGEST_NAME} characters, not "
                    f"{name!r:.100}"
                )
            if len(self._things) >= MOST_THINGS:
                raise CoordinationError(
                    f"{kind} {name!r:.100}: {MOST_THINGS} others are in use already; delete "
                    "variables, close queues"
                )
            thing = self._things[kind, name] = KINDS[kind](f"{kind} {name!r}", self._desk)
        return getattr(thing, operation)  # type: ignore[no-any-return]

    def _settle(self, kind: str, name: str) -> None:
        """Forget a thing that is not in use any more."""
        thing = self._things.get((kind, name))
        if thing is None:
            return
        if thing.idle:
            del self._things[kind, name]
        elif isinstance(thing, Semaphore) and thing.closed:
            self._closed[kind, name] = None
            if len(self._closed) > CLOSED_KNOWN:
                del self._things[self._closed.popitem(last=False)[0]]

    # -- values ------------------------------------------------------------------------------------

    def _admit(self, element: Element) -> None:
        size = nbytes(element.value)
        if self._nbytes + size > MOST_BYTES:
            raise CoordinationError(
                f"a value of {size} bytes: queues, variables and datasets hold {self._nbytes} "
                f"bytes already, the limit is {MOST_BYTES}; scatter() large values, and put their "
                "futures; persist() collections"
            )
        self._hold(element)

    def _hold(self, element: Element) -> None:
        self._nbytes += nbytes(element.value)
        if element.keys:
            self._keeper.hold(element.keys)

    def _drop(self, element: Element) -> None:
        self._nbytes -= nbytes(element.value)
        if element.keys:
            self._keeper.drop(element.keys)


def _answer(question: Question, answer: Any) -> None:
    client, number = question
    client.say((m.ANSWER, number, answer))


def _refuse(question: Question, error: Exception) -> None:
    client, number = question
    client.say((m.REFUSED, number, Failure.of(error.with_traceback(None))))
