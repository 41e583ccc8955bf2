"""How calls and values leave a client: as messages to the scheduler, and states in its book.

A state is opened before its task is sent, and counts for one future: whoever gets it makes that
future of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

from jobqueue.client.calls import (
    Functions,
    Keys,
    check_key,
    content_key,
    dumps_arguments,
    function_name,
)
from jobqueue.client.connection import Connection
from jobqueue.client.content import call_digest, value_digest
from jobqueue.client.future import Future, adopt_into
from jobqueue.client.states import MADE, RELEASED, State
from jobqueue.errors import ClientClosed, ConfigError, SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol import references
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import dumps

if TYPE_CHECKING:
    from jobqueue.client.client import Client

BATCH = 1000
"""Tasks of one `map` that are sent at a time, so that workers begin while others are pickled."""

Options = dict[str, Any] | None
"""What `jobqueue.client.options` makes."""

Inputs = tuple[str, ...] | None
Item = tuple[str, Serialized, Inputs]


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
        self._functions = Functions(
            lambda item: connection.say((m.FUNCTIONS, [item])),
            lambda fids: connection.say((m.FORGET_FUNCTIONS, fids)),
        )
        connection.on_sweep = self._functions.sweep
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
        client: Client,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        key: str | tuple[Any, ...] | None,
        pure: bool,
        options: Options,
    ) -> State:
        """Send one call; see `Client.submit`."""
        keys = self._check_open()
        name = function_name(function)
        fid = self._functions.name(function)
        with references.recording() as found:
            arguments = dumps_arguments(args, kwargs, name)
        inputs = self._input_keys(client, found) if found else None
        work = MADE
        if key is None and not pure:
            key = keys.new(name)
        else:
            digest = call_digest(fid, args, kwargs, arguments)
            if key is None:
                key = content_key(name, digest)
            else:
                key = check_key(key)
                _check_circle(key, inputs)
                work = digest
                options = {**(options or {}), "digest": work}
        self._check_open()
        state = self._open(key, work)
        self._connection.say((m.SUBMIT, fid, options, [(key, arguments, inputs)]))
        return state

    def map(
        self,
        client: Client,
        function: Callable[..., Any],
        iterables: Sequence[Iterable[Any]],
        kwargs: dict[str, Any],
        key: str | Collection[str] | None,
        pure: bool,
        options: Options,
        batch_size: int | None,
    ) -> list[State]:
        """Send one call for each element; see `Client.map`."""
        if not iterables:
            raise ConfigError("map() needs at least one iterable: map(function, range(10))")
        own_keys = self._check_open()
        size = _check_batch_size(batch_size)
        name = function_name(function)
        calls: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        chosen: list[str] | None = None
        if key is None or not isinstance(key, Collection) or isinstance(key, str):
            keys = own_keys.series(name if key is None else check_key(key))
        else:
            all_calls, chosen = list(calls), [check_key(one) for one in key]
            if len(chosen) != len(all_calls):
                raise ConfigError(f"key: {len(chosen)} keys for {len(all_calls)} calls")
            calls, keys, pure = iter(all_calls), iter(chosen), False
        opened: list[State] = []
        with self._functions.keeping(function) as fid:
            digested = pure or chosen is not None
            while batch := list(islice(calls, size)):
                items: list[Item] = []
                works: list[bytes] = []
                alive: list[Future] = []  # till the batch is sent: their tasks must stay
                with references.recording() as found:
                    for args in batch:
                        arguments = dumps_arguments(args, kwargs, name)
                        inputs = None
                        if found:
                            inputs = self._input_keys(client, found)
                            alive.extend(found)
                            found.clear()
                        if digested:
                            works.append(call_digest(fid, args, kwargs, arguments))
                        call_key = content_key(name, works[-1]) if pure else next(keys)
                        items.append((call_key, arguments, inputs))
                self._check_open()
                if chosen is None:
                    opened.extend(self._book.open_all([item[0] for item in items]))
                    self._connection.say((m.SUBMIT, fid, options, items))
                else:
                    opened.extend(self._send_chosen(fid, options or {}, items, works))
        return opened

    def _send_chosen(
        self, fid: bytes, options: dict[str, Any], items: list[Item], works: list[bytes]
    ) -> list[State]:
        """Send calls whose keys the user chose: each with the digest of what it is."""
        for key, _, inputs in items:
            _check_circle(key, inputs)
        states = self._open_all([item[0] for item in items], works)
        self._connection.say(
            *(
                (m.SUBMIT, fid, {**options, "digest": work}, [item])
                for item, work in zip(items, works, strict=True)
            )
        )
        return states

    def scatter(self, values: Sequence[Any], options: Options, by_content: bool) -> list[State]:
        """Send values; see `Client.scatter`."""
        own_keys = self._check_open()
        items = []
        for value in values:
            serialized = dumps(value, own=True)
            name = type(value).__name__
            key = (
                content_key(name, value_digest(value, serialized))
                if by_content
                else own_keys.new(name)
            )
            items.append((key, serialized))
        states = self._book.open_all([key for key, _ in items])
        if items:
            self._connection.say((m.SCATTER, options, items))
        return states

    def want(self, key: str) -> State:
        """Return the state, for one more future, of a task that somebody else submitted."""
        self._check_open()
        state, new = self._book.open(key, None)
        if new:
            self._connection.say((m.WANT, [key]))
        return state

    # -- keys --------------------------------------------------------------------------------------

    def _open(self, key: str, work: bytes) -> State:
        try:
            return self._book.open(key, work)[0]
        except ConfigError:  # by futures that are gone, perhaps
            self._say_all()
            return self._book.open(key, work)[0]

    def _open_all(self, keys: Sequence[str], works: Sequence[bytes]) -> list[State]:
        try:
            return self._book.open_all(keys, works)
        except ConfigError:
            self._say_all()
            return self._book.open_all(keys, works)

    def _say_all(self) -> None:
        """Have the scheduler told of all futures that are gone by now."""
        connection = self._connection
        if connection.in_thread:
            connection.say_all()
        else:
            asyncio.run_coroutine_threadsafe(_call(connection.say_all), connection.loop).result()

    def _input_keys(self, client: Client, found: list[Future]) -> tuple[str, ...]:
        """Return the keys of the inputs of a task, of which this client then holds futures.

        Raises
        ------
        SerializationError
            One of them is of no use here.
        """
        for place, future in enumerate(found):
            if future._state.status is RELEASED:
                raise SerializationError(
                    f"the future {future.key!r} was released: submit its task again"
                )
            if future.client is not client:
                self._check_foreign(future)
                found[place] = adopt_into(client, future.key)
        return tuple(dict.fromkeys(future.key for future in found))

    def _check_foreign(self, future: Future) -> None:
        """See that another client's future can be an input here, and the scheduler knows of it."""
        theirs = future.client._connection
        if theirs.book.closed is not None:
            raise SerializationError(
                f"the future {future.key!r} belongs to a client that is closed: submit its task "
                "again"
            )
        if not theirs.scheduler or theirs.scheduler != self._connection.scheduler:
            raise SerializationError(
                f"the future {future.key!r} belongs to a client of another scheduler: gather its "
                "result there and pass that"
            )
        theirs.wait_until_heard()


async def _call(function: Callable[[], object]) -> None:
    function()


def _check_batch_size(size: int | None) -> int:
    if size is None:
        return BATCH
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"batch_size={size!r}: it is how many tasks are sent at a time")
    return size


def _check_circle(key: str, inputs: Collection[str] | None) -> None:
    if inputs and key in inputs:
        raise ConfigError(
            f"key {key!r} is in use for other work, an input of this very task: choose another key"
        )
