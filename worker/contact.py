"""Finding the scheduler, for agents that were not told all of it: those that people start by hand.

They may have a scheduler file, or an address without credentials, of which one of this user's own
schedulers has left some. Either may come only later: workers may start before their scheduler does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from jobqueue.comm.addresses import parse_address
from jobqueue.comm.scheduler_file import POLL, SchedulerFile, wait_for_scheduler_file
from jobqueue.comm.scheduler_file import find_scheduler as find_published
from jobqueue.errors import JobQueueError
from jobqueue.worker.arguments import AgentOptions


def find_scheduler(
    options: AgentOptions, *, pause: Callable[[float], object] = time.sleep
) -> AgentOptions | str:
    """Complete an agent's options with the addresses and credentials that are missing.

    Waits for them, as long as a worker waits for its scheduler.

    Parameters
    ----------
    options
        What the command line says.
    pause
        Called with the seconds until the next look.

    Returns
    -------
    AgentOptions or str
        The options with all that is needed, or why it cannot be found, in one line.
    """
    try:
        if options.scheduler_file is not None:
            found = wait_for_scheduler_file(
                options.scheduler_file, options.death_timeout, pause=pause
            )
            options = options._replace(addresses=found.addresses)
        elif parse_address(options.addresses[0]).scheme not in ("tls", "tcp"):
            return options  # which needs no credentials
        else:
            published = _wait_for_published(options, pause)
            if published is None:
                return (
                    f"no credentials for {options.addresses[0]}: within {options.death_timeout:g} "
                    "s no scheduler of this user's has left some; give --credentials, or "
                    "--scheduler-file"
                )
            found = published
    except JobQueueError as error:
        return " ".join(str(error).split())
    if options.credentials is None:
        options = options._replace(credentials=found.folder("worker"))
    return options


def _wait_for_published(
    options: AgentOptions, pause: Callable[[float], object]
) -> SchedulerFile | None:
    end = time.monotonic() + options.death_timeout
    while True:
        for address in options.addresses:
            found = find_published(address)
            if found is not None:
                return found
        left = end - time.monotonic()
        if left <= 0:
            return None
        pause(min(POLL, left))
