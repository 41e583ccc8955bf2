"""Turning calls into what travels: functions pickled once, arguments once, keys made readable."""

from __future__ import annotations

import functools
import hashlib
import itertools
import types
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from jobqueue.errors import ConfigError, SerializationError
from jobqueue.protocol.payload import Payload, Serialized
from jobqueue.protocol.serialize import describe, dumps, dumps_function

_CACHED = (types.FunctionType, types.BuiltinFunctionType, type)
"""Callables that do not change from call to call; others (partials, bound methods, instances) may
hold state that does, and are pickled at each call."""

LARGEST_FUNCTION = 64 * 1024 * 1024
"""Bytes of a pickled function. Scheduler and workers keep functions, and send them in one piece."""

NOT_YET = ("workers", "resources", "allow_other_workers", "actor", "fifo_timeout")
"""Options of `submit` and `map` that other libraries have and this one does not, so far."""


class Functions:
    """Functions as they travel, pickled once per function object.

    Parameters
    ----------
    send
        Called with id, name and pickle of a function that was not sent before.
    """

    def __init__(self, send: Callable[[tuple[bytes, str, bytes]], object]) -> None:
        self._send = send
        self._known: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
        self._sent: set[bytes] = set()

    def name(self, function: Callable[..., Any]) -> bytes:
        """Return the id of a function that was sent, now or before.

        It is sent before anybody learns its id: whatever becomes of the call it is for, and
        whichever thread names it next, no task arrives ahead of its function.

        Raises
        ------
        SerializationError
            It cannot be pickled; or it is not callable at all.
        """
        if not callable(function):
            raise SerializationError(f"{describe(function)} is not callable: pass a function first")
        cacheable = isinstance(function, _CACHED)
        if cacheable:
            fid = self._known.get(function)
            if fid is not None:
                return fid
        fid, pickle = dumps_function(function)
        if len(pickle) > LARGEST_FUNCTION:
            raise SerializationError(
                f"{describe(function)} takes {len(pickle) >> 20} MiB, since it refers to large "
                "data: pass that as an argument instead, or scatter() it"
            )
        if fid not in self._sent:
            self._send((fid, function_name(function), pickle))
            self._sent.add(fid)
        if cacheable:
            self._known[function] = fid
        return fid


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


def pure_key(name: str, fid: bytes, arguments: Serialized) -> str:
    """Return the key of a call whose result depends on nothing but function and arguments."""
    digest = hashlib.blake2b(fid, digest_size=12)
    if isinstance(arguments, Payload):
        digest.update(arguments.head)
        for buffer in arguments.buffers:
            digest.update(buffer)
    else:
        digest.update(arguments)
    return f"{name}-{digest.hexdigest()}"


def refuse_options(kwargs: Mapping[str, Any]) -> None:
    """Refuse keywords that their author means for us, before the function swallows them.

    Raises
    ------
    ConfigError
        Naming all of them.
    """
    if given := [name for name in NOT_YET if name in kwargs]:
        keywords = ", ".join(f"{name}={kwargs[name]!r}" for name in given)
        raise ConfigError(
            f"{keywords}: not supported by this version, and not given to the function either; "
            "for a keyword of the function itself use "
            f"functools.partial(function, {given[0]}=...)"
        )


def dumps_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Serialized:
    """Serialize the arguments of a call: a tuple, or a list of a tuple and a dict.

    Raises
    ------
    SerializationError
        Naming the function and the argument which cannot be pickled.
    """
    try:
        return dumps([tuple(args), dict(kwargs)] if kwargs else tuple(args), own=True)
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
