"""A client's part about datasets: collections and futures that programs share by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from jobqueue.client.collections import Collections
from jobqueue.client.coordination import serialize
from jobqueue.client.queues import Values
from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.protocol.payload import Serialized

if TYPE_CHECKING:
    from jobqueue.client.client import Client

_NO_DEFAULT: Final = object()


class Datasets(Collections):
    """Datasets; see `jobqueue.client.client.Client`."""

    def publish_dataset(
        self, *value: Any, name: str | None = None, override: bool = False, **datasets: Any
    ) -> Any:
        """Let other clients of the scheduler have something, by a name.

        It is kept until it is withdrawn, or the scheduler ends, whether or not this client is
        there. Results that futures in it stand for are kept as well: collections that were
        persisted, for instance. To be awaited if the client is asynchronous.

        Parameters
        ----------
        *value
            What is published as `name`: a collection of dask's, futures, or whatever can be
            pickled.
        name
            Of that.
        override
            Whether it may take the place of another.
        **datasets
            More, by their names.

        Raises
        ------
        CoordinationError
            There is a dataset of this name; or the scheduler has no room for more.
        SerializationError
            It cannot be pickled.
        ConfigError
            A value without a name, or the other way round.

        Examples
        --------
        >>> client.publish_dataset(flights=client.persist(flights))  # doctest: +SKIP
        >>> Client(address).get_dataset("flights")  # in another program  # doctest: +SKIP
        """
        if len(value) != (name is not None) or not (value or datasets):
            raise ConfigError(
                "publish_dataset(name=value), or publish_dataset(value, name=...): each value "
                "needs a name"
            )
        if name is not None:
            if name in datasets:
                raise ConfigError(f"publish_dataset(): {name!r} is given twice")
            datasets[name] = value[0]
        items = [(one, *serialize(value)) for one, value in datasets.items()]
        return self._shelf._now("publish", items, bool(override))

    def get_dataset(self, name: str, default: Any = _NO_DEFAULT) -> Any:
        """Return what somebody has published; to be awaited if the client is asynchronous.

        Parameters
        ----------
        name
            Under which it was published.
        default
            What is returned if there is nothing under that name.

        Raises
        ------
        CoordinationError
            There is none, and no default; the message names those that there are.

        Examples
        --------
        >>> client.get_dataset("flights").delay.max().compute()  # doctest: +SKIP
        """
        shelf = self._shelf
        return shelf._sync(
            shelf.client,
            shelf._find(shelf.client, name, needed=default is _NO_DEFAULT),
            lambda got: default if got is None else shelf._open(got)[0],
        )

    def list_datasets(self) -> Any:
        """Return the names of all that is published; to be awaited if the client is asynchronous.

        Examples
        --------
        >>> client.list_datasets()  # doctest: +SKIP
        ('flights',)
        """
        return self._shelf._now("names", finish=tuple)

    def unpublish_dataset(self, name: str) -> Any:
        """Withdraw what is published; to be awaited if the client is asynchronous.

        Who has got it keeps it.

        Parameters
        ----------
        name
            Under which it was published.

        Raises
        ------
        CoordinationError
            There is none; the message names those that there are.
        """
        return self._shelf._now("unpublish", name)

    def set_collection(self, name: str, collection: Any) -> Any:
        """Publish a dataset; an early name of `publish_dataset`, which replaces what is there.

        Parameters
        ----------
        name
            Under which others find it.
        collection
            Anything that can be pickled.
        """
        return self.publish_dataset(collection, name=name, override=True)

    def get_collection(self, name: str) -> Any:
        """Return what somebody has published; an early name of `get_dataset`.

        Parameters
        ----------
        name
            Under which it was published.
        """
        return self.get_dataset(name)

    @property
    def _shelf(self) -> _Shelf:
        return _Shelf("", cast("Client", self))


class _Shelf(Values):
    """All datasets of a scheduler."""

    kind = "datasets"

    async def _find(
        self, client: Client, name: str, *, needed: bool
    ) -> tuple[Client, int, Sequence[Serialized]] | None:
        """Return what is to be opened; None if there is no such dataset and none is needed."""
        try:
            return await self._get(client, None, name)
        except CoordinationError:
            if needed:
                raise
            return None
