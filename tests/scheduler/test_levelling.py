"""Which worker gets a result that has to go somewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.scheduler.levelling import LeastFilled, even_out
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import MEMORY
from jobqueue.scheduler.worker_record import WorkerRecord


def filled(*sizes: int, name: str = "w") -> WorkerRecord:
    """A worker that holds results of these sizes."""
    worker = WorkerRecord(name, 1, addresses=(f"at {name}",))
    for number, nbytes in enumerate(sizes):
        task = Task(f"{name}-{number}", None, None, number, ())
        task.state = MEMORY
        task.nbytes = nbytes
        task.holders = {worker}
        worker.holds.add(task)
        worker.stored += nbytes
    return worker


def stored(worker: WorkerRecord) -> int:
    return worker.stored


def test_the_least_filled_worker_gets_the_next_one():
    """And is less empty then."""
    one, two = filled(5, name="w1"), filled(7, name="w2")
    room = LeastFilled([one, two], stored)
    assert [room.take(4) for _ in range(4)] == [one, two, one, two]
    assert room.take(1, besides={one}) is two
    assert room.take(1, besides={one, two}) is None
    assert room.take(100, below=50) is None
    assert LeastFilled([], stored).take(1) is None


def test_several_are_different_workers():
    """As many as there are, at most."""
    workers = [filled(size, name=f"w{size}") for size in (3, 1, 2)]
    room = LeastFilled(workers, stored)
    assert [w.name for w in room.several(2, 10)] == ["w1", "w2"]
    assert [w.name for w in room.several(9, 10)] == ["w3", "w1", "w2"]
    assert [w.name for w in room.several(9, 10, besides={workers[0]})] == ["w1", "w2"]
    assert room.several(-1, 10) == []


def test_results_move_from_the_full_to_the_empty():
    """As few of them as even it out, the large ones first."""
    full, empty = filled(40, 30, 20, 10, name="full"), filled(name="empty")
    moves = even_out([full, empty], stored)
    assert {(move.source, move.target) for move in moves} == {(full, empty)}
    assert [move.task.nbytes for move in moves] == [40, 10]


def test_what_is_even_stays():
    """Nothing is moved for a few bytes, nor back and forth."""
    workers = [filled(100, 1, name="w1"), filled(100, name="w2")]
    assert even_out(workers, stored) == []
    assert even_out([filled(100)], stored) == []
    assert even_out([], stored) == []
    assert even_out([filled(100, name="w1"), filled(name="w2")], stored) == [], "it is but one"


def test_a_paused_worker_gets_nothing_and_gives():
    """It is short of memory."""
    full, empty, paused = filled(10, 10, name="full"), filled(name="w2"), filled(10, 10, name="w3")
    paused.paused = "80 % of its memory is in use"
    other = filled(name="w4")
    other.paused = "the same"
    moves = even_out([full, empty, paused, other], stored)
    assert {move.target for move in moves} == {empty}
    assert paused in {move.source for move in even_out([paused, empty], stored)}


def test_only_those_move_that_may():
    """Not actors, not what the scheduler holds too, and not what nobody asked to move."""
    full, empty = filled(10, 10, 10, 10, name="full"), filled(name="empty")
    actor, held, one, other = sorted(full.holds, key=lambda task: task.key)
    actor.options = {"actor": True}
    held.value = b"value"
    assert {move.task for move in even_out([full, empty], stored)} == {one, other}
    assert [move.task for move in even_out([full, empty], stored, [actor, one])] == [one]


@given(st.lists(st.lists(st.integers(1, 100), max_size=8), min_size=2, max_size=6))
def test_moving_never_makes_it_worse(sizes):
    """The fullest worker is no fuller afterwards, and each result moves once."""
    workers = [filled(*each, name=f"w{number}") for number, each in enumerate(sizes)]
    before = {worker: worker.stored for worker in workers}
    after = dict(before)
    moves = even_out(workers, stored)
    for move in moves:
        assert move.source is not move.target
        after[move.source] -= move.task.nbytes
        after[move.target] += move.task.nbytes
    assert len({move.task for move in moves}) == len(moves)
    assert max(after.values()) <= max(before.values())
    assert max(after.values()) - min(after.values()) <= max(before.values()) - min(before.values())
