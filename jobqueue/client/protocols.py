"""What a client needs of a cluster in its own process; clusters stand above clients."""

from __future__ import annotations

from typing import Any, Protocol

from jobqueue.comm import Credentials
from jobqueue.comm.loop import LoopThread


class SchedulerLike(Protocol):
    """What a client needs of a scheduler in its own process."""

    @property
    def local_address(self) -> str:
        """Its address for clients in the same event loop."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses for workers."""
        ...

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """Its addresses for all other clients."""
        ...

    @property
    def credentials(self) -> Credentials | None:
        """The scheduler's credentials."""
        ...


class ClusterLike(Protocol):
    """What a client needs of a cluster."""

    @property
    def scheduler(self) -> SchedulerLike:
        """The scheduler it runs."""
        ...

    @property
    def loop(self) -> LoopThread | None:
        """The thread it lives on; None if it lives in the user's event loop."""
        ...

    def close(self) -> Any:
        """End it."""
        ...
