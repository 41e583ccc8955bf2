"""What users import, and what the page about it says."""

from __future__ import annotations

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue import Client, Future, as_completed, errors

ROOT = Path(__file__).resolve().parents[1]


def test_public_names():
    """Every public name is there, and listed."""
    for name in jobqueue.__all__:
        assert getattr(jobqueue, name).__name__ == name
        assert name in dir(jobqueue)
    assert jobqueue.__version__
    with pytest.raises(AttributeError, match="has no attribute 'Sheduler'"):
        jobqueue.Sheduler  # noqa: B018


def test_names_that_other_libraries_have():
    """What users catch and call under these names is what they mean."""
    assert jobqueue.TimeoutError is TimeoutError
    assert jobqueue.CancelledError is errors.TaskCancelled
    assert jobqueue.default_client is jobqueue.get_client
    assert {"CancelledError", "TimeoutError", "default_client"} <= set(dir(jobqueue))


@pytest.mark.parametrize(
    "expression",
    [
        "config.set",
        "config.explain",
        "errors.JobQueueError",
        "multiprocessing.get",
        "sync.get",
        "threaded.get",
    ],
)
def test_modules_that_users_name_in_full(expression):
    """`import jobqueue` is enough for them, as the pages show it."""
    code = f"import jobqueue; print(callable(jobqueue.{expression}), *dir(jobqueue))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("True "), done.stderr
    assert expression.partition(".")[0] in done.stdout.split()


def test_public_things_are_documented():
    """Whatever users can call says what it does."""
    things = [getattr(jobqueue, name) for name in jobqueue.__all__]
    for thing in things:
        assert inspect.getdoc(thing)
    for kind in (Client, Future, as_completed):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.getdoc(method), f"{kind.__name__}.{name}"


def test_the_tree_of_errors_is_true():
    """The tree at the top of `jobqueue.errors` shows each exception below its base."""
    bases: list[str] = []
    shown = {}
    for line in (errors.__doc__ or "").splitlines():
        stripped = line.lstrip(" │├└─")
        if line.startswith("    ") and stripped and getattr(errors, stripped.split()[0], None):
            depth = (len(line) - len(stripped) - 4) // 4
            name = stripped.split()[0]
            bases[depth:] = [name]
            shown[name] = bases[depth - 1] if depth else None
    defined = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }
    assert set(shown) == set(defined)
    for name, base in shown.items():
        if base is not None:
            assert issubclass(defined[name], defined[base])


def test_importing_costs_next_to_nothing():
    """`import jobqueue` imports none of its own modules, nor asyncio, until a name is used."""
    code = "import sys, jobqueue; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = set(done.stdout.split())
    assert not {name for name in names if name.startswith("jobqueue.")}
    assert not names & {"asyncio", "cloudpickle", "msgpack", "psutil", "ssl"}


HEAVY = {
    "argparse", "decimal", "difflib", "fractions", "getpass", "html", "importlib.resources",
    "platform", "statistics", "uuid",
}  # fmt: skip
"""Of the standard library, what takes milliseconds and few programs need."""


@pytest.mark.parametrize(
    ("names", "unneeded"),
    [
        (
            "Client, LocalCluster",
            {
                "jobqueue.config.keywords",
                "jobqueue.config.load",
                "jobqueue.cluster.ledger",
                "jobqueue.cluster.snapshot",
                "jobqueue.graph",
            },
        ),
        ("Client, SLURMCluster", {"jobqueue.config.origins", "jobqueue.graph", "jinja2", "yaml"}),
    ],
)
def test_importing_what_programs_begin_with(names, unneeded):
    """It brings what they are about to use; graphs, tables of keywords and the like come later."""
    code = f"import sys; from jobqueue import {names}; print(*sys.modules)"
    # Without what the environment imports at its start, which is no business of ours.
    command = [sys.executable, "-S", "-c", code]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    assert not (HEAVY | unneeded) & set(done.stdout.split())


@pytest.mark.parametrize(
    ("page", "needs"),
    [
        ("futures.md", []),
        ("coordination.md", []),
        ("beyond-futures.md", []),
        ("dask.md", ["dask.array"]),
        ("front-doors.md", ["dask.array", "joblib"]),
    ],
)
def test_the_examples_of_pages(page, needs):
    """Every example of a page does what it says."""
    for name in needs:
        pytest.importorskip(name)
    text = (ROOT / "docs" / page).read_text()
    prelude = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, Any] = {}
    exec(prelude, names)
    examples = "".join(
        block.split("```", 1)[0] for block in text.split("```python\n") if block.startswith(">>>")
    )
    test = doctest.DocTestParser().get_doctest(examples, names, page, None, 0)
    report: list[str] = []
    with names["cluster"], names["client"]:  # pages leave them open, as users at a prompt do
        results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not results.failed, "".join(report)
    assert results.attempted > 15
