"""The job agent's command line: what a job script says, as one checked object."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from jobqueue.protocol.quantities import parse_seconds
from jobqueue.worker import argument_values as values
from jobqueue.worker.argument_values import AUTO
from jobqueue.worker.dask_options import Ignored, add_dask_options
from jobqueue.worker.limits import Fractions

T = TypeVar("T")


class AgentOptions(NamedTuple):
    """What the command line asks for.

    Parameters
    ----------
    addresses
        Contact addresses of the scheduler, best first; none with a scheduler file.
    name
        Common part of the workers' names; the worker in slot 0 is called ``NAME-0``.
    scheduler_file
        File that says where the scheduler is, or will be, or None.
    nworkers
        Number of worker processes, or `AUTO`.
    nthreads
        Threads of each, or None to share the CPUs among them.
    memory_limit
        Bytes of each, or a fraction of what there is, up to 1; `AUTO` for a share of it, None for
        no limit.
    job_id
        The batch system's id of the job, or None.
    credentials
        Folder with the cluster's credentials, or None.
    death_timeout
        Seconds without a scheduler after which workers end themselves.
    nanny
        Whether workers that crash are started again.
    memory_fractions, local_directory, interface, host, ports, resources, preload
        As in `WorkerOptions`.
    exit_record
        File that will tell why the agent ended, or None.
    lifetime
        Seconds after which the agent ends in order, or None.
    lifetime_stagger
        The lifetime is changed at random by up to that many seconds, up or down.
    pool
        The pool that the job belongs to, or "".
    walltime
        Seconds that the job may take in all, or None: not known, or without limit.
    walltime_margin
        Seconds before its end at which its workers begin to hand over, or None for what
        `jobqueue.worker.deadline.default_margin` says.
    job_started
        When the job began, in seconds since 1970, or None if it was not said.
    nodes
        Nodes of the job, each with an agent of its own.
    rank, hosts
        Which of them this is, from 0, and their names as far as they are known: not said on the
        command line, but found out by `jobqueue.worker.nodes.at_this_node`.
    ignored
        Options of dask's that were given and have no effect.
    """

    addresses: tuple[str, ...]
    name: str
    scheduler_file: str | None = None
    nworkers: int = 1
    nthreads: int | None = None
    memory_limit: float | None = AUTO
    memory_fractions: Fractions = Fractions()
    job_id: str | None = None
    credentials: str | None = None
    death_timeout: float = 60.0
    nanny: bool = True
    local_directory: str | None = None
    interface: str | None = None
    host: str | None = None
    ports: tuple[int, int] | None = None
    resources: dict[str, float] = {}  # noqa: RUF012 - never written to
    preload: tuple[str, ...] = ()
    exit_record: str | None = None
    lifetime: float | None = None
    lifetime_stagger: float = 0.0
    pool: str = ""
    walltime: float | None = None
    walltime_margin: float | None = None
    job_started: float | None = None
    nodes: int = 1
    rank: int = 0
    hosts: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()


def parse_arguments(
    argv: Sequence[str], *, prog: str = "python -m jobqueue.worker"
) -> AgentOptions:
    """Read a command line.

    Parameters
    ----------
    argv
        The words after the program's name.
    prog
        The program's name in the usage text.

    Raises
    ------
    SystemExit
        With status 2, after a message on standard error, if it cannot be understood.

    Examples
    --------
    >>> parse_arguments(["tls://10.0.0.1:4000", "--nworkers", "4"]).nworkers
    4
    """
    parser = _parser(prog)
    fields = vars(parser.parse_args(argv))
    protocol = fields.pop("protocol")
    fields["addresses"] = tuple(
        part if "://" in part else f"{protocol}://{part}"
        for group in fields["addresses"]
        for part in group
    )
    if bool(fields["addresses"]) == bool(fields["scheduler_file"]):
        parser.error("give either ADDRESS or --scheduler-file: where the scheduler is")
    fields["memory_fractions"] = Fractions(
        *(fields.pop(f"memory_{name}") for name in Fractions._fields)
    )
    fields["preload"] = tuple(fields["preload"])
    fields["name"] = fields["name"] or f"{os.uname().nodename}-{os.getpid()}"
    return AgentOptions(**fields)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Start worker processes, keep them running, and end when they were told to.",
        epilog="Other options of dask's worker command are accepted; the log says why each has no "
        "effect.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "addresses",
        nargs="*",
        metavar="ADDRESS",
        type=_checked(values.addresses),
        help="contact addresses of the scheduler, several or separated by commas, best first",
    )
    for flags, metavar, parse, default, text in _OPTIONS:
        names = flags.split()
        dest = _DESTINATIONS.get(names[0])
        parser.add_argument(
            *names, dest=dest, metavar=metavar, type=_checked(parse), default=default, help=text
        )
    parser.add_argument(  # the name that dask's worker command had for it until 2021
        "--nprocs",
        dest="nworkers",
        type=_checked(values.count),
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--nanny",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start workers that crash again, or do not",
    )
    parser.add_argument(
        "--preload",
        metavar="MODULE",
        action="append",
        default=[],
        help="module, or path of a Python file, to run in each worker first; may be repeated",
    )
    add_dask_options(parser)
    return parser


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show the parser's own words instead of its name."""

    def argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


_DESTINATIONS = {"--worker-port": "ports"}

_OPTIONS: tuple[tuple[str, str, Callable[[str], object], object, str], ...] = (
    ("--scheduler-file", "FILE", values.optional, None,
     "in place of ADDRESS: file that says where the scheduler is, or will be"),
    ("--protocol", "NAME", values.protocol, "tls",
     "of addresses that name none: tls (default) or tcp"),
    ("--nworkers", "N", values.count_or_auto, 1,
     "worker processes (default 1), or auto: as suits the CPUs"),
    ("--nthreads", "N", values.count, None, "threads of each worker (default: all CPUs, shared)"),
    ("--name", "NAME", values.optional, None, "workers are called NAME-0, ... (default: HOST-PID)"),
    ("--memory-limit", "SIZE", values.memory_limit, AUTO,
     "memory of each worker, as in 16GiB or, of all there is, 0.5; auto (default): all there is, "
     "shared; 0: no limit"),
    ("--memory-target", "PART", values.fraction, Fractions().target,
     "part of that above which results go to disk (default 0.6), or off"),
    ("--memory-spill", "PART", values.fraction, Fractions().spill,
     "the same if the whole process takes so much (default 0.7), or off"),
    ("--memory-pause", "PART", values.fraction, Fractions().pause,
     "if the process takes so much, no task begins (default 0.8), or off"),
    ("--memory-terminate", "PART", values.fraction, Fractions().terminate,
     "if the process takes so much, it is ended (default 0.95), or off"),
    ("--job-id", "ID", values.optional, None, "the batch system's id of this job"),
    ("--credentials", "FOLDER", values.optional, None, "folder with the cluster's credentials"),
    ("--death-timeout", "TIME", values.seconds, 60.0,
     "end after this time without a scheduler (default 60s)"),
    ("--local-directory", "FOLDER", values.optional, None,
     "folder for the results that go to disk (default: $TMPDIR or /tmp)"),
    ("--interface", "NAME", values.optional, None, "network interface to listen on"),
    ("--host", "ADDRESS", values.optional, None,
     "IP address to listen on, or a name of this machine"),
    ("--worker-port --port", "PORT", values.ports, None,
     "port to listen on, or several to choose from, as in 3000:3026 (default: any that is free)"),
    ("--resources", "NAME=N,...", values.resources, {}, "amounts tasks may ask for: GPU=2,MEM=10"),
    ("--exit-record", "FILE", values.optional, None, "at the end, write why to this file, as JSON"),
    ("--lifetime", "TIME", values.seconds, None, "end in order after this time, as in 18m"),
    ("--lifetime-stagger", "TIME", parse_seconds, 0.0,
     "change the lifetime at random by up to this much"),
    ("--pool", "NAME", values.name, "", "the pool that this job belongs to"),
    ("--walltime", "TIME", values.optional_seconds, None,
     "what the job may take in all, as in 3600, counted from --job-started; where the batch "
     "system's environment tells the job's end, that counts"),
    ("--walltime-margin", "TIME", values.optional_seconds, None,
     "hand over so long before that end (default: a tenth of the walltime, at least 10s, at most "
     "120s)"),
    ("--job-started", "EPOCH", values.epoch, None,
     "when the job began, in seconds since 1970 (default: $JOBQUEUE_JOB_STARTED, else now)"),
    ("--nodes", "N", values.count, 1,
     "nodes of this job (default 1), on each of which an agent runs with the same command line; "
     "each finds out which it is, and adds that to its name and its exit record, if not the first"),
)  # fmt: skip
