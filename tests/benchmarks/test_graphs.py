"""The graphs that are compared, and the table of what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import graphs
from benchmarks.contenders import OURS
from benchmarks.graphs import PEER, SHAPES, Phases, document, time_phases

pytest.importorskip("dask.array", reason="dask's arrays are not installed")


class InThisProcess:
    """A client whose graphs are sent nowhere."""

    def get(self, dsk: Any, keys: Any) -> Any:
        from jobqueue import sync

        self.send()
        return sync.get(dsk, keys)

    def send(self) -> None:
        """Do what a client does before it waits."""


@pytest.mark.parametrize("shape", SHAPES)
def test_each_graph_has_the_value_that_is_expected(shape: str):
    """Of any size; each phase has its time."""
    client = InThisProcess()
    for tasks in (2, 7, 30):
        phases = time_phases(client, "send", shape, tasks)
        assert min(phases) > 0


def test_a_wrong_value_is_no_figure(monkeypatch: pytest.MonkeyPatch):
    """It is an error."""
    monkeypatch.setitem(graphs.SHAPES, "array", lambda tasks: (graphs.array(tasks)[0], -1))
    with pytest.raises(ValueError, match="a wrong value"):
        time_phases(InThisProcess(), "send", "array", 5)


def test_ratios_are_taken_within_rounds():
    """And what failed is said to have failed."""
    figures = {
        ("bag", OURS): {0: Phases(0.1, 0.2, 0.7), 1: Phases(0.1, 0.1, 1.8)},
        ("bag", PEER): {0: Phases(1.0, 1.0, 6.0), 1: Phases(1.0, 1.0, 8.0)},
        ("array", OURS): {0: Phases(0.1, 0.1, 0.8)},
        ("array", PEER): {},
    }
    lines = document(figures, tasks=1000, rounds=2).splitlines()
    assert lines[0] == "Graphs of 1,000 tasks, medians of 2 rounds."
    assert lines[4] == (
        f"| bag | {OURS} | 100 ms | 150 ms | 1.25 s | 1.50 s | 1.50 ms | 6.5 (≥ 5) |"
    )
    assert lines[5].startswith(f"| bag | {PEER} | 1.00 s |")
    assert lines[6].endswith("| 1.00 ms |  |")
    assert lines[7] == f"| array | {PEER} | failed | | | | | |"
