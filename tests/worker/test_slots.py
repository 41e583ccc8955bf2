"""When a worker that has crashed is started again, and when it is not any more."""

from __future__ import annotations

import signal

import pytest

from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.orders import GiveUp, Policy, Postpone, Spawn
from jobqueue.worker.slots import Slot, SlotState

POLICY = Policy()
DELAYS = POLICY.restart_delays


@pytest.fixture
def slot() -> Slot:
    """A slot with a worker that has just been started."""
    slot = Slot(0, POLICY)
    slot.start(0.0)
    return slot


def wait(slot: Slot) -> float:
    """Let the time until its next start pass, and return that."""
    assert slot.state is SlotState.WAITING
    slot.start(slot.since)
    return slot.since


def test_crashes_in_a_row_wait_longer(slot: Slot) -> None:
    """A worker that never gets to work is given up instead of being started over and over."""
    now = 0.0
    for nth, delay in enumerate(DELAYS, 1):
        assert slot.crashed(1, now) == Postpone(0, delay, nth)
        now = wait(slot)
    assert slot.crashed(1, now) == GiveUp(0, len(DELAYS) + 1)
    assert (slot.state, slot.exit_code) == (SlotState.ENDED, ExitCode.CRASHED)
    slot.validate()


def test_workers_that_worked_are_given_more_chances(slot: Slot) -> None:
    """One bad task after another kills them; the node is well, and others have work for it."""
    now = 0.0
    for nth in range(1, POLICY.patience + 1):
        assert slot.crashed(-11, now, worked=True) == Postpone(0, DELAYS[min(nth, 4) - 1], nth)
        now = wait(slot)
    assert slot.crashed(-11, now, worked=True) == GiveUp(0, POLICY.patience + 1)


def test_a_failed_start_after_crashes_at_work_is_one_failed_start(slot: Slot) -> None:
    """A worker killed while it began, after several that had worked, is no reason to give up."""
    for _ in range(8):
        slot.crashed(-9, slot.since, worked=True)
        wait(slot)
    assert isinstance(slot.crashed(-9, slot.since), Postpone)


def test_workers_killed_for_their_memory_are_never_given_up(slot: Slot) -> None:
    """The first is replaced at once; in a row of them, each a little later."""
    now = 0.0
    assert slot.crashed(ExitCode.MEMORY, now, worked=True) == Spawn(0)
    for nth in range(2, 100):
        delay = DELAYS[min(nth - 1, 4) - 1]
        assert slot.crashed(ExitCode.MEMORY, now, worked=True) == Postpone(0, delay, nth)
        now = wait(slot)


def test_a_limit_that_no_worker_can_keep_gives_it_up(slot: Slot) -> None:
    """Those that never got to work are crashes like others, whatever killed them."""
    now = 0.0
    for _ in DELAYS:
        slot.crashed(ExitCode.MEMORY, now, memory=True)
        now = wait(slot)
    assert slot.crashed(ExitCode.MEMORY, now, memory=True) == GiveUp(0, 5)
    assert slot.short_of_memory


@pytest.mark.parametrize("status", [1, -signal.SIGSEGV, ExitCode.MEMORY])
def test_a_worker_that_its_task_has_ended_is_there_again_at_once(slot: Slot, status: int) -> None:
    """A bad task or three need not cost the others time; if it goes on, the delays begin."""
    for _ in range(POLICY.prompt):
        assert slot.crashed(status, slot.since, worked=True, busy=True) == Spawn(0)
    delays = []
    for _ in range(5):
        action = slot.crashed(status, slot.since, worked=True, busy=True)
        assert isinstance(action, Postpone)
        delays.append(action.delay)
        wait(slot)
    assert tuple(delays) == (*DELAYS, DELAYS[-1])


def test_a_worker_that_is_killed_from_outside_may_be_the_first_of_its_job(slot: Slot) -> None:
    """So another one is not started before all others would have been killed as well."""
    for nth in range(1, POLICY.prompt + 1):
        action = slot.crashed(-signal.SIGKILL, slot.since, worked=True, busy=True)
        assert action == Postpone(0, DELAYS[0], nth)
        wait(slot)


@pytest.mark.parametrize("how", [{"busy": True}, {"worked": True}])
def test_crashes_of_a_worker_without_tasks_are_its_own(slot: Slot, how: dict[str, bool]) -> None:
    """One that cannot start, or that dies of nothing, is not started over and over."""
    assert slot.crashed(1, 1.0, **how) == Postpone(0, DELAYS[0], 1)


def test_a_long_run_forgives_earlier_crashes(slot: Slot) -> None:
    """A worker that crashes now and then is restarted without end."""
    for _ in range(20):
        assert slot.crashed(-11, slot.since + POLICY.settled) == Postpone(0, DELAYS[0], 1)
        wait(slot)


def test_so_does_asking_for_another_worker(slot: Slot) -> None:
    """Which is no crash, and as if none had been."""
    slot.crashed(1, 0.0)
    assert slot.start_anew(1.0) == Spawn(0)
    assert slot.crashed(1, 2.0) == Postpone(0, DELAYS[0], 1)
