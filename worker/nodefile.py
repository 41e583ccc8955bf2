"""The names of a job's nodes, in a file that tasks of its first worker can give to `mpiexec`."""

from __future__ import annotations

import contextlib
import os

from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions


def write_nodefile(options: AgentOptions, folder: str, log: Log) -> str | None:
    """Write it, where this is the first of a job's several nodes.

    Parameters
    ----------
    options
        The agent's.
    folder
        Where to put it; everybody's, as a rule.
    log
        Told if that cannot be done.

    Returns
    -------
    str or None
        The path, to be removed with `remove_nodefile`; None if there is no such file.
    """
    if not options.hosts or options.rank:
        return None
    path = f"{folder}/jobqueue-nodes-{options.job_id}-{os.getpid()}"
    try:
        remove_nodefile(path)
        # Nobody else may have put something there meanwhile.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{host}\n" for host in options.hosts)
    except OSError as error:
        log.line("list of nodes not written", path=path, error=error)
        return None
    return path


def remove_nodefile(path: str | None) -> None:
    """Remove it, if there is one, and it can be removed."""
    if path is not None:
        with contextlib.suppress(OSError):
            os.unlink(path)
