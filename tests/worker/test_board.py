"""What a worker is running, as its agent reads it after the worker's death."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobqueue.worker.board import KEYS, SLOTS, Board, SharedBoard, note
from jobqueue.worker.launch import start_worker
from jobqueue.worker.options import WorkerOptions

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no such memory here")

WORKER = """
import os, sys
from jobqueue.worker.board import Board, note
from jobqueue.worker.options import WorkerOptions
board = Board(WorkerOptions.from_json(sys.stdin.readline()).board)
for key in "inc-1", "ended", "Größe-2":
    memory, at = board.take()
    note(memory, at, key.encode())
    if key == "ended":
        memory[at] = 0
if os.fork() == 0:
    os.execlp("ls", "ls", "/proc/self/fd")
os.wait()
os.abort()
"""


@pytest.fixture
def shared() -> Iterator[SharedBoard]:
    shared = SharedBoard.make()
    assert shared is not None
    yield shared
    shared.close()


@pytest.fixture
def board(shared: SharedBoard) -> Board:
    """The other end."""
    return Board(os.dup(shared.fd))


def test_a_dead_worker_names_what_it_was_running(
    shared: SharedBoard, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not what had ended; and what its tasks start does not inherit the page."""
    options = WorkerOptions(addresses=("unix:///s",), name="w")
    with start_worker([sys.executable, "-c", WORKER], options, shared) as process:
        assert process.wait(60) == -signal.SIGABRT
    assert shared.running() == ["inc-1", "Größe-2"]
    assert shared.ended() == ["ended"]
    assert capfd.readouterr().out.split() == ["0", "1", "2", "3"], "ls itself needs the fourth"


def test_any_text_is_a_key(shared: SharedBoard, board: Board) -> None:
    """Also one that UTF-8 has no bytes for, in the name of a file perhaps."""
    note(*board.take(), "load-\udcff".encode(*KEYS))
    assert shared.running() == ["load-\udcff"]


def test_a_slot_is_used_again(shared: SharedBoard, board: Board) -> None:
    """Threads come and go; what one has left there is wiped out."""
    for number in range(3 * SLOTS):
        slot = board.take()
        note(*slot, f"task-{number}".encode())
        assert shared.running() == [f"task-{number}"]
        board.give_back(slot)
        assert shared.running() == []


def test_a_key_that_does_not_fit(shared: SharedBoard, board: Board) -> None:
    """Nobody is blamed in its stead: nothing is known while it runs."""
    (memory, at), other = board.take(), board.take()
    note(*other, b"short")
    note(memory, at, b"k" * 254)
    assert shared.running() == ["k" * 254, "short"]
    for length in (255, 256, 5000):
        note(memory, at, b"k" * length)
        assert shared.running() is None
    memory[at] = 0
    assert shared.running() == ["short"]


def test_more_threads_than_slots(shared: SharedBoard, board: Board) -> None:
    """Nothing is known any more, and no thread gets the slot of another."""
    slots = [board.take() for _ in range(SLOTS - 1)]
    for number, slot in enumerate(slots):
        note(*slot, f"task-{number}".encode())
    assert shared.running() == [f"task-{number}" for number in range(SLOTS - 1)]
    surplus = board.take()
    note(*surplus, b"one more")
    assert shared.running() is None
    board.give_back(surplus)
    assert board.take() is not slots[0]


def test_threads_take_slots_at_the_same_time(board: Board) -> None:
    """Each has its own."""
    together = threading.Barrier(8)

    def take() -> list[int]:
        together.wait(20)
        return [board.take()[1] for _ in range(4)]

    with ThreadPoolExecutor(8) as threads:
        places = [at for taken in threads.map(lambda _: take(), range(8)) for at in taken]
    assert len(set(places)) == len(places) == 32


def test_a_worker_that_nobody_watches() -> None:
    """An object in a program: it writes where nobody reads."""
    board = Board(None)
    slot = board.take()
    note(*slot, b"inc-1")
    board.give_back(slot)


def test_a_system_without_such_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no board, and all else goes on."""
    monkeypatch.setattr(os, "memfd_create", lambda name: (_ for _ in ()).throw(OSError("no")))
    assert SharedBoard.make() is None
    monkeypatch.delattr(os, "memfd_create")
    assert SharedBoard.make() is None
