"""The profile's arithmetic, and that it runs with the package as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import profile
from benchmarks.stages import Report

CHECKOUT = Path(profile.__file__).parents[1]


def test_what_no_stage_accounts_for_is_the_rest():
    """Stages and rest make up what the kernel says a thread had; idle threads are left out."""
    after = Report(
        account={("loop", "place"): (10, 0.002), ("loop", "pack"): (2, 0.003), ("a", "b"): (1, 1)},
        clocks={"loop": 1.010, "idle": 0.5, "task": 0.004},
        marks=[],
    )
    lines = list(profile.per_task("here", {"loop": 1.0, "idle": 0.5}, after, tasks=1000))
    assert [(thread, stage) for thread, stage, _ in lines] == [
        ("here: loop", "pack"),
        ("here: loop", "place"),
        ("here: loop", "the rest"),
        ("here: task", "all"),
    ]
    assert [cost for *_, cost in lines] == pytest.approx([3.0, 2.0, 5.0, 4.0])


def test_a_way_has_each_step_once_and_incomplete_ones_are_left_out():
    """Threads overlap: steps may come in any order between a task's beginning and its end."""
    marks = {profile.HERE: [], profile.THERE: []}
    for began in (0.0, 100.0, 200.0):
        order = [0, 2, 1, *range(3, len(profile.STEPS))]
        for place, number in enumerate(order):
            step = profile.STEPS[number]
            if (began, number) != (100.0, 5):
                marks[step.process].append((began + place, step.label, step.ended))
    first, second = profile.timelines(marks)
    assert first == second == [0.0, 2.0, 1.0, *range(3, len(profile.STEPS))]


def test_it_runs():
    """Both tables come out, with every step of single tasks."""
    command = [sys.executable, "-m", "benchmarks.profile", "--tasks", "200", "--round-trips", "20"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT)
    assert "| client and scheduler: jobqueue-loop | scheduler: place |" in done.stdout
    assert "| worker: jobqueue-task-0 | all |" in done.stdout
    assert "| step of a single task, medians of 20 |" in done.stdout
    assert done.stdout.count("\n| ") >= len(profile.STEPS) + 10
