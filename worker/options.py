"""What a job agent tells a worker process: one JSON line on the worker's standard input.

Standard input, because a command line and an environment can be read by every user of a node.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from jobqueue.worker.limits import Fractions

_NODEFILE = "JOBQUEUE_NODEFILE"  # where tasks look for it


# A NamedTuple, and no dataclass: importing `dataclasses` is a fifth of the agent's start-up time.
class WorkerOptions(NamedTuple):
    """All that one worker process needs to know.

    Parameters
    ----------
    addresses
        Contact addresses of the scheduler, to be tried in this order.
    name
        The worker's name, unique in its cluster.
    nthreads
        Tasks that may run at the same time.
    memory_limit
        Bytes this worker may use, or None for no limit.
    memory_fractions
        What it does at which part of that, see `jobqueue.worker.memory`.
    credentials
        Folder with the cluster's credentials, or None where the transport needs none.
    job_id
        The batch system's id of the job that this worker belongs to, or None outside of a job.
    slot
        Place among the workers of one agent, from 0. A worker that replaces a crashed one takes
        over its slot and its name.
    death_timeout
        Seconds without a scheduler after which the worker ends itself.
    local_directory
        Folder for the results that the worker puts on disk, or None for that of temporary files.
    interface
        Network interface to listen on, or None to choose one.
    host
        Address to listen on, in place of that of the interface, or None.
    ports
        The first and the last port to listen on, or None for any that is free.
    resources
        Amounts that tasks may ask for, by name.
    preload
        Modules or paths of Python files to execute before the first task, in this order.
    agent_pid
        Process id of the agent; a worker does not outlive it.
    board
        File descriptor of the page on which the worker shows what it runs, see
        `jobqueue.worker.board`; None if it is not to.
    pool
        The pool that its job belongs to, or "".
    ends
        When its job ends and it stops working, on this machine's monotonic clock; None if that is
        not known.
    devices
        Its devices: the variables that name them, and the names.
    nodefile
        File with the names of its job's nodes, or None.

    Examples
    --------
    >>> options = WorkerOptions(addresses=("tls://10.0.0.1:4000",), name="jobqueue-17-0")
    >>> WorkerOptions.from_json(options.to_json()) == options
    True
    """

    addresses: tuple[str, ...]
    name: str
    nthreads: int = 1
    memory_limit: int | None = None
    memory_fractions: Fractions = Fractions()
    credentials: str | None = None
    job_id: str | None = None
    slot: int = 0
    death_timeout: float = 60.0
    local_directory: str | None = None
    interface: str | None = None
    host: str | None = None
    ports: tuple[int, int] | None = None
    resources: dict[str, float] = {}  # noqa: RUF012 - never written to
    preload: tuple[str, ...] = ()
    agent_pid: int = 0
    board: int | None = None
    pool: str = ""
    ends: float | None = None
    devices: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - never written to
    nodefile: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its process has beside those of the agent."""
        variables = {name: ",".join(devices) for name, devices in self.devices.items()}
        return variables if self.nodefile is None else {**variables, _NODEFILE: self.nodefile}

    def to_json(self) -> str:
        """Return one line of JSON, without its line break."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, line: str) -> WorkerOptions:
        """Read what `to_json` wrote.

        Parameters
        ----------
        line
            One line of JSON.

        Raises
        ------
        ValueError
            If the line is not such JSON: a worker is started by an agent, never by hand.
        """
        try:
            fields = json.loads(line)
            fields["addresses"] = tuple(fields["addresses"])
            fields["preload"] = tuple(fields["preload"])
            fields["memory_fractions"] = Fractions(*fields["memory_fractions"])
            fields["ports"] = fields["ports"] and tuple(fields["ports"])
            fields["devices"] = {name: tuple(ids) for name, ids in fields["devices"].items()}
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"these are no worker options: {line[:200]!r}; a worker process is started by its "
                "agent, `python -m jobqueue.worker ADDRESS`"
            ) from error
