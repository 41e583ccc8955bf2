"""The functions that tasks name."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue.errors import SerializationError, TaskError
from jobqueue.protocol import serialize
from jobqueue.protocol.serialize import dumps_function
from jobqueue.worker.functions import Functions


def test_a_function_is_unpickled_once():
    """However many tasks name it."""
    functions = Functions()
    fid, pickle = dumps_function(lambda x: x + 1)
    functions.add(fid, "lambda", pickle)
    function = functions.load(fid)
    assert function(1) == 2
    assert functions.loaded == {fid: function}


def test_what_is_forgotten_takes_no_memory():
    """Neither its pickle nor what was made of it; it may be sent again."""
    functions = Functions()
    fid, pickle = dumps_function(divmod)
    functions.add(fid, "divmod", pickle)
    functions.load(fid)
    functions.forget([fid, b"never heard of"])
    assert len(functions) == 0
    assert functions.loaded == {}
    with pytest.raises(TaskError, match="does not have the task's function"):
        functions.load(fid)
    functions.add(fid, "divmod", pickle)
    assert functions.load(fid) is divmod
    functions.clear()
    assert len(functions) == 0


def test_one_that_cannot_be_read_is_named():
    """The user knows it by its name, not by a digest."""
    functions = Functions()
    functions.add(b"f", "my_function", b"garbage")
    with pytest.raises(SerializationError, match="function 'my_function'"):
        functions.load(b"f")


class Imports:
    """Says, as it is unpickled, whether another is at the same time."""

    meeting = threading.Barrier(2)
    met = False

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> int:
        return self.number

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.number,)


def _unpickled(number: int) -> Imports:
    with contextlib.suppress(threading.BrokenBarrierError):
        Imports.meeting.wait(0.5)  # which is in vain, if all is well
        Imports.met = True
    return Imports(number)


def test_functions_are_unpickled_one_at_a_time():
    """Two threads that import modules which import each other meet some that are half made."""
    functions, fids = Functions(), []
    for number in range(2):
        fid, pickle = dumps_function(Imports(number))
        functions.add(fid, "imports", pickle)
        fids.append(fid)
    Imports.met = False
    Imports.meeting.reset()
    with ThreadPoolExecutor(3) as threads:
        loaded = list(threads.map(functions.load, [*fids, fids[0]]))
    assert [one() for one in loaded] == [0, 1, 0]
    assert loaded[0] is loaded[2]
    assert not Imports.met


class Computes:
    """Has something computed in another thread as it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _computed, ()


def _computed() -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(loader.functions.load, loader.fid).result()


loader: Any = SimpleNamespace()


def test_a_function_that_computes_as_it_is_unpickled(monkeypatch: pytest.MonkeyPatch):
    """It may wait for a task in another thread, whose function is unpickled beside it then."""
    monkeypatch.setattr(serialize, "PATIENCE", 0.1)
    loader.functions = functions = Functions()
    loader.fid, pickle = dumps_function(divmod)
    functions.add(loader.fid, "divmod", pickle)
    fid, pickle = dumps_function(Computes())  # type: ignore[arg-type]
    functions.add(fid, "computes", pickle)
    assert functions.load(fid) is divmod
