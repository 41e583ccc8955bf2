"""`client_from_ipyparallel`: workers beside the engines of a running IPython Parallel cluster."""

from __future__ import annotations

import inspect
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from jobqueue.client.client import Client
from jobqueue.cluster.engine import last_words, start_agent, where
from jobqueue.cluster.standalone_scheduler import Scheduler
from jobqueue.comm.scheduler_file import FILE
from jobqueue.errors import CommError, ConfigError

TIMEOUT = 60.0
"""Seconds that engines and workers have to come up."""

LOOK = 2.0
"""Seconds between two looks whether a job agent has ended that should not have."""


def client_from_ipyparallel(
    ipclient: Any,
    *,
    targets: Collection[int] | None = None,
    nthreads: int = 1,
    memory_limit: int | str | None = None,
    resources: Mapping[str, float] | None = None,
    local_directory: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT,
    set_as_default: bool = True,
    **scheduler_options: Any,
) -> Client:
    """Start a scheduler here, and a worker beside each engine of IPython Parallel.

    Workers are processes of their own: engines stay free for what they are sent otherwise, and go
    on when the client is closed, which ends scheduler and workers. A worker ends with its engine.

    IPython Parallel signs what it sends and does not encrypt it. So no secret goes by that way:
    workers find their credentials in a folder of mode 0700 in the user's home, which engines on
    other machines must see (``JOBQUEUE_STATE_DIRECTORY`` names another one).

    Parameters
    ----------
    ipclient
        A connected ``ipyparallel.Client``.
    targets
        Numbers of the engines; by default all that are there now.
    nthreads
        Tasks that a worker runs at the same time.
    memory_limit
        Bytes of each worker, or text such as ``"4 GiB"``; by default what its machine has, shared
        among the engines there.
    resources
        Amounts that tasks may ask for, of each worker.
    local_directory
        Folder for what workers put on disk.
    timeout
        Seconds that engines and workers have to come up.
    set_as_default
        Whether dask computes with the client.
    **scheduler_options
        Of `jobqueue.Scheduler`, such as ``interface`` or ``event_log``.

    Raises
    ------
    ConfigError
        There are no engines, or not those; or an option cannot be used.
    CommError
        An engine does not answer, or its worker does not come: the message holds its last words.

    Examples
    --------
    >>> import ipyparallel  # doctest: +SKIP
    >>> client = client_from_ipyparallel(ipyparallel.Client())  # doctest: +SKIP
    >>> client.gather(client.map(abs, range(-3, 0)))  # doctest: +SKIP
    [3, 2, 1]
    """
    _check_options(scheduler_options)
    engines = _engines(ipclient, targets)
    options = _agent_options(nthreads, resources, local_directory, timeout)
    scheduler = Scheduler(name="ipyparallel", **scheduler_options)
    try:
        assert scheduler.credentials is not None
        options += ["--scheduler-file", os.path.join(scheduler.credentials, FILE)]
        agents = _start(ipclient, engines, options, memory_limit, timeout)
        client = Client(scheduler, name="ipyparallel", set_as_default=set_as_default)
        client._owns_cluster = True
    except BaseException:
        scheduler.close()
        raise
    try:
        _await_workers(client, scheduler, ipclient, agents, timeout)
    except BaseException:
        client.close()
        raise
    return client


def _check_options(given: Mapping[str, Any]) -> None:
    """Refuse options that neither this nor a scheduler has, before anything is started."""
    ours = [*_keywords(client_from_ipyparallel), *_keywords(Scheduler)]
    known = [name for name in dict.fromkeys(ours) if name not in ("name", "asynchronous")]
    for name in given:
        if name not in known:
            raise ConfigError(
                f"client_from_ipyparallel({name}=…): there is no such option; "
                f"there are {', '.join(known)}"
            )


def _keywords(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def _engines(ipclient: Any, targets: Collection[int] | None) -> list[int]:
    there = getattr(ipclient, "ids", None)
    if there is None:
        raise ConfigError(
            f"{ipclient!r:.100} is no client of IPython Parallel: pass ipyparallel.Client()"
        )
    engines = list(there if targets is None else targets)
    if not engines and targets is not None:
        raise ConfigError(f"targets={targets!r}: name engines, or leave it out for all of them")
    if not engines:
        raise ConfigError("no engines are there: start some, as by `ipcluster start -n 4`")
    if unknown := [engine for engine in engines if engine not in there]:
        raise ConfigError(f"targets: there is no engine {unknown[0]!r}; there are {list(there)}")
    return engines


def _agent_options(
    nthreads: int,
    resources: Mapping[str, float] | None,
    local_directory: str | os.PathLike[str] | None,
    timeout: float,
) -> list[str]:
    if nthreads < 1:
        raise ConfigError(f"nthreads={nthreads!r}: a worker has at least one thread")
    options = ["--nthreads", str(nthreads), "--death-timeout", str(timeout)]
    if resources:
        options += ["--resources", ",".join(f"{name}={n}" for name, n in resources.items())]
    if local_directory is not None:
        options += ["--local-directory", os.path.abspath(local_directory)]
    return options


def _start(
    ipclient: Any,
    engines: Sequence[int],
    options: Sequence[str],
    memory_limit: int | str | None,
    timeout: float,
) -> dict[int, int]:
    """Start an agent beside each engine; return their process ids."""
    asked = {engine: ipclient[engine].apply_async(where) for engine in engines}
    hosts = {engine: _answer(engine, one, timeout) for engine, one in asked.items()}
    count = Counter(hosts.values())
    places: Counter[str] = Counter()
    started = {}
    for engine, host in hosts.items():
        limit = 1 / count[host] if memory_limit is None else memory_limit
        argv = [*options, "--name", f"engine-{engine}", "--memory-limit", str(limit)]
        started[engine] = ipclient[engine].apply_async(start_agent, argv, places[host])
        places[host] += 1
    return {engine: _answer(engine, one, timeout) for engine, one in started.items()}


def _answer(engine: int, result: Any, timeout: float) -> Any:
    try:
        return result.get(timeout)
    except Exception as error:
        raise CommError(
            f"engine {engine} starts no worker within {timeout:g} s ({type(error).__name__}: "
            f"{error}): is it busy, and jobqueue installed there?"
        ) from error


def _await_workers(
    client: Client,
    scheduler: Scheduler,
    ipclient: Any,
    agents: Mapping[int, int],
    timeout: float,
) -> None:
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        try:
            client.wait_for_workers(len(agents), timeout=min(max(left, 0.0), LOOK))
            return
        except TimeoutError:
            here = {worker.name for worker in scheduler.workers()}
        missing = {n: pid for n, pid in agents.items() if f"engine-{n}-0" not in here}
        failed = _failed(ipclient, missing, over=left <= LOOK)
        if failed or left <= LOOK:
            raise CommError(
                failed or f"workers of engines {list(missing)} have not come within {timeout:g} s"
            )


def _failed(ipclient: Any, agents: Mapping[int, int], *, over: bool) -> str:
    """Return the last words of an agent that has ended, or of any when the time is over."""
    for engine, pid in agents.items():
        try:
            words = ipclient[engine].apply_async(last_words, pid, over).get(LOOK)
        except Exception as error:
            words = f"it does not answer any more ({type(error).__name__}: {error})" if over else ""
        if words:
            return f"the worker of engine {engine} does not come: {words}"
    return ""
