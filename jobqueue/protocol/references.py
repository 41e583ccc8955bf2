"""How a future inside a task's arguments becomes that future's value on the worker.

While arguments are pickled, each `Future` met (anywhere inside them) records itself here and leaves
a call of `resolve` in the pickle. While a worker unpickles them, `resolve` looks the value up among
the task's inputs. Both sides keep their table in thread-local storage, so that no container needs
to be searched and objects of any class may hold futures.

Anywhere else a future is pickled as itself: whoever unpickles it holds a future of the same task.
Where it is part of a result or the like it is collected, too, so that its task is kept for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from jobqueue.errors import SerializationError


class Reference(Protocol):
    """What records itself: something with a key."""

    @property
    def key(self) -> str:
        """Key of the task whose value is meant."""
        ...


class _Tables(threading.local):
    found: list[Any] | None = None
    mentioned: list[Any] | None = None
    inputs: Mapping[str, Any] | None = None


_tables = _Tables()


class recording:  # noqa: N801 - used like a function
    """Collect the references that are pickled in this thread as part of arguments.

    ``with recording() as found:`` gives a list that grows as they are met. (A class because this is
    done for every task, and costs a third of what a generator does.)
    """

    __slots__ = ("_outer",)

    def __enter__(self) -> list[Any]:
        found: list[Any] = []
        self._outer, _tables.found = _tables.found, found
        return found

    def __exit__(self, *exception: object) -> None:
        _tables.found = self._outer


class mentioning:  # noqa: N801 - used like a function
    """Collect the references that are pickled in this thread as part of values, not of arguments.

    Whoever unpickles such a value gets futures, and not what they stand for.
    """

    __slots__ = ("_outer",)

    def __enter__(self) -> list[Any]:
        mentioned: list[Any] = []
        self._outer, _tables.mentioned = _tables.mentioned, mentioned
        return mentioned

    def __exit__(self, *exception: object) -> None:
        _tables.mentioned = self._outer


def reduce_reference(reference: Reference, adopt: Callable[[str], Any]) -> tuple[Any, tuple[str]]:
    """Return what `__reduce__` of a reference is to return.

    Parameters
    ----------
    reference
        What is being pickled.
    adopt
        Called with its key where a value is unpickled that holds it.
    """
    if _tables.found is not None:
        _tables.found.append(reference)
        return resolve, (reference.key,)
    if _tables.mentioned is not None:
        _tables.mentioned.append(reference)
    return adopt, (reference.key,)


@contextmanager
def resolving(inputs: Mapping[str, Any]) -> Iterator[None]:
    """Let `resolve` find values in `inputs` while arguments are unpickled in this thread."""
    outer = _tables.inputs
    _tables.inputs = inputs
    try:
        yield
    finally:
        _tables.inputs = outer


def resolve(key: str) -> Any:
    """Return the value of an input; called by pickle."""
    if _tables.inputs is None or key not in _tables.inputs:
        raise SerializationError(f"the value of {key!r} is only known while its task runs")
    return _tables.inputs[key]
