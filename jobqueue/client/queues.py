"""`Queue` and `Variable`: values that programs and tasks of a scheduler hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobqueue.client.coordination import Named, serialize
from jobqueue.client.future import read_by
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.errors import ConfigError
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import loads

if TYPE_CHECKING:
    from jobqueue.client.client import Client


class Values(Named):
    """Something that has values, which may have futures inside."""

    async def _get(
        self, client: Client, within: float | None, *args: Any
    ) -> tuple[Client, int, Sequence[Serialized]]:
        number, values = await self._wait(client, "get", *args, within=within)
        if values is None:
            raise TimeoutError(f"{self.kind} {self.name!r} had nothing to get within {within:g} s")
        return client, number, values

    def _open(self, got: tuple[Client, int, Sequence[Serialized]]) -> list[Any]:
        """Return the values, and say that they have arrived."""
        client, number, values = got
        try:
            with read_by(client):
                return [loads(value) for value in values]
        finally:
            # After the futures inside have said that they are wanted here: until now the
            # scheduler has kept their results, and the values, for us.
            self._say(client, "taken", number)


class Queue(Values):
    """A queue between programs and tasks of a scheduler.

    Values are pickled and kept in the scheduler's memory; scatter large ones, or leave them where
    they were computed, and put their futures. As long as a future is in the queue, its result is
    kept.

    Parameters
    ----------
    name
        Everybody who uses the same name means the same queue; by default a new one.
    client
        By default the running task's, or else the last one made.
    maxsize
        How many values it holds at most before `put` waits; 0 for no limit. The first number that
        is named for a queue counts, until it is closed.

    Examples
    --------
    >>> queue = Queue("pictures")
    >>> queue.put(client.submit(load, "a.png"))  # doctest: +SKIP
    >>> queue.get().result()  # doctest: +SKIP
    """

    kind = "queue"

    def __init__(
        self, name: str | None = None, client: Client | None = None, maxsize: int = 0
    ) -> None:
        if isinstance(maxsize, bool) or not isinstance(maxsize, int) or maxsize < 0:
            raise ConfigError(f"maxsize={maxsize!r}: it is a number from 0 on")
        super().__init__(name, client)
        self.maxsize = maxsize
        self._opened_by: Client | None = None  # who has told the scheduler of maxsize

    def __reduce__(self) -> tuple[Any, ...]:
        return Queue, (self.name, None, self.maxsize)

    def _client_here(self) -> Client:
        client = super()._client_here()
        if self.maxsize and self._opened_by is not client:
            self._say(client, "open", self.maxsize)
            self._opened_by = client
        return client

    def put(self, value: Any, timeout: Timeout = None) -> Any:
        """Append a value; to be awaited if the client is asynchronous.

        Parameters
        ----------
        value
            Anything that can be pickled; it may hold futures.
        timeout
            Seconds to wait for room, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            The queue was full for as long.
        CoordinationError
            The scheduler has no room for more.
        """
        client = self._client_here()
        return self._sync(client, self._put(client, seconds(timeout), *serialize(value)))

    async def _put(
        self,
        client: Client,
        within: float | None,
        value: Serialized,
        keys: Sequence[str],
    ) -> None:
        _, done = await self._wait(client, "put", value, keys, within=within)
        if not done:
            raise TimeoutError(f"queue {self.name!r} was full for {within:g} s")

    def get(self, timeout: Timeout = None, batch: bool | int = False) -> Any:
        """Remove the oldest value and return it; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait for a value, or None for as long as it takes.
        batch
            A number returns a list of so many, once they are there. True returns a list of all
            that are there now, and does not wait.

        Raises
        ------
        TimeoutError
            There was nothing, or not enough, for as long.
        """
        if not isinstance(batch, int) or batch < 0:
            raise ConfigError(f"batch={batch!r}: it is True, False or a number")
        client = self._client_here()
        count = 0 if batch is True else batch or 1
        single = batch is False
        return self._sync(
            client,
            self._get(client, seconds(timeout), count),
            lambda got: self._open(got)[0] if single else self._open(got),
        )

    def qsize(self) -> Any:
        """Return how many values are in it; to be awaited if the client is asynchronous."""
        return self._now("qsize")

    def close(self) -> Any:
        """Forget what is in it; whoever waits for it gets an error.

        To be awaited if the client is asynchronous.
        """
        client = self._client_here()
        self._opened_by = None
        return self._sync(client, self._ask(client, "close"))


class Variable(Values):
    """One value that programs and tasks of a scheduler share, and can replace.

    It is kept in the scheduler's memory; let a large one be a future. As long as a future is in the
    variable, its result is kept.

    Parameters
    ----------
    name
        Everybody who uses the same name means the same variable; by default a new one.
    client
        By default the running task's, or else the last one made.

    Examples
    --------
    >>> best = Variable("best")
    >>> best.set({"loss": 0.25})  # doctest: +SKIP
    >>> best.get()  # doctest: +SKIP
    {'loss': 0.25}
    """

    kind = "variable"

    def set(self, value: Any, timeout: object = None) -> Any:
        """Replace the value; to be awaited if the client is asynchronous.

        Parameters
        ----------
        value
            Anything that can be pickled; it may hold futures.
        timeout
            Without effect: there is nothing to wait for.

        Raises
        ------
        CoordinationError
            The scheduler has no room for more.
        """
        return self._now("set", *serialize(value))

    def get(self, timeout: Timeout = None) -> Any:
        """Return the value, once one was set; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait for the first value, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            There was none for as long.
        """
        client = self.client
        return self._sync(
            client, self._get(client, seconds(timeout)), lambda got: self._open(got)[0]
        )

    def delete(self) -> Any:
        """Forget the value; to be awaited if the client is asynchronous."""
        return self._now("delete")
