"""How a worker finds its scheduler: at its beginning, and again when it has lost it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import Final

from jobqueue.comm import Comm, Credentials, connect_any
from jobqueue.errors import AuthenticationFailed, CommError, HandshakeRefused
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.options import WorkerOptions

logger = logging.getLogger("jobqueue.worker")

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for one try to reach the scheduler."""

RETRY: Final = 0.5
"""Seconds between two tries."""


class Search:
    """Looks for one worker's scheduler, in its event loop.

    Parameters
    ----------
    options
        Where that may be, and what the worker says of itself.
    credentials
        What the worker proves itself with.
    ended
        Set when the worker is to end, so that there is nothing more to look for.
    tried
        Set when the first try is over, well or not.

    Attributes
    ----------
    refusal
        Why the scheduler would not have this worker, if that is why it ended.
    unreached
        Addresses where there is no scheduler, and what came of each.
    """

    def __init__(
        self,
        options: WorkerOptions,
        credentials: Credentials | None,
        *,
        ended: asyncio.Event,
        tried: asyncio.Event | None = None,
    ) -> None:
        self.refusal: CommError | None = None
        self.unreached: dict[str, str] = {}
        self._options = options
        self._credentials = credentials
        self._ended = ended
        self._tried = tried or asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._parted = "it was never reached"  # how contact with the scheduler ended
        self._last_error = ""  # of the last try since then
        self._told = False  # that nothing was reached since then

    def lost(self, how: str) -> None:
        """Take note how the connection ended, for the log."""
        self._parted, self._last_error, self._told = how, "", False

    async def find(self, listening: tuple[str, ...]) -> Comm | ExitCode | None:
        """Try until there is a connection, for the death timeout at most.

        Parameters
        ----------
        listening
            Where other workers reach this one.

        Returns
        -------
        Comm, ExitCode or None
            The connection; or why to end without one, which has been logged; or None if the worker
            was ended meanwhile.
        """
        options = self._options
        alone_since = self._loop.time()
        while not self._ended.is_set():
            left = alone_since + options.death_timeout - self._loop.time()
            if left <= 0:
                logger.error(
                    "worker ends name=%s cause=no scheduler for %g s; %s; %s",
                    options.name,
                    options.death_timeout,
                    self._parted,
                    self._last_error,
                )
                return ExitCode.NO_SCHEDULER
            try:
                comm = await self._connect(listening, left)
            except (AuthenticationFailed, HandshakeRefused) as error:
                logger.error("worker ends name=%s cause=refused: %s", options.name, error)
                self.refusal = error
                return ExitCode.REFUSED
            except CommError as error:
                self._tried.set()
                self._last_error = str(error)
                self._note_tried(error, left)
                self._tell_once(alone_since + options.death_timeout - self._loop.time())
                await self._pause(RETRY)
                continue
            self._tried.set()
            self.unreached.clear()
            return comm
        return None

    async def _connect(self, listening: tuple[str, ...], left: float) -> Comm:
        options = self._options
        facts = WorkerFacts(
            name=options.name,
            nthreads=options.nthreads,
            addresses=listening,
            memory_limit=options.memory_limit,
            job_id=options.job_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            resources=options.resources,
            agent=0 if options.agent_pid == os.getpid() else options.agent_pid,
            pool=options.pool,
            time_left=None if options.ends is None else max(0.0, options.ends - self._loop.time()),
        )
        return await connect_any(
            options.addresses,
            hello=facts.to_hello(),
            credentials=self._credentials,
            timeout=min(CONNECT_TIMEOUT, max(left, RETRY)),
        )

    def _tell_once(self, left: float) -> None:
        """Say after the first round of addresses what came of them, if the end is far off."""
        if not self._told and left > CONNECT_TIMEOUT:
            self._told = True
            logger.warning(
                "no scheduler reached yet name=%s: %s; trying again for %.0f s",
                self._options.name,
                self._last_error,
                left,
            )

    def _note_tried(self, error: CommError, left: float) -> None:
        """Remember what came of each address; the last try may be too short to tell."""
        known = self.unreached if left < CONNECT_TIMEOUT else {}
        self.unreached.update((at, what) for at, what in error.tried if at not in known)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the worker is to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
