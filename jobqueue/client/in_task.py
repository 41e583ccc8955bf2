"""What functions can do while they run as tasks: find worker and client, make way for others.

A task that waits for other tasks makes way by itself (`jobqueue.protocol.running.giving_way`);
`secede` is for one that waits for something else, or wants its place free for longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobqueue.protocol import running
from jobqueue.protocol.running import Host

if TYPE_CHECKING:
    from jobqueue.client.client import Client


def get_client() -> Client:
    """Return a client of the scheduler that the running task comes from.

    All tasks of a worker share one, which is made when the first of them asks. Outside of tasks it
    is `Client.current()`, as a rule the last client that was made here and is open.

    Raises
    ------
    ClientClosed
        This is no task, and no client is open in this process.
    CommError
        The scheduler cannot be reached.

    Examples
    --------
    >>> def fibonacci(n):
    ...     if n < 2:
    ...         return n
    ...     client = get_client()
    ...     one, other = client.map(fibonacci, [n - 1, n - 2])
    ...     return one.result() + other.result()
    >>> client.submit(fibonacci, 10).result()  # doctest: +SKIP
    55
    """
    from jobqueue.client.client import Client

    return Client.current()


def get_worker() -> Host:
    """Return the worker that runs the task: its `name`, above all.

    There are also its `address`, `nthreads`, `memory_limit` (bytes), `local_directory`, `devices`,
    and `data`: the results that it has, by key. It is one object for all tasks of the worker; what
    they set on it stays there.

    Raises
    ------
    JobQueueError
        This is no task.

    Examples
    --------
    >>> client.submit(lambda: get_worker().name).result()  # doctest: +SKIP
    'LocalCluster-1-0'
    """
    return running.host()


def devices() -> tuple[str, ...]:
    """Return the GPUs that the running task has for itself.

    They are those of its worker's that its ``resources={"GPU": n}`` stands for, as the variables
    name them by which batch systems tell a job its devices: numbers, as a rule. A part of one is
    shared with others.

    Returns
    -------
    tuple of str
        Empty if the task has asked for none.

    Raises
    ------
    JobQueueError
        This is no task.

    Examples
    --------
    >>> client.submit(devices, resources={"GPU": 1}).result()  # doctest: +SKIP
    ('1',)
    """
    running.host()
    return running.running.devices


def secede() -> None:
    """Leave the running task's place to another task, and go on without one.

    The worker then runs one task more than it has threads. Waiting for futures does this by
    itself.

    Raises
    ------
    JobQueueError
        This is no task.

    Examples
    --------
    >>> def waits_for_a_file(path):
    ...     secede()  # it takes no CPU
    ...     while not path.exists():
    ...         time.sleep(1)
    """
    running.secede()


def rejoin() -> None:
    """Wait until the running task, which had seceded, has a place again.

    Raises
    ------
    JobQueueError
        This is no task.
    """
    running.rejoin()


@contextmanager
def worker_client(timeout: object = None, separate_thread: bool = True) -> Iterator[Client]:
    """Give the running task a client, and others its place meanwhile.

    Parameters
    ----------
    timeout
        Without effect: connecting has a time limit of its own.
    separate_thread
        Whether others get its place, as between `secede` and `rejoin`.

    Yields
    ------
    Client
        As `get_client` returns it.

    Raises
    ------
    JobQueueError
        This is no task.

    Examples
    --------
    >>> def total(n):
    ...     with worker_client() as client:
    ...         return sum(client.gather(client.map(abs, range(n))))
    """
    running.host()
    client = get_client()
    if not separate_thread:
        yield client
        return
    with running.giving_way():
        yield client
