"""What calls and values are, as digests: equal ones have the same digest, in every process.

Their pickles would not do. A pickle says which of its objects are one and the same object, so that
it is another one for ``[x, x]`` than for a list of two equal strings; dicts and sets stand in it in
an order that equality does not know; and what is defined in `__main__` travels under names made up
for this process. So values are taken apart here. Containers, bytes and arrays are what they hold;
other objects are what they tell pickle to make them of (`__reduce_ex__`); what can be imported is
its name, and functions and classes of `__main__` are their code. Each object is looked at once: its
digest is made of those of its parts.

Only calls and values that are asked for by content come here; others are never looked at.
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from jobqueue.protocol import references
from jobqueue.protocol.payload import Payload, Serialized

DIGEST = 12
"""Bytes of a digest: equal by chance once in 2**48 values."""

_FLAT: Final = frozenset({type(None), bool, int, float, str})
"""Types whose values are pickled alike wherever they are equal."""

_ORDERED: Final[tuple[set[type], ...]] = ({str}, {int})
"""Types whose values are sorted as they are; others by their digests."""

_NOT_OF_A_CLASS: Final = frozenset(
    {"__dict__", "__weakref__", "_abc_impl", "__firstlineno__", "__static_attributes__"}
)
"""Attributes of a class that say nothing of what it does."""


class Calls:
    """Digests of calls of one function.

    Parameters
    ----------
    function
        What is called.
    fid
        The digest of its pickle, by which it is known where its content cannot be looked at.
    """

    def __init__(self, function: Callable[..., Any], fid: bytes) -> None:
        self._fid = fid
        self._function = _digest_or_none(function)

    def digest(self, args: Sequence[Any], kwargs: Mapping[str, Any], pickled: Serialized) -> bytes:
        """Return what tells a call from all that are not equal to it.

        Parameters
        ----------
        args, kwargs
            Its arguments, and keywords in whatever order.
        pickled
            The same, pickled: what counts if they cannot be looked at.
        """
        if self._function is not None:
            arguments = _digest_or_none((tuple(args), dict(kwargs)))
            if arguments is not None:
                return hashlib.blake2b(self._function + arguments, digest_size=DIGEST).digest()
        return _of_pickle(self._fid, pickled)


def value_digest(value: Any, pickled: Serialized) -> bytes:
    """Return what tells a value from all that are not equal to it.

    Parameters
    ----------
    value
        Any value.
    pickled
        The same, pickled: what counts if it cannot be looked at.

    Examples
    --------
    >>> one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    >>> value_digest(one, b"") == value_digest(other, b"")
    True
    """
    return _digest_or_none(value) or _of_pickle(b"", pickled)


def _of_pickle(fid: bytes, pickled: Serialized) -> bytes:
    parts = [pickled.head, *pickled.buffers] if isinstance(pickled, Payload) else [pickled]
    return _raw(b"pickle", fid, *parts)


def _digest_or_none(value: Any) -> bytes | None:
    """Return a digest of what a value holds, or None: nested too deeply, or of odd classes."""
    try:
        with references.recording():  # a future is its key
            return _Content().of(value)
    except Exception:
        return None


def _raw(*parts: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST)
    for part in parts:
        digest.update(part)
    return digest.digest()


class _Unknown(Exception):
    """It cannot be told what a value is."""


class _Content:
    """Digests of one value's parts."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}  # by id()
        self._kept: list[Any] = []  # so that no id() is used again
        self._open: dict[int, int] = {}  # how deep those are that are being looked at
        self._file = io.BytesIO()
        self._pickler = pickle.Pickler(self._file, 5)
        self._pickler.fast = True  # does not say which objects are the same

    def of(self, value: Any) -> bytes:
        """Return the digest of a value."""
        if type(value) in _FLAT:
            return self._flat(value)
        number = id(value)
        known = self._known.get(number)
        if known is not None:
            return known
        if number in self._open:  # it holds itself: so many levels above
            return self._flat(("circle", len(self._open) - self._open[number]))
        self._open[number] = len(self._open)
        try:
            digest = self._take_apart(value)
        finally:
            del self._open[number]
        self._known[number] = digest
        self._kept.append(value)
        return digest

    def _flat(self, value: Any) -> bytes:
        self._file.seek(0)
        self._pickler.dump(value)
        self._file.truncate()
        return _raw(self._file.getbuffer())

    def _several(self, kind: str, values: Collection[Any]) -> bytes:
        """Return the digest of something of some kind that is made of these parts, in order."""
        if _FLAT.issuperset(map(type, values)):
            return self._flat((kind, list(values)))
        digested = [place for place, one in enumerate(values) if type(one) not in _FLAT]
        parts = [one if type(one) in _FLAT else self.of(one) for one in values]
        return self._flat((kind, parts, digested))

    def _sorted(self, values: Iterable[Any]) -> list[Any]:
        values = list(values)
        plain = set(map(type, values)) in _ORDERED
        return sorted(values) if plain else sorted(values, key=self.of)

    def _take_apart(self, value: Any) -> bytes:
        kind = type(value)
        if kind is list or kind is tuple:
            return self._several(kind.__name__, value)
        if kind is dict:
            keys = self._sorted(value)
            return self._several("dict", [*keys, *map(value.__getitem__, keys)])
        if kind is set or kind is frozenset:
            return self._several(kind.__name__, self._sorted(value))
        if kind is bytes or kind is bytearray:
            return _raw(kind.__name__.encode(), b" ", value)
        if kind is pickle.PickleBuffer:
            return _raw(b"buffer ", value.raw())
        if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
            return self._array(value)
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            return self._callable(value)
        if (parts := _BY_VALUE.get(kind)) is not None:
            return self._several(kind.__name__, parts(value))
        return self._object(value)

    def _array(self, value: Any) -> bytes:
        """Return the digest of an array: the same, however it lies in memory."""
        head = [value.dtype, *value.shape]
        if value.dtype.hasobject:
            return self._several("array", [*head, value.tolist()])
        contiguous = value if value.flags.c_contiguous else value.copy("C")
        return _raw(self._several("array", head), contiguous.reshape(-1).view("u1"))

    def _callable(self, value: Any) -> bytes:
        """Return the digest of a function or class: its name, or its code if it has none abroad."""
        if _can_be_imported(value, value.__qualname__):
            return self._several("global", [value.__module__, value.__qualname__])
        if isinstance(value, types.FunctionType):
            return self._several("function", _parts_of_function(value))
        if isinstance(value, type):
            return self._several("class", _parts_of_class(value))
        return self._object(value)

    def _object(self, value: Any) -> bytes:
        """Return the digest of an object: of what it tells pickle."""
        reducer = copyreg.dispatch_table.get(type(value))
        reduced: Any = reducer(value) if reducer is not None else value.__reduce_ex__(5)
        if isinstance(reduced, str):
            if not _can_be_imported(value, reduced):
                raise _Unknown
            return self._several("global", [_module_of(value), reduced])
        make, args, *rest = reduced
        state, elements, items, setter = [*rest, None, None, None, None][:4]
        if items is not None:
            items = list(items) if isinstance(value, OrderedDict) else dict(items)
        elements = None if elements is None else list(elements)
        return self._several("object", [make, args, state, elements, items, setter])


def _module_of(value: Any) -> str:
    return getattr(value, "__module__", None) or type(value).__module__


def _can_be_imported(value: Any, name: str) -> bool:
    """Whether whoever imports this name finds this very object."""
    module = _module_of(value)
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _parts_of_function(function: types.FunctionType) -> list[Any]:
    around = function.__globals__
    used = {name: around[name] for name in _names_in(function.__code__) if name in around}
    return [
        function.__name__, function.__code__, function.__defaults__, function.__kwdefaults__,
        function.__closure__, used, vars(function),
    ]  # fmt: skip


def _names_in(code: types.CodeType) -> set[str]:
    inner = [_names_in(one) for one in code.co_consts if isinstance(one, types.CodeType)]
    return set(code.co_names).union(*inner)


def _parts_of_code(code: types.CodeType) -> list[Any]:
    return [
        code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars,
        code.co_cellvars, code.co_flags, code.co_argcount, code.co_posonlyargcount,
        code.co_kwonlyargcount, code.co_exceptiontable,
    ]  # fmt: skip


def _parts_of_class(kind: type) -> list[Any]:
    attributes = {name: one for name, one in vars(kind).items() if name not in _NOT_OF_A_CLASS}
    return [type(kind), kind.__qualname__, kind.__bases__, attributes]


def _parts_of_cell(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # empty so far
        return []


_BY_VALUE: Final[dict[type, Callable[[Any], list[Any]]]] = {
    types.CodeType: _parts_of_code,
    types.CellType: _parts_of_cell,
    types.ModuleType: lambda module: [module.__name__],
    types.MappingProxyType: lambda proxy: [dict(proxy)],
    property: lambda one: [one.fget, one.fset, one.fdel, one.__doc__],
    classmethod: lambda one: [one.__func__],
    staticmethod: lambda one: [one.__func__],
}
"""What pickle does not take, and `__main__` is full of."""
