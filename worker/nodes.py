"""Which node of a job of several this is, and which the others are.

Each node has an agent of its own, and all of them have the same command line: a launcher (`srun`,
`mpiexec`, `pbsdsh`) has started them. What differs is in their environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from jobqueue.worker.arguments import AgentOptions

RANKS = (
    "JOBQUEUE_NODE_RANK",  # job scripts that start themselves on each node
    "OMPI_COMM_WORLD_RANK",  # Open MPI
    "PMIX_RANK",
    "PMI_RANK",  # MPICH, Intel MPI, Cray
    "SLURM_NODEID",  # srun; after those, since mpiexec may start itself by an srun of its own
    "PBS_NODENUM",  # pbsdsh; last, since PBS sets it for the job script, too
)
"""Variables in which launchers tell a process its number. With one on each node, which node that
is."""


def at_this_node(
    options: AgentOptions,
    environ: Mapping[str, str],
    host: str,
    *,
    read: Callable[[str], str] | None = None,
) -> AgentOptions | str:
    """Make one node's options of those that all nodes of a job share.

    Parameters
    ----------
    options
        What the command line says.
    environ
        The environment.
    host
        This node's name.
    read
        Returns the text of a file.

    Returns
    -------
    AgentOptions or str
        This node's, or why it is not known which node that is, in one line.

    Examples
    --------
    >>> options = AgentOptions(("tls://a:1",), "jq-7", exit_record="/logs/7.json", nodes=2)
    >>> there = at_this_node(options, {"SLURM_NODEID": "1"}, "n2")
    >>> there.rank, there.name, there.exit_record
    (1, 'jq-7-1', '/logs/7.1.json')
    """
    if options.nodes == 1:
        return options
    hosts = job_hosts(environ, read or _read)
    rank = _rank(environ, options.nodes, host, hosts)
    if rank is None:
        return (
            f"which of the job's {options.nodes} nodes {host} is, nothing tells: none of "
            f"{', '.join(RANKS)} is set, and it is in no list of nodes; start the agents by srun, "
            "mpiexec or pbsdsh"
        )
    record = options.exit_record
    if record is not None and rank:
        root, suffix = os.path.splitext(record)
        record = f"{root}.{rank}{suffix}"
    return options._replace(
        rank=rank, hosts=tuple(hosts), name=f"{options.name}-{rank}", exit_record=record
    )


def _rank(environ: Mapping[str, str], nodes: int, host: str, hosts: Sequence[str]) -> int | None:
    for name in RANKS:
        text = environ.get(name, "")
        if text.isascii() and text.isdigit() and int(text) < nodes:
            return int(text)
    short = [other.partition(".")[0] for other in hosts]
    if host.partition(".")[0] in short:
        return short.index(host.partition(".")[0])
    return None


def job_hosts(environ: Mapping[str, str], read: Callable[[str], str]) -> list[str]:
    """Return the names of a job's nodes, each once, the first one first; [] if nothing tells.

    Parameters
    ----------
    environ
        The environment.
    read
        Returns the text of a file.
    """
    for name, names_in in _LISTS:
        told = environ.get(name)
        if told:
            try:
                hosts = list(dict.fromkeys(names_in(told, read)))
            except (OSError, ValueError):
                continue
            if hosts:
                return hosts
    return []


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _in_file(path: str, read: Callable[[str], str]) -> list[str]:
    """Grid Engine's has more columns, and all of them have a line for each slot."""
    return [words[0] for line in read(path).splitlines() if (words := line.split())]


def _in_slurm_list(text: str, read: Callable[[str], str]) -> list[str]:
    return expand(text)


_LISTS: tuple[tuple[str, Callable[[str, Callable[[str], str]], list[str]]], ...] = (
    ("PBS_NODEFILE", _in_file),
    ("OAR_NODEFILE", _in_file),
    ("LSB_DJOB_HOSTFILE", _in_file),
    ("PE_HOSTFILE", _in_file),
    ("SLURM_JOB_NODELIST", _in_slurm_list),
)


# -- Slurm's short notation ------------------------------------------------------------------------

MOST = 100_000
"""Names to which a list may expand: no machine has more nodes, but a typing error may."""

_PART = re.compile(r"([^\[\],\s]*)(?:\[([^\[\]]*)\])?")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def expand(text: str) -> list[str]:
    """Write out a list of nodes in the notation of Slurm.

    Raises
    ------
    ValueError
        It is no such list, or endless.

    Examples
    --------
    >>> expand("login,n[08-10,12],rack[1-2]-[0-1]")
    ['login', 'n08', 'n09', 'n10', 'n12', 'rack1-0', 'rack1-1', 'rack2-0', 'rack2-1']
    """
    return [name for item in _items(text) for name in _expand_item(item)]


def _items(text: str) -> Iterator[str]:
    """Cut at the commas that stand in no brackets."""
    for item in re.split(r",(?![^\[]*\])", text):
        if not item.strip():
            raise ValueError(f"{text!r} is no list of nodes: a name is missing")
        yield item.strip()


def _expand_item(item: str) -> list[str]:
    names, at = [""], 0
    while at < len(item):
        part = _PART.match(item, at)
        if part is None or part.end() == at:
            raise ValueError(f"{item!r} is no name of nodes, as in n[1-4]")
        numbers = [""] if part[2] is None else list(_numbers(part[2]))
        if len(names) * len(numbers) > MOST:
            raise ValueError(f"{item!r} stands for more than {MOST} nodes")
        names = [f"{name}{part[1]}{number}" for name in names for number in numbers]
        at = part.end()
    return names


def _numbers(text: str) -> Iterator[str]:
    for item in text.split(","):
        found = _RANGE.fullmatch(item.strip())
        if found is None:
            raise ValueError(f"[{text}] holds no numbers, as in [1-4,7]")
        first, last = found[1], found[2] or found[1]
        if int(last) - int(first) >= MOST:
            raise ValueError(f"[{text}] stands for more than {MOST} nodes")
        yield from (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
