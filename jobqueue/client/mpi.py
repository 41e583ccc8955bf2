"""`Client.submit_mpi`: programs that run over all nodes of a job, by the job's own launcher.

What is submitted is a task that asks for the resource ``nodes``, and so gets a whole job, see
`scheduler/reservations.py`. What it does on the job's first node stands in `program.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jobqueue.client.future import Future
from jobqueue.errors import ConfigError

if TYPE_CHECKING:
    from jobqueue.client.client import Client
    from jobqueue.client.program import Program


def submit_mpi(
    self: Client,
    argv: Sequence[str | os.PathLike[str]],
    *,
    nodes: int | None = None,
    processes_per_node: int = 1,
    pool: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    check: bool = True,
    resources: Mapping[str, float] | None = None,
    **options: Any,
) -> Future:
    """Run a parallel program, over MPI or not, on the nodes of one job.

    It needs jobs with several nodes, such as ``SLURMCluster(nodes=4, …)`` has. The program has the
    job for itself: it begins once all workers there are idle, and until it ends they get no other
    tasks.

    Parameters
    ----------
    argv
        The program and its arguments, without ``srun`` or ``mpiexec``: inside of Slurm the one, on
        other systems the other is put before it.
    nodes
        How many nodes; by default all those of whichever job runs it.
    processes_per_node
        How many processes are started on each.
    pool
        The pool whose jobs may run it.
    env
        Variables of its environment, beside those of the worker.
    cwd
        The folder it runs in; by default the worker's.
    timeout
        Seconds after which it is ended.
    check
        Whether an exit status other than 0 is an error.
    resources
        What it takes of the job's first worker, beside its nodes.
    **options
        Of `submit`: ``key``, ``priority``, ``retries``, …

    Returns
    -------
    Future
        Of a `jobqueue.client.program.ProgramResult`: ``returncode``, ``stdout``, ``stderr`` (of
        very long ones the end) and ``hosts``. Cancelling it ends the program.

    Raises
    ------
    ConfigError
        An argument cannot be meant so.
    ProgramFailed
        By the future: the program, or its launcher, ended with an error, or not in time.

    Examples
    --------
    >>> future = client.submit_mpi(["./simulate", "input.toml"], nodes=2)  # doctest: +SKIP
    >>> future.result().hosts  # doctest: +SKIP
    ('node1', 'node2')
    """
    _check_count("processes_per_node", processes_per_node)
    if nodes is not None:
        _check_count("nodes", nodes)
    if timeout is not None and not timeout > 0:
        raise ConfigError(f"timeout={timeout!r}: it is seconds, more than 0, or None")
    path, *arguments = _words(argv)
    return self.submit(
        _program(path, nodes, processes_per_node),
        arguments,
        env={str(name): str(value) for name, value in (env or {}).items()},
        cwd=None if cwd is None else os.fspath(cwd),
        timeout=timeout,
        check=check,
        pool=pool,
        resources={**(resources or {}), "nodes": nodes or 1},
        **options,
    )


@lru_cache(maxsize=256)
def _program(path: str, nodes: int | None, processes_per_node: int) -> Program:
    """Return the same object for the same program: functions are forgotten with their objects."""
    from jobqueue.client.program import Program  # few clients start programs

    return Program(path, nodes, processes_per_node)


def _words(argv: Any) -> tuple[str, ...]:
    if isinstance(argv, str | bytes) or not isinstance(argv, Sequence) or not argv:
        raise ConfigError(
            f"argv={argv!r}: it is a list of words, such as ['./simulate', 'input.toml']"
        )
    words = []
    for word in argv:
        try:
            words.append(os.fspath(word))
        except TypeError:
            raise ConfigError(f"argv={argv!r}: {word!r} is no text; use str() of it") from None
    return tuple(words)


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name}={value!r}: it is a whole number, 1 or more")
