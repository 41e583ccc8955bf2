"""What a client asks of its scheduler, and has it do, beside running tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from jobqueue.client.session import Session
from jobqueue.errors import ClientClosed, WorkersUnavailable
from jobqueue.protocol.failures import Failure


class Control(Session):
    """The part of `jobqueue.client.client.Client` that is about workers."""

    def wait_for_workers(self, n_workers: int = 1, timeout: float | None = None) -> Any:
        """Wait until workers are connected; to be awaited if the client is asynchronous.

        Parameters
        ----------
        n_workers
            How many.
        timeout
            Seconds to wait, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            They are not there within `timeout`; says how things stand.
        WorkersUnavailable
            None will come; the message says why.
        """
        return self._sync(self._wait_for_workers(n_workers, timeout))

    async def _wait_for_workers(self, count: int, timeout: float | None) -> None:  # noqa: ASYNC109
        answer = asyncio.ensure_future(self._connection.ask("wait-for-workers", count))
        try:
            with self._waits.guard(answer.cancel) as guard:
                shortage = await asyncio.wait_for(answer, timeout)
        except asyncio.CancelledError:
            if guard.error is None:
                raise
            raise guard.error from None
        except (WorkersUnavailable, ClientClosed):  # it was known before
            answer.cancel()
            raise
        except TimeoutError:
            situation = await self._connection.ask("situation")
            raise TimeoutError(
                f"not {count} workers within {timeout:g} s: {situation['text']}"
            ) from None
        if shortage is not None:
            raise Failure(*shortage).to_exception()
