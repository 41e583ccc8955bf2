"""Clocks around stages: every stage exists, none is counted twice."""

import importlib
import time

import pytest

from benchmarks import stages


@pytest.mark.parametrize("stage", stages.STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_a_function_of_the_package(stage):
    """Who renames one learns here that the profile goes by its name."""
    owner = importlib.import_module(stage.module)
    for part in stage.name.split("."):
        owner = getattr(owner, part)
    assert callable(owner)


def test_a_stage_inside_another_is_not_counted_twice():
    """Each has its own processor time only; calls are counted, and marks come in pairs."""

    def spin(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    inner = stages.timed("inner", lambda: spin(0.02))

    def outer():
        inner()
        inner()
        spin(0.01)

    stages.report()
    stages.timed("outer", outer)()
    account, clocks, marks = stages.report()
    assert account["MainThread", "inner"][0] == 2
    assert account["MainThread", "inner"][1] >= 0.04
    assert 0.01 <= account["MainThread", "outer"][1] < account["MainThread", "inner"][1]
    assert clocks["MainThread"] > 0.05
    assert [(label, ended) for _, label, ended in marks] == [
        ("outer", False),
        ("inner", False),
        ("inner", True),
        ("inner", False),
        ("inner", True),
        ("outer", True),
    ]
    assert stages.report().account == {}


def test_what_raises_is_counted_as_well():
    """The exception goes on, and the account is right."""

    def fail():
        raise ValueError("of the stage")

    with pytest.raises(ValueError, match="of the stage"):
        stages.timed("fails", fail)()
    assert stages.report().account["MainThread", "fails"][0] == 1
