"""Chance against results on the move: the core's machine, with clients that have results moved."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from jobqueue.scheduler import copies
from jobqueue.scheduler.worker_record import WorkerRecord

_NAME = "jobqueue_core_machine"
_spec = importlib.util.spec_from_file_location(
    _NAME, Path(__file__).with_name("test_state_machine.py")
)
assert _spec is not None
assert _spec.loader is not None
core = importlib.util.module_from_spec(_spec)
sys.modules[_NAME] = core
_spec.loader.exec_module(core)

PICK = core.PICK
PICKS = st.lists(PICK, max_size=4)


class MovesMachine(core.SchedulerMachine):
    """The rules of the core's machine, and those of moves that clients ask for."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: list[Any] = []
        super().__init__()

    def some_keys(self, picks: list[int]) -> list[str]:
        keys = [self.any_key(pick) for pick in picks]
        return [key for key in keys if key is not None]

    def some_workers(self, picks: list[int]) -> list[WorkerRecord] | None:
        workers = [self.worker(pick) for pick in picks]
        return [worker.record for worker in workers if worker is not None] or None

    @rule(which=PICKS, n=st.sampled_from([None, 1, 2, 3]), workers=PICKS)
    def replicate(self, which: list[int], n: int | None, workers: list[int]) -> None:
        self.asked += 1
        self.world.state.transfers.spreading.replicate(
            self.some_keys(which), n, self.some_workers(workers), self.answers.append
        )
        self.world.end_step()

    @rule(which=st.none() | PICKS, workers=PICKS)
    def rebalance(self, which: list[int] | None, workers: list[int]) -> None:
        self.asked += 1
        keys = None if which is None else self.some_keys(which)
        self.world.state.transfers.spreading.rebalance(
            keys, self.some_workers(workers), self.answers.append
        )
        self.world.end_step()

    @rule(
        pick=PICK,
        size=st.sampled_from([12, 50]),
        broadcast=st.sampled_from([None, True, 2]),
        workers=PICKS,
        others=st.booleans(),
    )
    def scatter_to_some(
        self, pick: int, size: int, broadcast: Any, workers: list[int], others: bool
    ) -> None:
        client, key = self.client(pick), self.world.new_name("s")
        client.futures[key] = "pending"
        options: dict[str, Any] = {"broadcast": broadcast} if broadcast else {}
        chosen = self.some_workers(workers)
        if chosen:
            options |= {"workers": [w.name for w in chosen], "allow_other_workers": others}
        value = core.value_of(key, size)
        self.world.state.scatter(client.record, options or None, [(key, value)])
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def large_results_pile_up(self, pick: int, which: int) -> None:
        """One worker ends what it has with large results, which others may get."""
        worker = self.worker(pick)
        if worker is not None:
            worker.work("large")
        self.world.end_step()

    def teardown(self) -> None:
        super().teardown()
        assert len(self.answers) == self.asked, "who asks for moves hears once how they ended"
        transfers = self.world.state.transfers
        assert not transfers.copies.waiting
        assert not transfers.copies.loads
        assert not transfers.copies.arriving


def test_whatever_moves_the_core_stays_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies, moves and broadcasts cross with all else, and each ends, and is answered, once."""
    monkeypatch.setattr(copies, "FANOUT", 1)
    monkeypatch.setattr(copies, "BUSY", 60)  # a large result and a half
    run_state_machine_as_test(MovesMachine, settings=settings(stateful_step_count=50))
