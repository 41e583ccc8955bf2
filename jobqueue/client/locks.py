"""`Lock`, `Semaphore` and `Event`: who may go on, among all programs and tasks of a scheduler."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from jobqueue.client.coordination import Named
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.errors import ConfigError, CoordinationError

if TYPE_CHECKING:
    from jobqueue.client.client import Client


class _Leases(Named):
    """So many leases and no more; those that this object has, the oldest first."""

    def __init__(self, name: str | None, client: Client | None, limit: int) -> None:
        super().__init__(name, client)
        self._limit = limit
        self._held: deque[tuple[Client, int]] = deque()

    def _acquire(self, timeout: float | None) -> Any:
        client = self.client
        return self._sync(client, self._get_lease(client, timeout))

    async def _get_lease(self, client: Client, within: float | None) -> bool:
        number, got = await self._wait(client, "acquire", self._limit, within=within)
        if got:
            self._held.append((client, number))
        return bool(got)

    def release(self) -> Any:
        """Let somebody else have it; to be awaited if the client is asynchronous.

        Raises
        ------
        CoordinationError
            This object has not acquired it. Copies that were pickled are objects of their own.
        """
        client, coroutine = self._giving_back()
        return self._sync(client, coroutine)

    def _giving_back(self) -> tuple[Client, Any]:
        try:
            client, number = self._held.popleft()
        except IndexError:
            raise CoordinationError(
                f"{self.kind} {self.name!r} is released, but this object does not hold it: acquire "
                "it first, and release the object that acquired it"
            ) from None
        return client, self._ask(client, "release", number)

    def __enter__(self) -> Any:
        self._check_synchronous()
        self._acquire(None)
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _check_synchronous(self) -> None:
        if self.client.asynchronous:
            raise CoordinationError(
                f"the client of {self.kind} {self.name!r} is asynchronous: use 'async with'"
            )

    async def __aenter__(self) -> Any:
        client = self.client
        await self._here(client, self._get_lease(client, None))
        return self

    async def __aexit__(self, *exception: object) -> None:
        client, coroutine = self._giving_back()
        await self._here(client, coroutine)


class Lock(_Leases):
    """A lock that one holds at a time, of all programs and tasks of a scheduler.

    Those who wait get it in the order in which they asked. Whoever holds it and is gone, with its
    process or its connection, holds it no longer. It cannot be acquired twice by the same owner:
    the second time waits for the first to be released.

    Parameters
    ----------
    name
        Everybody who uses the same name means the same lock; by default a new one.
    client
        By default the running task's, or else the last one made.

    Examples
    --------
    >>> def append(line):
    ...     with Lock("report"):
    ...         with open("report.txt", "a") as file:
    ...             file.write(line)
    >>> client.map(append, lines)  # doctest: +SKIP
    """

    kind = "lock"

    def __init__(self, name: str | None = None, client: Client | None = None) -> None:
        super().__init__(name, client, 1)

    def acquire(self, blocking: bool = True, timeout: Timeout = None) -> Any:
        """Wait for the lock; to be awaited if the client is asynchronous.

        Parameters
        ----------
        blocking
            Whether to wait at all.
        timeout
            Seconds to wait, or None for as long as it takes.

        Returns
        -------
        bool
            Whether this object has it now.

        Raises
        ------
        ConfigError
            A timeout, but no waiting.
        """
        if not blocking and timeout is not None:
            raise ConfigError(f"timeout={timeout!r} without blocking: there is nothing to wait for")
        return self._acquire(seconds(timeout) if blocking else 0)

    def locked(self) -> Any:
        """Return whether somebody holds it; to be awaited if the client is asynchronous."""
        return self._now("get_value", finish=bool)


class Semaphore(_Leases):
    """A lock that several may hold at a time: a limit on how many do something at once.

    Whoever holds leases and is gone, with its process or its connection, holds them no longer.

    Parameters
    ----------
    max_leases
        How many; all who use the name must agree.
    name
        Everybody who uses the same name means the same semaphore; by default a new one.
    client
        By default the running task's, or else the last one made.

    Examples
    --------
    >>> def query(statement, connections):
    ...     with connections:
    ...         return run(statement)
    >>> connections = Semaphore(max_leases=2, name="database")
    >>> client.map(query, statements, connections=connections)  # doctest: +SKIP
    """

    kind = "semaphore"

    def __init__(
        self, max_leases: int = 1, name: str | None = None, client: Client | None = None
    ) -> None:
        if isinstance(max_leases, bool) or not isinstance(max_leases, int) or max_leases < 1:
            raise ConfigError(f"max_leases={max_leases!r}: it is a number from 1 on")
        super().__init__(name, client, max_leases)

    @property
    def max_leases(self) -> int:
        """How many may hold it at a time."""
        return self._limit

    def acquire(self, timeout: Timeout = None) -> Any:
        """Wait for a lease; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.

        Returns
        -------
        bool
            Whether there is one more now.

        Raises
        ------
        CoordinationError
            The semaphore is closed.
        ConfigError
            Others use it with another number of leases.
        """
        return self._acquire(seconds(timeout))

    def get_value(self) -> Any:
        """Return how many leases there are now; to be awaited if the client is asynchronous."""
        return self._now("get_value")

    def close(self) -> Any:
        """Refuse whoever waits for it, and all who come later; leases are forgotten.

        To be awaited if the client is asynchronous.
        """
        self._held.clear()
        return self._now("close")

    def __reduce__(self) -> tuple[Any, ...]:
        return Semaphore, (self._limit, self.name)


class Event(Named):
    """A flag that all programs and tasks of a scheduler can set, clear and wait for.

    Parameters
    ----------
    name
        Everybody who uses the same name means the same event; by default a new one.
    client
        By default the running task's, or else the last one made.

    Examples
    --------
    >>> ready = Event("ready")
    >>> future = client.submit(ready.wait)  # doctest: +SKIP
    >>> ready.set()  # doctest: +SKIP
    >>> future.result()  # doctest: +SKIP
    True
    """

    kind = "event"

    def set(self) -> Any:
        """Set it, and let all go on that wait; to be awaited if the client is asynchronous."""
        return self._now("set")

    def clear(self) -> Any:
        """Unset it; to be awaited if the client is asynchronous."""
        return self._now("clear")

    def is_set(self) -> Any:
        """Return whether it is set; to be awaited if the client is asynchronous."""
        return self._now("is_set")

    def wait(self, timeout: Timeout = None) -> Any:
        """Wait until it is set; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.

        Returns
        -------
        bool
            False if the time ran out.
        """
        client = self.client
        return self._sync(client, self._wait_for_it(client, seconds(timeout)))

    async def _wait_for_it(self, client: Client, within: float | None) -> bool:
        _, came = await self._wait(client, "wait", within=within)
        return bool(came)
