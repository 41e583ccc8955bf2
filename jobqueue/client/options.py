"""The options of a task, checked where they are given, and `annotate`, which gives them to many.

`jobqueue.protocol.messages.SUBMIT` lists them as they travel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from jobqueue.errors import ConfigError

LARGEST: Final = 2**63 - 1
"""Of the integers that travel."""

_annotations: ContextVar[dict[str, Any]] = ContextVar("jobqueue-annotations")


def task_options(
    priority: float | None,
    retries: int | None,
    workers: str | Collection[str] | None,
    allow_other_workers: bool,
    resources: Mapping[str, float] | None,
    actor: bool,
    tags: Mapping[str, Any] | None,
    pool: str | None = None,
    cluster: object = None,
) -> dict[str, Any] | None:
    """Return the options of a task as they travel; None if all are as usual.

    Those that are left at their defaults are taken from the surrounding `annotate`. If the cluster
    is known, the pools that are named have to be among its pools.

    Raises
    ------
    ConfigError
        One of them cannot be meant so.

    Examples
    --------
    >>> task_options(1, None, "node7", False, {"GPU": 1}, False, None)
    {'priority': 1, 'workers': ['node7'], 'resources': {'GPU': 1}}
    """
    around = _annotations.get(None)
    if (
        around is None
        and not priority
        and not retries
        and workers is None
        and pool is None
        and not (allow_other_workers or resources or actor or tags)
    ):
        return None
    given = {
        "priority": priority,
        "retries": retries,
        "workers": _places(workers, pool),
        "allow_other_workers": allow_other_workers,
        "resources": resources,
        "actor": actor,
        "tags": tags,
    }
    options = _merge(around or {}, given)
    if options.get("allow_other_workers") and "workers" not in options:
        raise ConfigError(
            "allow_other_workers=True without workers=: there are no other workers unless some "
            "are named; leave it out"
        )
    if cluster is not None and "workers" in options:
        _check_pools(options["workers"], getattr(cluster, "pools", None))
    return options or None


@contextmanager
def annotate(
    *,
    priority: float | None = None,
    retries: int | None = None,
    workers: str | Collection[str] | None = None,
    allow_other_workers: bool = False,
    resources: Mapping[str, float] | None = None,
    pool: str | None = None,
    **tags: Any,
) -> Iterator[None]:
    """Give options to all that is submitted in a ``with`` block, by this thread or coroutine.

    An option given to `submit` or `map` itself comes first, then that of the innermost block. All
    tags are kept.

    Parameters
    ----------
    priority, retries, workers, allow_other_workers, resources, pool
        As for `Client.submit`.
    **tags
        Whatever you like to find again in the scheduler's event log.

    Raises
    ------
    ConfigError
        One of them cannot be meant so.

    Examples
    --------
    >>> with annotate(priority=10, step="preview"):  # doctest: +SKIP
    ...     preview = client.map(render, scenes)
    """
    given = {
        "priority": priority,
        "retries": retries,
        "workers": _places(workers, pool),
        "allow_other_workers": allow_other_workers,
        "resources": resources,
        "tags": tags,
    }
    token = _annotations.set(_merge(_annotations.get({}), given))
    try:
        yield
    finally:
        _annotations.reset(token)


def _places(workers: Any, pool: Any) -> Any:
    """Return the workers that are meant by names of them, or by a pool's name."""
    if pool is None:
        return workers
    if workers is not None:
        raise ConfigError(
            f"workers={workers!r} and pool={pool!r}: give one of them; a pool is one of the names "
            f"of its workers, too: workers='pool:{pool}'"
        )
    if not isinstance(pool, str) or not pool:
        raise ConfigError(f"pool={pool!r}: it is the name of one of the cluster's pools")
    return [f"{_POOL}{pool}"]


def _check_pools(workers: Collection[str], pools: Collection[str] | None) -> None:
    """Refuse a pool that the cluster does not have: such a task would wait for ever."""
    if pools is None:
        return
    for name in (name.removeprefix(_POOL) for name in workers if is_pool(name)):
        if name not in pools:
            raise ConfigError(
                f"the cluster has no pool {name!r}; there are: {', '.join(pools)}; "
                "cluster.add_pool makes one"
            )


def is_pool(name: str) -> bool:
    """Return whether a name of workers means those of a pool."""
    return name.startswith(_POOL)


_POOL = "pool:"
"""What the names begin with by which workers are known as those of a pool."""


def _merge(around: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that hold inside of `around`; what is as usual is not among them."""
    merged = dict(around)
    for name, value in given.items():
        if (value or name == "workers") and value is not None:
            checked = _CHECKS[name](value)
            merged[name] = {**merged.get("tags", {}), **checked} if name == "tags" else checked
    return merged


def refuse_unknown(call: str, method: Callable[..., Any], unknown: Iterable[str]) -> None:
    """Refuse keywords that a method, which takes any, knows nothing of.

    Raises
    ------
    ConfigError
        There are some; says which options there are.
    """
    name = next(iter(unknown), None)
    if name is None:
        return
    parameters = inspect.signature(method).parameters.values()
    known = ", ".join(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)
    raise ConfigError(f"{call}({name}=…): there is no such option; there are {known}")


def scatter_options(
    workers: str | Collection[str] | None, broadcast: bool | int, cluster: object = None
) -> dict[str, Any] | None:
    """Return the options of a scattered value as they travel; None if all are as usual.

    If the cluster is known, the pools that are named have to be among its pools.

    Raises
    ------
    ConfigError
        One of them cannot be meant so.
    """
    options: dict[str, Any] = {}
    if workers is not None:
        options["workers"] = worker_names(workers)
        if cluster is not None:
            _check_pools(options["workers"], getattr(cluster, "pools", None))
    if broadcast:
        if not isinstance(broadcast, int) or broadcast < 0:
            raise ConfigError(
                f"broadcast={broadcast!r}: it is True for all workers, or how many are to have it"
            )
        options["broadcast"] = broadcast
    return options or None


def worker_names(workers: Any) -> list[str]:
    """Return the workers that are meant, as a list.

    Raises
    ------
    ConfigError
        It is no name, and no collection of names.
    """
    names = [workers] if isinstance(workers, str) else workers
    if not isinstance(names, Collection) or isinstance(names, bytes):
        raise ConfigError(f"workers={workers!r}: {_WORKERS}")
    names = list(names)
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"workers={workers!r}: {_WORKERS}")
    if not names:
        raise ConfigError(f"workers={workers!r} names no worker: leave it out if any will do")
    return names


_WORKERS = "it is a worker's name, address, host or job id, or a list of those"


def _priority(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= LARGEST:  # which NaN is not, either
        raise ConfigError(f"priority={value!r}: it is a finite number, and higher goes first")
    return value  # type: ignore[no-any-return]


def _retries(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ConfigError(f"retries={value!r}: it is how often to try again, 0 or more")
    return value


def _allow_other_workers(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(
            f"allow_other_workers={value!r}: it is True or False; the workers' names go to workers="
        )
    return value


def _resources(value: Any) -> dict[str, float]:
    remedy = "it is amounts by name, such as {'GPU': 1}"
    if not isinstance(value, Mapping):
        raise ConfigError(f"resources={value!r}: {remedy}")
    for name, amount in value.items():
        if not isinstance(name, str):
            raise ConfigError(f"resources={value!r}: {name!r} is no name; {remedy}")
        number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not number or not 0 <= amount <= LARGEST:
            raise ConfigError(f"resources={value!r}: {amount!r} is no amount; {remedy}")
    return {name: amount for name, amount in value.items() if amount}


def _actor(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"actor={value!r}: it is True or False")
    return value


def _tags(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"tags={value!r}: they are values by name, such as {{'step': 'preview'}}")
    return {name: _plain(name, one, 0) for name, one in value.items()}


def _plain(name: str, value: Any, depth: int) -> Any:
    """Return a value that can be written to a log: what JSON knows."""
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int) and abs(value) <= LARGEST:
        return value
    if depth < _DEEPEST:
        if isinstance(value, list | tuple):
            return [_plain(name, one, depth + 1) for one in value]
        if isinstance(value, Mapping) and all(isinstance(one, str) for one in value):
            return {one: _plain(name, inner, depth + 1) for one, inner in value.items()}
    raise ConfigError(
        f"tag {name}={value!r}: tags are text, numbers, True, False, None, and lists and dicts of "
        "those; use str() of it"
    )


_DEEPEST = 20
"""Levels of lists and dicts in a tag."""

_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "priority": _priority,
    "retries": _retries,
    "workers": worker_names,
    "allow_other_workers": _allow_other_workers,
    "resources": _resources,
    "actor": _actor,
    "tags": _tags,
}
