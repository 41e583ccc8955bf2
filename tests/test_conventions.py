"""What CONTRIBUTING.md asks of tests, as far as a program can tell."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# Folder of modules → folder of their tests
MIRRORED = {"jobqueue": "", "scheduler": "scheduler", "worker": "worker", "templates": "templates"}

# Modules without a test file of their own → the test file that holds them to their behaviour
TESTED_THROUGH = {
    # what all adapters have in common
    "jobqueue/batch/base.py": "batch/test_conformance.py",
    "jobqueue/batch/answers.py": "batch/test_conformance.py",
    "jobqueue/batch/qstat.py": "batch/test_pbs.py",
    "jobqueue/batch/bjobs.py": "batch/test_lsf.py",
    "jobqueue/batch/moab.py": "batch/test_conformance.py",
    # graphs on a cluster, and in this process
    "jobqueue/client/collections.py": "client/test_graphs.py",
    "jobqueue/multiprocessing.py": "client/test_graphs.py",
    "jobqueue/sync.py": "cluster/test_in_process.py",
    "jobqueue/threaded.py": "cluster/test_in_process.py",
    # runs on engines of IPython Parallel
    "jobqueue/cluster/engine.py": "cluster/test_engines.py",
    # the batch system for machines without one is driven as a user's pool drives it
    "jobqueue/batch/embedded_daemon.py": "batch/test_embedded.py",
    "jobqueue/batch/embedded_sbatch.py": "batch/test_embedded.py",
    "jobqueue/batch/embedded_store.py": "batch/test_embedded.py",
    "jobqueue/cluster/launcher.py": "cluster/test_batch_launcher.py",
    # the parts of a cluster, through whole clusters
    "jobqueue/cluster/batch_cluster.py": "cluster/test_cluster.py",
    "jobqueue/cluster/pool_handle.py": "cluster/test_pools.py",
    # one batch system's commands, run for a launcher
    "jobqueue/cluster/batch_system.py": "cluster/test_batch_launcher.py",
    "jobqueue/cluster/dialect.py": "batch/test_stand_ins.py",
    # what the loop has done for each pool
    "jobqueue/cluster/errands.py": "cluster/test_loop.py",
    "jobqueue/cluster/embedded.py": "cluster/test_cluster.py",
    "jobqueue/cluster/handle.py": "cluster/test_cluster.py",
    "jobqueue/cluster/local_plan.py": "cluster/test_cluster.py",
    "jobqueue/cluster/ownership.py": "cluster/test_cluster.py",
    "jobqueue/cluster/pbs.py": "cluster/test_cluster.py",
    "jobqueue/cluster/plan.py": "cluster/test_cluster.py",
    "jobqueue/cluster/htcondor.py": "batch/test_clusters.py",
    "jobqueue/cluster/lsf.py": "batch/test_clusters.py",
    "jobqueue/cluster/moab.py": "batch/test_clusters.py",
    "jobqueue/cluster/oar.py": "batch/test_clusters.py",
    "jobqueue/cluster/sge.py": "batch/test_clusters.py",
    "jobqueue/cluster/pool.py": "cluster/test_reconcile.py",
    "jobqueue/cluster/slurm.py": "cluster/test_cluster.py",
    "jobqueue/cluster/threads.py": "cluster/test_cluster.py",
    # results reach users through futures, and protocols are what the cluster fulfils
    "jobqueue/client/destination.py": "client/test_session.py",
    "jobqueue/client/protocols.py": "client/test_client_life.py",
    "jobqueue/client/results.py": "client/test_future.py",
    # its words are compared where tasks end without a result
    "scheduler/causes.py": "scheduler/test_lives.py",
    # which workers have room is seen where demands are met, and what things have in common, by each
    "scheduler/candidates.py": "scheduler/test_demands.py",
    "scheduler/thing.py": "scheduler/test_things.py",
    # what messages lead to is seen where peers say them
    "scheduler/states.py": "scheduler/test_state_machine.py",
    "scheduler/handlers.py": "scheduler/test_connections.py",
    # what an agent holds of a worker
    "worker/child.py": "worker/test_agent.py",
    # where errors are raised, their words are compared
    "jobqueue/errors.py": "config/test_checks.py",
    # declarations without behaviour of their own
    "jobqueue/config/rows.py": "config/test_keywords.py",
    "worker/exit_codes.py": "worker/test_supervise.py",
    # what agents and workers are made of, seen from outside
    "worker/chronicle.py": "worker/test_agent.py",
    "worker/orders.py": "worker/test_supervise.py",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package, with the folder where its test file belongs."""
    for folder, mirror in MIRRORED.items():
        for here, below, files in os.walk(ROOT / folder):
            below[:] = [name for name in below if not (Path(here) / name).is_symlink()]
            for name in files:
                if name.endswith(".py") and name != "__init__.py":
                    inner = Path(here).relative_to(ROOT / folder)
                    module = (Path(folder) / inner / name).as_posix()
                    yield module, TESTS / mirror / inner


def has_own_test(module: str, tests: Path) -> bool:
    """Tell whether `test_<module>.py` exists, or a file that goes on from there."""
    stem = Path(module).stem.strip("_")
    return (tests / f"test_{stem}.py").exists() or any(tests.glob(f"test_{stem}_*.py"))


def test_every_module_has_its_test_file():
    """A reader finds a module's tests under its name, or the table, and only it, says where."""
    without = {module for module, tests in modules() if not has_own_test(module, tests)}
    assert sorted(without) == sorted(TESTED_THROUGH)


def test_the_table_of_exceptions_is_true():
    """An exception names a test file that exists."""
    assert not [file for file in TESTED_THROUGH.values() if not (TESTS / file).is_file()]


def test_every_test_states_its_behaviour():
    """A test's docstring says what it holds the code to."""
    silent = [
        f"{file.relative_to(TESTS)}::{node.name}"
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not ast.get_docstring(node)
    ]
    assert not silent
