"""Interactive, futures-style Python on HPC batch queues.

    from jobqueue import Client, SLURMCluster

    cluster = SLURMCluster(cores=24, memory="100GB", queue="regular")
    cluster.scale(jobs=2)
    client = Client(cluster)
    futures = client.map(abs, range(-500, 500))

Names are imported when they are first used, so that `import jobqueue` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import builtins

    from jobqueue import config as config
    from jobqueue import errors as errors
    from jobqueue import multiprocessing as multiprocessing
    from jobqueue import sync as sync
    from jobqueue import threaded as threaded
    from jobqueue.client.as_completed import as_completed
    from jobqueue.client.client import Client, fire_and_forget
    from jobqueue.client.future import Future
    from jobqueue.client.in_task import (
        devices,
        get_client,
        get_worker,
        rejoin,
        secede,
        worker_client,
    )
    from jobqueue.client.locks import Event, Lock, Semaphore
    from jobqueue.client.nested import futures_of
    from jobqueue.client.options import annotate
    from jobqueue.client.progress import progress
    from jobqueue.client.queues import Queue, Variable
    from jobqueue.client.waiting import wait
    from jobqueue.cluster.engines import client_from_ipyparallel
    from jobqueue.cluster.htcondor import HTCondorCluster
    from jobqueue.cluster.local import LocalCluster
    from jobqueue.cluster.lsf import LSFCluster
    from jobqueue.cluster.moab import MoabCluster
    from jobqueue.cluster.oar import OARCluster
    from jobqueue.cluster.pbs import PBSCluster
    from jobqueue.cluster.sge import SGECluster
    from jobqueue.cluster.slurm import SLURMCluster
    from jobqueue.cluster.standalone_scheduler import Scheduler
    from jobqueue.cluster.standalone_worker import Worker
    from jobqueue.computing import compute
    from jobqueue.errors import KilledWorker, TaskCancelled

    CancelledError = TaskCancelled
    TimeoutError = builtins.TimeoutError
    default_client = get_client

__version__ = "0.1.0"

_HOMES = {
    "Client": "jobqueue.client.client",
    "Event": "jobqueue.client.locks",
    "Future": "jobqueue.client.future",
    "HTCondorCluster": "jobqueue.cluster.htcondor",
    "KilledWorker": "jobqueue.errors",
    "LSFCluster": "jobqueue.cluster.lsf",
    "LocalCluster": "jobqueue.cluster.local",
    "Lock": "jobqueue.client.locks",
    "MoabCluster": "jobqueue.cluster.moab",
    "OARCluster": "jobqueue.cluster.oar",
    "PBSCluster": "jobqueue.cluster.pbs",
    "Queue": "jobqueue.client.queues",
    "SGECluster": "jobqueue.cluster.sge",
    "SLURMCluster": "jobqueue.cluster.slurm",
    "Scheduler": "jobqueue.cluster.standalone_scheduler",
    "Semaphore": "jobqueue.client.locks",
    "Variable": "jobqueue.client.queues",
    "Worker": "jobqueue.cluster.standalone_worker",
    "annotate": "jobqueue.client.options",
    "as_completed": "jobqueue.client.as_completed",
    "client_from_ipyparallel": "jobqueue.cluster.engines",
    "compute": "jobqueue.computing",
    "devices": "jobqueue.client.in_task",
    "fire_and_forget": "jobqueue.client.client",
    "futures_of": "jobqueue.client.nested",
    "get_client": "jobqueue.client.in_task",
    "get_worker": "jobqueue.client.in_task",
    "progress": "jobqueue.client.progress",
    "rejoin": "jobqueue.client.in_task",
    "secede": "jobqueue.client.in_task",
    "wait": "jobqueue.client.waiting",
    "worker_client": "jobqueue.client.in_task",
}

_OTHER_NAMES = {
    "CancelledError": ("jobqueue.errors", "TaskCancelled"),
    "TimeoutError": ("builtins", "TimeoutError"),
    "default_client": ("jobqueue.client.in_task", "get_client"),
}
"""Names by which other libraries have what is here, and where that is."""

_ROOMS = ("config", "errors", "multiprocessing", "sync", "threaded")
"""Modules that users name in full: `jobqueue.config.set(...)`, `jobqueue.threaded.get(...)`."""

__all__ = [
    "Client",
    "Event",
    "Future",
    "HTCondorCluster",
    "KilledWorker",
    "LSFCluster",
    "LocalCluster",
    "Lock",
    "MoabCluster",
    "OARCluster",
    "PBSCluster",
    "Queue",
    "SGECluster",
    "SLURMCluster",
    "Scheduler",
    "Semaphore",
    "Variable",
    "Worker",
    "annotate",
    "as_completed",
    "client_from_ipyparallel",
    "compute",
    "devices",
    "fire_and_forget",
    "futures_of",
    "get_client",
    "get_worker",
    "progress",
    "rejoin",
    "secede",
    "wait",
    "worker_client",
]


def _default_cluster(**keywords: Any) -> Any:
    """Return the cluster of a client that was given none."""
    return importlib.import_module("jobqueue.cluster.local").LocalCluster(**keywords)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"jobqueue.{name}")
    home, attribute = _OTHER_NAMES.get(name, (_HOMES.get(name), name))
    if home is None:
        raise AttributeError(f"module 'jobqueue' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), attribute)
    if name == "Client":
        # Clusters stand above clients, so the client's module cannot name the default itself.
        value.default_cluster = staticmethod(_default_cluster)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_OTHER_NAMES, *_ROOMS})
