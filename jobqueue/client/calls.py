"""Turning calls into what travels: functions pickled once, arguments once, keys made readable."""

from __future__ import annotations

import functools
import itertools
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jobqueue.errors import ConfigError, SerializationError
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.references import mentioning
from jobqueue.protocol.serialize import beside, describe, dumps, dumps_function

_CACHED = (types.FunctionType, types.BuiltinFunctionType, type)
"""Callables that do not change from call to call; others (partials, bound methods, instances) may
hold state that does, and are pickled at each call."""

LARGEST_FUNCTION = 64 * 1024 * 1024
"""Bytes of a pickled function. Scheduler and workers keep functions, and send them in one piece."""

RECENT = 256
"""Functions that are pickled at each call which are remembered, so that the same pickle is not sent
again. The others are forgotten with the function object."""


class _Known(weakref.ref[Any]):
    """A function that was sent."""

    __slots__ = ("fid", "number")

    number: int
    fid: bytes


class Functions:
    """Functions as they travel, pickled once per function object.

    A function stays at the scheduler as long as a function object of its pickle lives here. When
    one is collected its reference goes to `_gone`, without any lock: that may happen anywhere.

    Parameters
    ----------
    send
        Called with id, name and pickle of a function that the scheduler does not have.
    forget
        Called with the ids of functions that will not be named again without being sent again.
    """

    def __init__(
        self,
        send: Callable[[tuple[bytes, str, bytes]], object],
        forget: Callable[[list[bytes]], object] = lambda fids: None,
    ) -> None:
        self._send = send
        self._forget = forget
        self._lock = threading.Lock()
        self._known: dict[int, _Known] = {}  # by the id() of the function
        self._gone: deque[_Known] = deque()
        self._uses: dict[bytes, int] = {}  # of functions at the scheduler
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    def name(self, function: Callable[..., Any]) -> bytes:
        """Return the id of a function that was sent, now or before.

        It is sent before anybody learns its id: whatever becomes of the call it is for, and
        whichever thread names it next, no task arrives ahead of its function.

        Raises
        ------
        SerializationError
            It cannot be pickled; or it is not callable at all.
        """
        known = self._known.get(id(function))
        if known is not None and known() is function:
            return known.fid
        if not callable(function):
            raise SerializationError(f"{describe(function)} is not callable: pass a function first")
        with mentioning() as futures:
            fid, pickle = dumps_function(function)
        if futures and isinstance(function, functools.partial):
            raise SerializationError(
                f"the future {futures[0].key!r} is held by the function, {describe(function)}, "
                "which would get no value for it: pass it as an argument to submit() or map()"
            )
        if len(pickle) > LARGEST_FUNCTION:
            raise SerializationError(
                f"{describe(function)} takes {len(pickle) >> 20} MiB, since it refers to large "
                "data: pass that as an argument instead, or scatter() it"
            )
        with self._lock:
            if fid not in self._uses:
                self._send((fid, function_name(function), pickle))
                self._uses[fid] = 0
            if isinstance(function, _CACHED):
                self._keep_with(function, fid)
            else:
                self._keep_recent(fid)
        return fid

    def _keep_with(self, function: Callable[..., Any], fid: bytes) -> None:
        known = _Known(function, self._gone.append)
        known.fid, known.number = fid, id(function)
        self._known[known.number] = known
        self._uses[fid] += 1

    def _keep_recent(self, fid: bytes) -> None:
        if fid in self._recent:
            self._recent.move_to_end(fid)
            return
        self._recent[fid] = None
        self._uses[fid] += 1
        if len(self._recent) > RECENT:
            oldest, _ = self._recent.popitem(last=False)
            self._drop(oldest)

    def _drop(self, fid: bytes) -> None:
        self._uses[fid] -= 1
        if not self._uses[fid]:
            del self._uses[fid]
            self._forget([fid])

    @contextmanager
    def keeping(self, function: Callable[..., Any]) -> Iterator[bytes]:
        """Name a function, and keep it at the scheduler for as long as this takes."""
        while True:
            fid = self.name(function)
            with self._lock:
                if fid in self._uses:  # and was not forgotten already, as one of too many
                    self._uses[fid] += 1
                    break
        try:
            yield fid
        finally:
            with self._lock:
                self._drop(fid)

    def sweep(self) -> None:
        """Have functions forgotten whose objects are gone."""
        for _ in range(len(self._gone)):
            known = self._gone.popleft()
            with self._lock:
                if self._known.get(known.number) is known:
                    del self._known[known.number]
                self._drop(known.fid)


def function_name(function: Callable[..., Any]) -> str:
    """Return a short name of a function, for keys and messages.

    Examples
    --------
    >>> function_name(functools.partial(print, end=""))
    'print'
    >>> function_name(lambda x: x)
    'lambda'
    """
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    return str(name).strip("<>") or "function"


class Keys:
    """Makes keys that no other client of the same scheduler makes.

    Parameters
    ----------
    number
        This client's number on the scheduler; it stands in the keys of all but the first client.
    taken
        Keys in use, those that users chose among them.

    Examples
    --------
    >>> Keys(0).new("inc"), Keys(2, {"inc-2-0"}).new("inc")
    ('inc-0', 'inc-2-1')
    """

    def __init__(self, number: int, taken: Container[str] = ()) -> None:
        self._infix = f"-{number}-" if number else "-"
        self._numbers = itertools.count()
        self._taken = taken

    def new(self, name: str) -> str:
        """Return a new key."""
        prefix, taken = name + self._infix, self._taken
        while (key := f"{prefix}{next(self._numbers):x}") in taken:
            pass
        return key

    def series(self, name: str) -> Iterator[str]:
        """Return new keys, one after the other."""
        prefix, taken = name + self._infix, self._taken
        return (key for number in self._numbers if (key := f"{prefix}{number:x}") not in taken)


def content_key(name: str, digest: bytes) -> str:
    """Return the key of what is known by its content, which is that of all that equals it.

    Examples
    --------
    >>> content_key("inc", bytes(2))
    'inc-0000'
    """
    return f"{name}-{digest.hex()}"


def check_key(key: Any) -> str:
    """Return a key that the user chose, as text.

    Raises
    ------
    ConfigError
        It is not text, and no tuple.

    Examples
    --------
    >>> check_key(("load", 7))
    "('load', 7)"
    """
    if isinstance(key, tuple) and key:
        return str(key)
    if not isinstance(key, str) or not key:
        raise ConfigError(f"key={key!r}: a key is text, such as 'load-7', or a tuple")
    return key


def dumps_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Serialized:
    """Serialize the arguments of a call: a tuple, or a list of a tuple and a dict.

    Raises
    ------
    SerializationError
        Naming the function and the argument which cannot be pickled.
    """
    positional = tuple(map(beside, args))
    try:
        if not kwargs:
            return dumps(positional, own=True)
        return dumps([positional, {name: beside(kwargs[name]) for name in kwargs}], own=True)
    except SerializationError as error:
        raise _name_the_culprit(args, kwargs, name, error) from error.__cause__


def _name_the_culprit(
    args: Sequence[Any], kwargs: Mapping[str, Any], name: str, error: SerializationError
) -> SerializationError:
    places = [(f"argument {place + 1}", value) for place, value in enumerate(args)]
    places += [(f"argument {keyword!r}", value) for keyword, value in kwargs.items()]
    for place, value in places:
        try:
            dumps(value)
        except SerializationError as trouble:
            return SerializationError(f"{place} of {name}: {trouble}")
    return SerializationError(f"the arguments of {name}: {error}")
