"""How a worker and its scheduler notice that they do not hear each other any more.

The worker gives a sign of life in each interval, and each is answered. Without answers, either the
scheduler's process is busy or stopped, which is no reason to part: it has what it had, and so has
the worker. Or it is well, and the connection is dead although neither end was told so. Which of the
two it is shows a second connection: if the scheduler answers there, and the first one stays silent,
the worker connects anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jobqueue.comm import Comm, Credentials, connect_any
from jobqueue.errors import CommClosed, CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON
from jobqueue.worker.link import Link

logger = logging.getLogger("jobqueue.worker")

INTERVAL: Final = 10.0
"""Seconds between two signs of life, unless the scheduler wants them more often."""

PATIENCE: Final = 3
"""Signs of life without an answer before the worker looks for its scheduler; and as many more,
once it has found it, before it gives the connection up."""


class Heartbeat:
    """Beats from `start` to `stop`. Lives in the worker's event loop.

    Parameters
    ----------
    link
        The way to the scheduler.
    numbers
        Returns what to tell with each sign of life.
    addresses, credentials
        Where the scheduler is, and what the worker proves itself with.
    """

    def __init__(
        self,
        link: Link,
        numbers: Callable[[], Mapping[str, Any]],
        *,
        addresses: Sequence[str],
        credentials: Credentials | None,
    ) -> None:
        self._link = link
        self._numbers = numbers
        self._addresses = addresses
        self._credentials = credentials
        self._loop = asyncio.get_running_loop()
        self._interval = INTERVAL
        self._timer: asyncio.TimerHandle | None = None
        self._comm: Comm | None = None  # the connection that the rest is about
        self._received = self._pending = 0
        self._unanswered = 0
        self._proof: int | None = None  # unanswered when another connection showed who is there
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Beat for the first time one interval from now."""
        self._timer = self._loop.call_later(self._interval, self._beat)

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def every(self, seconds: float) -> None:
        """Take in how often the scheduler wants a sign of life."""
        self._interval = seconds
        if self._timer is not None:
            self._timer.cancel()
            self.start()

    def answered(self, numbers: Mapping[str, Any]) -> None:
        """Take in an answer."""
        self._unanswered = 0
        self._proof = None

    def _beat(self) -> None:
        self.start()
        comm = self._link.comm
        if comm is None:
            return
        pending = comm.pending_bytes
        flows = comm.received != self._received or pending < self._pending
        if comm is not self._comm or flows:  # a large message is on its way, perhaps for long
            self.answered({})
        self._comm, self._received, self._pending = comm, comm.received, pending
        self._judge(comm)
        self._unanswered += 1
        self._link.say((m.HEARTBEAT, self._numbers()))

    def _judge(self, comm: Comm) -> None:
        """Draw the conclusions from what has not come."""
        if self._unanswered < PATIENCE:
            return
        if self._proof is None:
            if self._looking is None:
                self._looking = self._loop.create_task(self._look(comm))
        elif self._unanswered >= self._proof + PATIENCE:
            seconds = self._unanswered * self._interval
            comm.abort(
                CommClosed(f"silent for {seconds:g} s, though the scheduler answers elsewhere")
            )

    async def _look(self, comm: Comm) -> None:
        """See whether the scheduler answers on another connection."""
        try:
            other = await connect_any(
                self._addresses,
                hello={"role": "agent", "python": PYTHON},
                credentials=self._credentials,
                timeout=self._interval * PATIENCE,
            )
        except CommError as error:
            logger.info("the scheduler is silent, and is not found: %s", error)
        else:
            other.start(lambda messages: None, lambda reason: None)
            other.close()
            await other.wait_closed()
            if comm is self._comm and self._unanswered >= PATIENCE:
                self._proof = self._unanswered
        finally:
            self._looking = None
