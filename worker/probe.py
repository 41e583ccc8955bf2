"""Asking whether there is a scheduler, for an agent whose workers are too busy to know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jobqueue.comm import Credentials, connect_any
from jobqueue.errors import JobQueueError
from jobqueue.protocol.hello import PYTHON


def look_for_scheduler(
    addresses: Sequence[str],
    credentials: str | None,
    timeout: float,
) -> str:
    """Connect to the scheduler, and part again at once.

    Parameters
    ----------
    addresses
        Where it may be.
    credentials
        Folder with the cluster's credentials, or None where the transport needs none.
    timeout
        Seconds.

    Returns
    -------
    str
        Why nobody is there, in one line; "" if somebody is.
    """
    try:
        return asyncio.run(_look(addresses, credentials, timeout))
    except (JobQueueError, OSError) as error:
        return " ".join(str(error).split()) or repr(error)


async def _look(addresses: Sequence[str], credentials: str | None, seconds: float) -> str:
    comm = await connect_any(
        addresses,
        hello={"role": "agent", "python": PYTHON},
        credentials=None if credentials is None else Credentials.load(credentials),
        timeout=seconds,
    )
    comm.close()
    await comm.wait_closed()
    return ""
