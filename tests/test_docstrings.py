"""The examples in docstrings: each does what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import jobqueue

# Importing it runs the command
COMMANDS = {"jobqueue.worker.__main__"}

MODULES = sorted(
    {found.name for found in pkgutil.walk_packages(jobqueue.__path__, "jobqueue.")} - COMMANDS
)


def examples_of(name: str) -> list[doctest.DocTest]:
    """Every docstring of a module that holds an example."""
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    """What a docstring shows is what a reader gets who types it in."""
    report: list[str] = []
    for test in examples_of(name):
        doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)


def test_examples_are_found() -> None:
    """The search above has not come to nothing, in the mapped folders either."""
    for name in ("jobqueue.config.units", "jobqueue.worker.watch", "jobqueue.scheduler.server"):
        assert examples_of(name), name
