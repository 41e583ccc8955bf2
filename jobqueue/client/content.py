"""What calls and values are, as digests: what has one digest is equal, in every process.

Their pickles alone would not do. A pickle says which of its strings are one and the same object,
and dicts and sets stand in it in an order that equality does not know. So the types below, which
hold nothing but what is seen, are taken apart. Whatever else there is (a function, an object of any
class) is its pickle, and so is all of a value that holds it: two that are equal may have two
digests then, and are computed twice; but never do two that differ have one.

What can be changed, or holds what can, and is met twice in a value is such a case as well: whoever
changes it in one place does so in the other, and only the pickle tells.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from jobqueue.client.future import Future
from jobqueue.protocol.payload import Payload, Serialized

DIGEST = 12
"""Bytes of a digest: equal by chance once in 2**48 values."""

DEEPEST = 50
"""Containers inside one another that are looked into."""

_FLAT: Final = frozenset({type(None), bool, int, float, str})
"""Types whose values are pickled alike wherever they are equal: but for strings met twice."""

_LEAVES: Final = _FLAT | {bytes, complex}
"""Types whose values hold nothing and cannot be changed."""

_ORDERED: Final[tuple[set[type], ...]] = ({str}, {int})
"""Types whose values are sorted as they are; others by their digests."""

_NUMBERS: Final = frozenset("?bhilqBHILQefdFDmM")
_TEXTS: Final = frozenset("SU")
"""Kinds of numpy's elements (`dtype.char`) that are nothing but their bytes."""


def call_digest(
    fid: bytes, args: Sequence[Any], kwargs: Mapping[str, Any], pickled: Serialized
) -> bytes:
    """Return what tells a call from all that are not equal to it.

    Parameters
    ----------
    fid
        The digest of the function's pickle.
    args, kwargs
        Its arguments, and keywords in whatever order.
    pickled
        The same, pickled: what counts if they cannot be looked at.
    """
    types = [*map(type, args)]
    if kwargs or not _FLAT.issuperset(types) or types.count(str) > 1:  # else the pickle does
        digest = _digest_or_none((tuple(args), dict(kwargs)))
        if digest is not None:
            return _raw(b"call", fid, digest)
    return _of_pickle(fid, pickled)


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
    if isinstance(pickled, Payload):
        return _raw(b"pickle", fid, pickled.head, *pickled.buffers)
    return _raw(b"pickle", fid, pickled)


def _raw(*parts: Any) -> bytes:
    """Return the digest of several buffers: of their lengths as well, so that none runs over."""
    lengths = [part.nbytes if isinstance(part, memoryview) else len(part) for part in parts]
    digest = hashlib.blake2b(repr(lengths).encode(), digest_size=DIGEST)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _digest_or_none(value: Any) -> bytes | None:
    """Return a digest of what a value holds, or None: it holds what cannot be looked at."""
    try:
        return _Content().of(value)
    except Exception:  # of another thread that changes it, perhaps; the pickle is there
        return None


class _Unknown(Exception):
    """It cannot be told what a value is."""


class _Content:
    """Digests of one value's parts."""

    def __init__(self) -> None:
        self._met: set[int] = set()  # the id() of what must not be met again
        self._depth = 0
        self._file = io.BytesIO()
        self._pickler = pickle.Pickler(self._file, 5)
        self._pickler.fast = True  # does not say which strings are the same

    def of(self, value: Any) -> bytes:
        """Return the digest of a value."""
        kind = type(value)
        if kind in _FLAT:
            return self._flat(value)
        if kind is bytes:
            return _raw(b"bytes", value)
        if kind is complex:
            return self._several("complex", [value.real, value.imag])
        if kind is Future:
            return self._several("future", [value.key])
        if not (kind in (tuple, frozenset) and _LEAVES.issuperset(map(type, value))):
            if id(value) in self._met:
                raise _Unknown
            self._met.add(id(value))
        if kind is bytearray:
            return _raw(b"bytearray", value)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Unknown
        digest = self._container(kind, value)
        self._depth -= 1
        return digest

    def _container(self, kind: type, value: Any) -> bytes:
        if kind is list or kind is tuple:
            return self._several(kind.__name__, value)
        if kind is dict:
            keys = self._sorted(value)
            return self._several("dict", [*keys, *map(value.__getitem__, keys)])
        if kind is set or kind is frozenset:
            return self._several(kind.__name__, self._sorted(value))
        return self._numpy(kind, value)

    def _flat(self, value: Any) -> bytes:
        self._file.seek(0)
        self._pickler.dump(value)
        self._file.truncate()
        return _raw(b"flat", self._file.getbuffer())

    def _several(self, kind: str, values: Collection[Any]) -> bytes:
        """Return the digest of something of some kind that is made of these parts, in order."""
        if _FLAT.issuperset(map(type, values)):
            return self._flat((kind, list(values)))
        digested = [place for place, one in enumerate(values) if type(one) not in _FLAT]
        parts = [one if type(one) in _FLAT else self.of(one) for one in values]
        return self._flat((kind, parts, digested))

    def _sorted(self, values: Iterable[Any]) -> list[Any]:
        """Sort what is hashable. (Nested tuples are met twice so: their pickle counts.)"""
        values = list(values)
        plain = set(map(type, values)) in _ORDERED
        return sorted(values) if plain else sorted(values, key=self.of)

    def _numpy(self, kind: type, value: Any) -> bytes:
        """Return the digest of an array, or number, of numpy: of type, shape, order and bytes."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
            raise _Unknown
        array, dtype = kind is numpy.ndarray, value.dtype
        plain = dtype == numpy.dtype(dtype.str) and dtype.metadata is None
        if not plain or dtype.char not in (_NUMBERS | _TEXTS if array else _NUMBERS):
            raise _Unknown
        if not array and kind is not dtype.type:
            raise _Unknown
        order = "F" if value.flags.fnc else "C"
        head = [array, dtype.char, dtype.str, order, *value.shape]
        elements = numpy.asarray(value, order=order).ravel(order).view("u1")
        return _raw(b"numpy", self._several("numpy", head), elements.data)
