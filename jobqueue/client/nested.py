"""Futures inside lists, tuples, sets and dicts, as `gather` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jobqueue.client.future import Future
from jobqueue.errors import ConfigError


def futures_in(value: Any) -> list[Future]:
    """Return the futures in nested lists, tuples, sets and dicts, in order.

    Raises
    ------
    ConfigError
        They are nested too deeply, or in a circle.
    """
    try:
        return list(_futures_in(value))
    except RecursionError:
        raise ConfigError(
            "these collections of futures hold themselves, or are nested too deeply: pass a list"
        ) from None


def _futures_in(value: Any) -> Iterator[Future]:
    if isinstance(value, Future):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for element in value:
            yield from _futures_in(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from _futures_in(element)


def replace_futures(value: Any, result_of: Callable[[Future], Any], skip: Any = None) -> Any:
    """Return a copy of nested collections with the result of each future in its place.

    Parameters
    ----------
    value
        A future, or collections that hold some.
    result_of
        Called for each future.
    skip
        An object which, returned by `result_of`, leaves the future's place out.
    """
    if isinstance(value, Future):
        return result_of(value)
    if isinstance(value, dict):
        pairs = [(k, replace_futures(v, result_of, skip)) for k, v in value.items()]
        return type(value)((k, v) for k, v in pairs if skip is None or v is not skip)
    if isinstance(value, list | tuple | set | frozenset):
        elements = [replace_futures(element, result_of, skip) for element in value]
        kept = [e for e in elements if skip is None or e is not skip]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*kept)
        return type(value)(kept)
    return value
