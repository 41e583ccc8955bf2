"""Futures inside lists, tuples, sets, dicts and persisted collections of dask's.

As all functions take them that take several.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, KeysView, ValuesView
from typing import Any, Final, NoReturn

from jobqueue.client.future import Future
from jobqueue.errors import ConfigError

_PASSING: Final = (Iterator, KeysView, ValuesView, deque)
"""What becomes a list, if it is not inside of something else."""


def as_collection(value: Any) -> Any:
    """Return a value, an iterator as a list: it can be looked through only once."""
    return list(value) if isinstance(value, _PASSING) else value


def futures_in(value: Any, *, nothing_else: bool = True) -> list[Future]:
    """Return the futures in nested lists, tuples, sets and dicts, in order.

    Those of a dict are its values; or its keys, where nothing but futures is wanted.

    Parameters
    ----------
    value
        A future, an iterator over futures, or collections that hold some; where nothing but futures
        is wanted, also collections of dask's that were persisted, which stand for their parts.
    nothing_else
        Whether they may hold nothing else.

    Raises
    ------
    ConfigError
        They hold something else, are nested too deeply, or in a circle; or a collection of dask's
        was not persisted.
    """
    try:
        return list(_futures_in(as_collection(value), nothing_else))
    except RecursionError:
        raise ConfigError(
            "these collections of futures hold themselves, or are nested too deeply: pass a list"
        ) from None


def futures_of(value: Any) -> list[Future]:
    """Return the futures that something holds, in order; none if it holds none.

    Parameters
    ----------
    value
        A persisted collection of dask's, whose parts are futures; a future; or lists, tuples, sets
        and dicts that hold some.

    Returns
    -------
    list of Future
        They keep the tasks wanted, as all futures do.

    Examples
    --------
    >>> futures_of(client.persist(array))[0].status  # doctest: +SKIP
    'pending'
    """
    if hasattr(value, "__dask_graph__"):
        return _parts_of(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [future for one in value for future in futures_of(one)]
    return futures_in(value, nothing_else=False)


def _futures_in(value: Any, nothing_else: bool) -> Iterator[Future]:
    if isinstance(value, Future):
        yield value
    elif isinstance(value, list | tuple | set | frozenset | dict):
        for element in _elements_of(value, nothing_else) if isinstance(value, dict) else value:
            if isinstance(element, Future):
                yield element
            else:
                yield from _futures_in(element, nothing_else)
    elif nothing_else and hasattr(value, "__dask_graph__"):
        yield from _parts_of(value) or _not_persisted(value)
    elif nothing_else:
        raise ConfigError(
            f"{value!r:.100} is no future: pass futures as submit() and map() return them, or "
            "collections of them"
        )


def _parts_of(collection: Any) -> list[Future]:
    """Return the futures that a collection of dask's is made of."""
    graph = collection.__dask_graph__() or {}
    return [one for one in graph.values() if isinstance(one, Future)]


def _not_persisted(collection: Any) -> NoReturn:
    raise ConfigError(
        f"{type(collection).__name__} is a collection of dask's of which nothing is being "
        "computed: persist it first, x = client.persist(x)"
    )


def _elements_of(value: dict[Any, Any], nothing_else: bool) -> Iterable[Any]:
    """Return a dict's values; or its keys if these are the futures, as in ``{submit(f, x): x}``."""
    if nothing_else and isinstance(next(iter(value), None), Future):
        return value.keys()
    return value.values()


def like(mapping: dict[Any, Any], pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict of the same kind with these items only, a defaultdict for instance.

    Not every kind can be made of pairs: a Counter would count them.

    Examples
    --------
    >>> from collections import defaultdict
    >>> like(defaultdict(list, a=1), [("a", 2)])
    defaultdict(<class 'list'>, {'a': 2})
    """
    if type(mapping) is dict:
        return dict(pairs)
    same = copy.copy(mapping)
    same.clear()
    for key, value in pairs:
        same[key] = value
    return same


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
        return like(value, ((k, v) for k, v in pairs if skip is None or v is not skip))
    if isinstance(value, list | tuple | set | frozenset):
        elements = [replace_futures(element, result_of, skip) for element in value]
        kept = [e for e in elements if skip is None or e is not skip]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*kept)
        return type(value)(kept)
    return value
