"""Telling the scheduler at once how a worker ended, which by then cannot tell itself.

The scheduler has seen a connection break, and waits a few seconds for this before it gives the
worker's tasks to others: one of them may have killed it. In a thread of the agent, and with modules
that it imports only now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from jobqueue.comm import Credentials, connect_any
from jobqueue.errors import JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON

TIMEOUT = 20.0
"""Seconds to reach the scheduler. It does not wait for so long, but has use for it even then."""


class Report(NamedTuple):
    """How a worker ended.

    Parameters
    ----------
    name
        The worker's.
    cause
        In words.
    blame
        Whether the tasks that it ran may be at fault.
    lines
        The last it wrote to standard error.
    running
        The tasks that it was running, None if that is not known. If it was running none, those that
        had ended last: of no matter if the scheduler has heard so.
    pid
        Its process, since another one has its name by now.
    """

    name: str
    cause: str
    blame: bool
    lines: Sequence[str]
    running: Sequence[str] | None = None
    pid: int = 0


def report_end(
    report: Report,
    addresses: Sequence[str],
    credentials: str | None,
    timeout: float = TIMEOUT,
) -> str:
    """Connect to the scheduler, say it, and part again.

    Parameters
    ----------
    report
        What to say.
    addresses
        Where the scheduler is.
    credentials
        Folder with the cluster's credentials, or None where the transport needs none.
    timeout
        Seconds.

    Returns
    -------
    str
        Why it could not be said, in one line; "" if it was.
    """
    try:
        return asyncio.run(_report(report, addresses, credentials, timeout))
    except (JobQueueError, OSError) as error:
        return " ".join(str(error).split()) or repr(error)


async def _report(
    report: Report, addresses: Sequence[str], credentials: str | None, seconds: float
) -> str:
    comm = await connect_any(
        addresses,
        hello={"role": "agent", "python": PYTHON},
        credentials=None if credentials is None else Credentials.load(credentials),
        timeout=seconds,
    )
    try:
        comm.send([(m.WORKER_ENDED, *report)])
        await asyncio.wait_for(comm.drain(), seconds)
    except TimeoutError:
        return f"{comm.peer_address} takes nothing"
    finally:
        comm.close()
        await comm.wait_closed()
    return ""
