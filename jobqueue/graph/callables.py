"""Callables in graphs: which are sent as data, because of what they bring with them.

The functions that tasks call are kept by the scheduler, small as they are. A method of a large
model, or a partial with a table, is not: it goes the way of data, from worker to worker.
"""

from __future__ import annotations

import functools
import pickle
import sys
import types
from collections.abc import Iterable
from itertools import islice
from typing import Any

LARGE = 1 << 20
"""Bytes from which on a callable is data."""

_LOOKED_AT = 1000
"""Things that are looked at in a callable."""

_FUNCTIONS = (types.FunctionType, functools.partial, type)


def by_value(function: Any, known: dict[int, tuple[Any, bool]]) -> bool:
    """Return whether what stands in arguments is a function that is not pickled by its name.

    Parameters
    ----------
    function
        Anything.
    known
        Those that were looked at before.
    """
    if type(function) not in _FUNCTIONS:
        return False
    seen = known.get(id(function))
    if seen is None:
        partial = isinstance(function, functools.partial)
        seen = known[id(function)] = (function, _holds(function) if partial else _unnamed(function))
    return seen[1]


def is_large(function: Any, known: dict[int, tuple[Any, bool]]) -> bool:
    """Return whether a callable probably brings much data with it.

    Parameters
    ----------
    function
        A callable.
    known
        Those that were looked at before.

    Examples
    --------
    >>> is_large(functools.partial(max, bytes(LARGE)), {}), is_large(max, {})
    (True, False)
    """
    seen = known.get(id(function))
    if seen is None:
        seen = known[id(function)] = (function, _size(function) >= LARGE)
    return seen[1]


def _unnamed(function: Any) -> bool:
    """Return whether a function or class is not to be found under its name, or in `__main__`."""
    module = getattr(function, "__module__", None)
    if module == "__main__":
        return True
    found: Any = sys.modules.get(module or "")
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is not function


def _holds(function: functools.partial[Any]) -> bool:
    """Return whether a partial holds what has no name."""
    try:
        return b"__main__" in pickle.dumps(function, 5)
    except Exception:
        return True


def _size(function: Any) -> int:
    """Return the bytes that are found in a callable, up to what counts as large."""
    size = 0
    waiting, seen = [function], {id(function)}
    while waiting and len(seen) < _LOOKED_AT and size < LARGE:
        one = waiting.pop()
        try:
            size += _own_size(one)
            inside = [part for part in islice(_parts(one), _LOOKED_AT) if id(part) not in seen]
        except Exception:  # a class may do as it likes where it is asked for an attribute
            continue
        waiting += inside
        seen.update(map(id, inside))
    return size


def _own_size(one: Any) -> int:
    if isinstance(one, bytes | bytearray | str | list | tuple | dict | set | frozenset):
        return sys.getsizeof(one)
    nbytes = getattr(one, "nbytes", 0)
    return nbytes if isinstance(nbytes, int) else 0


def _parts(one: Any) -> Iterable[Any]:
    """Return what is pickled along with something."""
    kind = type(one)
    if kind in (types.ModuleType, type, str, bytes, int, float):
        return ()
    if kind is types.FunctionType:
        return _parts_of_function(one) if _unnamed(one) else ()
    if kind is types.MethodType:
        return (one.__self__, one.__func__)
    if kind is types.BuiltinFunctionType:
        return (one.__self__,)
    if isinstance(one, functools.partial):
        return (one.func, *one.args, *one.keywords.values())
    if isinstance(one, dict):
        return one.values()
    if isinstance(one, list | tuple | set | frozenset):
        return one
    return getattr(one, "__dict__", {}).values()


def _parts_of_function(function: Any) -> Iterable[Any]:
    known = function.__globals__
    yield from (known[name] for name in function.__code__.co_names if name in known)
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
