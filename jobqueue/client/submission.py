"""How calls and values leave a client: as messages to the scheduler, and states in its book.

A state is opened before its task is sent, and counts for one future: whoever gets it makes that
future of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import islice
from typing import Any

from jobqueue.client.calls import (
    Functions,
    Keys,
    dumps_arguments,
    function_name,
    pure_key,
    refuse_options,
)
from jobqueue.client.connection import Connection
from jobqueue.client.future import Future
from jobqueue.client.states import State
from jobqueue.errors import ClientClosed, ConfigError, SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol import references
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import dumps

BATCH = 1000
"""Tasks of one `map` that are sent at a time, so that workers begin while others are pickled."""


class Submission:
    """Sends what a client submits.

    Parameters
    ----------
    connection
        The client's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._book = connection.book
        self._functions = Functions(lambda item: connection.say((m.FUNCTIONS, [item])))
        self._keys: Keys | None = None

    def start(self) -> None:
        """Begin: the connection knows the client's number, which is part of its keys."""
        self._keys = Keys(self._connection.number, self._book.states)

    def _check_open(self) -> Keys:
        if self._book.closed is not None:
            raise copy(self._book.closed)
        if self._keys is None:
            raise ClientClosed("the client is not started: await it first")
        return self._keys

    def submit(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        key: str | None,
        pure: bool,
        priority: float,
        retries: int,
    ) -> State:
        """Send one call; see `Client.submit`."""
        keys = self._check_open()
        if kwargs:
            refuse_options(kwargs)
        name = function_name(function)
        fid = self._functions.name(function)
        with references.recording() as found:
            arguments = dumps_arguments(args, kwargs, name)
        if key is None:
            key = pure_key(name, fid, arguments) if pure else keys.new(name)
        inputs = self._input_keys(found) if found else None
        self._check_open()
        state = self._book.open(key)[0]
        call = (key, arguments, inputs)
        self._connection.say((m.SUBMIT, fid, _options(priority, retries), [call]))
        return state

    def map(
        self,
        function: Callable[..., Any],
        iterables: Sequence[Iterable[Any]],
        kwargs: dict[str, Any],
        key: str | None,
        pure: bool,
        priority: float,
        retries: int,
    ) -> list[State]:
        """Send one call for each element; see `Client.map`."""
        if not iterables:
            raise ConfigError("map() needs at least one iterable: map(function, range(10))")
        own_keys = self._check_open()
        if kwargs:
            refuse_options(kwargs)
        name = function_name(function)
        fid = self._functions.name(function)
        options = _options(priority, retries)
        calls = zip(*iterables, strict=False)
        keys = own_keys.series(key or name)
        opened: list[State] = []
        while batch := list(islice(calls, BATCH)):
            items: list[tuple[str, Serialized, Sequence[str] | None]] = []
            alive: list[Future] = []  # until the batch is sent: their tasks must not be released
            with references.recording() as found:
                for args in batch:
                    arguments = dumps_arguments(args, kwargs, name)
                    inputs = None
                    if found:
                        inputs = self._input_keys(found)
                        alive.extend(found)
                        found.clear()
                    call_key = pure_key(name, fid, arguments) if pure else next(keys)
                    items.append((call_key, arguments, inputs))
            self._check_open()
            opened.extend(self._book.open_all([item[0] for item in items]))
            self._connection.say((m.SUBMIT, fid, options, items))
        return opened

    def scatter(self, value: Any) -> State:
        """Send a value; see `Client.scatter`."""
        serialized = dumps(value, own=True)
        key = self._check_open().new(type(value).__name__)
        state = self._book.open(key)[0]
        self._connection.say((m.SCATTER, None, [(key, serialized)]))
        return state

    def _input_keys(self, found: Iterable[Future]) -> tuple[str, ...]:
        for future in found:
            if future.client._book is not self._book:
                raise SerializationError(
                    f"the future {future.key!r} belongs to another client: gather its result there "
                    "and pass that"
                )
        return tuple(dict.fromkeys(future.key for future in found))


def _options(priority: float, retries: int) -> dict[str, Any] | None:
    options: dict[str, Any] = {}
    if priority:
        options["priority"] = priority
    if retries:
        options["retries"] = retries
    return options or None
