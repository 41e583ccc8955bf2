"""Pickling of functions, arguments and results.

C `pickle` first: it is many times faster than `cloudpickle`, and enough for whatever can be
imported at the other end. Where it fails, or where the pickle mentions `__main__` (which is another
module at the other end), cloudpickle takes the object by value. Buffers of protocol 5 (NumPy,
Arrow, bytearray-backed) of some size stay out of the stream.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobqueue.errors import SerializationError
from jobqueue.protocol.payload import Buffer, Payload, Serialized

PROTOCOL = 5
OUT_OF_BAND = 16 * 1024
"""Buffers below this many bytes travel inside the pickle: cheaper than a part of their own."""

LARGE_HEAD = 64 * 1024
"""Pickles above this many bytes travel beside the messages, not inside."""

MOST_BUFFERS = 4096
"""A value of more large buffers than this travels in one piece: a frame holds only so many."""

PATIENCE = 10.0
"""Seconds that a thread waits for others to have unpickled; see `alone`."""

_PAUSES = (0.01, 0.05, 0.2, 0.5)
"""Seconds before each time that it is tried alone: who waits for an import that has failed goes on
with it, and would be in the way again otherwise."""

_BYTES = frozenset({bytes, bytearray})

_SMALL_TYPES = frozenset({type(None), bool, int, float, complex})


def _buffer_sorter(outside: list[Buffer], *, own: bool) -> Callable[[pickle.PickleBuffer], bool]:
    def sort(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # not contiguous: pickle copies it into the stream
            return True
        if view.nbytes < OUT_OF_BAND:
            return True
        outside.append(bytes(view) if own and not view.readonly else view)
        return False

    return sort


class _Bytes:
    """Large bytes, which pickle would copy into its stream, and here stay out of it."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self.value = value

    def __reduce__(self) -> tuple[type, tuple[pickle.PickleBuffer]]:
        return type(self.value), (pickle.PickleBuffer(self.value),)


def beside(value: Any) -> Any:
    """Return a value, or if it is large bytes, what travels beside the pickle and becomes them."""
    return _Bytes(value) if type(value) in _BYTES and len(value) >= OUT_OF_BAND else value


def dumps(value: Any, *, own: bool = False) -> Serialized:
    """Serialize a value.

    Parameters
    ----------
    value
        Anything that pickle or cloudpickle can take.
    own
        Copy writable buffers, so that changing `value` later does not change what was serialized.

    Raises
    ------
    SerializationError
        Naming the type and what pickle said.

    Examples
    --------
    >>> loads(dumps({"a": 1}))
    {'a': 1}
    """
    outside: list[Buffer] = []
    sort = _buffer_sorter(outside, own=own)
    value = beside(value)
    try:
        head = pickle.dumps(value, PROTOCOL, buffer_callback=sort)
        by_value = b"__main__" in head
    except SerializationError:
        raise
    except Exception:
        by_value = True
    if by_value:
        outside.clear()
        head = _cloudpickle(value, sort)
    if len(outside) > MOST_BUFFERS:
        outside.clear()
        head = _cloudpickle(value) if by_value else pickle.dumps(value, PROTOCOL)
    return Payload(head, outside) if outside or len(head) > LARGE_HEAD else head


def _cloudpickle(value: Any, sort: Callable[[pickle.PickleBuffer], bool] | None = None) -> bytes:
    import cloudpickle  # imported late: most values never need it

    try:
        return bytes(cloudpickle.dumps(value, PROTOCOL, buffer_callback=sort))
    except SerializationError:
        raise
    except Exception as error:
        if isinstance(error.__cause__ or error, RecursionError):  # cloudpickle has its own words
            raise SerializationError(
                f"{describe(value)} cannot be pickled: it is nested too deeply; pass it in a "
                "flatter form, or raise sys.setrecursionlimit()"
            ) from error
        raise SerializationError(
            f"{describe(value)} cannot be pickled: {type(error).__name__}: {error}"
        ) from error


def loads(serialized: Serialized) -> Any:
    """Return the value that `dumps` was given.

    Raises
    ------
    SerializationError
        Naming what pickle said: often a module that is not installed at this end.
    """
    try:
        if type(serialized) is Payload:
            return pickle.loads(serialized.head, buffers=serialized.buffers)
        return pickle.loads(serialized)  # type: ignore[arg-type]
    except SerializationError:
        raise
    except (Exception, SystemExit) as error:
        # Pickle has words of its own for what a half made module lacks; a second try tells.
        if not (_looks_half_made(error) or type(error) is AttributeError):
            raise _unreadable(error) from error
    return _loads_alone(serialized)


@contextmanager
def alone() -> Iterator[None]:
    """Unpickle while nobody else does who wants that, too.

    What comes first imports modules, and modules that import each other are met half made where two
    threads import them from different ends. After `PATIENCE` it goes on beside the others: a value
    may compute something while it is unpickled, in a thread that waits here for it.
    """
    lock = _turns
    taken = lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if taken:
            lock.release()


_turns = threading.RLock()


def _forget_turns() -> None:
    """Have nobody's turn in a forked process: whose it was did not come along."""
    global _turns
    _turns = threading.RLock()


os.register_at_fork(after_in_child=_forget_turns)


def _loads_alone(serialized: Serialized) -> Any:
    """Try again, while no other thread does: it is seldom needed, and costs the others none.

    A thread that is at its first try may still be in the middle of an import, and get into the way
    of this one again.
    """
    with alone():
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                if type(serialized) is Payload:
                    return pickle.loads(serialized.head, buffers=serialized.buffers)
                return pickle.loads(serialized)  # type: ignore[arg-type]
            except SerializationError:
                raise
            except (Exception, SystemExit) as error:
                if pause == _PAUSES[-1] or not _looks_half_made(error):
                    raise _unreadable(error) from error


def _looks_half_made(error: BaseException) -> bool:
    """Return whether an error is Python's own of a module that another thread has half imported."""
    if isinstance(error, ImportError | AttributeError):
        return any("partially initialized module" in str(one) for one in error.args)
    # Of a module that another thread has taken out again meanwhile, importlib has a KeyError.
    return type(error).__name__ == "_DeadlockError" or (
        isinstance(error, KeyError) and _raised_by_importlib(error)
    )


def _raised_by_importlib(error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and "importlib" in traceback.tb_frame.f_code.co_filename


def _unreadable(error: BaseException) -> SerializationError:
    return SerializationError(
        f"a pickle could not be read here: {type(error).__name__}: {error}; is the same "
        "software installed at both ends?"
    )


class _TooLarge(Exception):
    pass


class _LimitedFile(io.RawIOBase):
    """Takes what a pickler writes, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[bytes] = []

    def write(self, data: Any) -> int:
        size = len(data)
        self.limit -= size
        if self.limit < 0:
            raise _TooLarge
        self.parts.append(bytes(data))
        return size


def _refuse_buffer(buffer: pickle.PickleBuffer) -> bool:
    if buffer.raw().nbytes >= OUT_OF_BAND:
        raise _TooLarge
    return True


def dumps_if_small(value: Any, limit: int) -> bytes | None:
    """Serialize a value if that takes no more than `limit` bytes; otherwise return None.

    Gives up early on large values, instead of pickling them whole to find out.

    Raises
    ------
    SerializationError
        If the value cannot be pickled, as far as it was tried.
    """
    if type(value) in _SMALL_TYPES:
        head = pickle.dumps(value, PROTOCOL)
        return head if len(head) <= limit else None
    size = _attribute(value, "nbytes")  # of a class it is a descriptor, elsewhere anything
    if isinstance(size, int) and size > limit:
        return None
    target = _LimitedFile(limit)
    try:
        pickle.Pickler(target, PROTOCOL, buffer_callback=_refuse_buffer).dump(value)
        head = b"".join(target.parts)
        by_value = b"__main__" in head
    except _TooLarge:
        return None
    except SerializationError:
        raise
    except Exception:
        by_value = True
    if by_value:
        head = _cloudpickle(value)
    return head if len(head) <= limit else None


def dumps_function(function: Callable[..., Any]) -> tuple[bytes, bytes]:
    """Serialize a function and name it.

    Returns
    -------
    tuple of bytes
        Its digest (16 bytes, BLAKE2b of the pickle) and its pickle.
    """
    serialized = dumps(function, own=True)
    if isinstance(serialized, bytes):
        head = serialized
    else:  # a closure over something large: functions travel in one piece
        head = _cloudpickle(function) if serialized.buffers else bytes(serialized.head)
    return hashlib.blake2b(head, digest_size=16).digest(), head


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute, or None: a class may raise what it likes where it is asked for one."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def describe(value: Any) -> str:
    """Name a value in an error message: its type, and what it calls itself if that is short."""
    name = _attribute(value, "__qualname__")
    if isinstance(name, str):
        return f"{type(value).__name__} {name!r}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    try:
        text = repr(value)
    except Exception:
        return f"an object of type {kind}"
    return f"an object of type {kind} ({text})" if len(text) <= 60 else f"an object of type {kind}"
