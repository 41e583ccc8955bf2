"""What goes wrong in tasks, and on the way to them: one clear error, and the cluster goes on."""

from __future__ import annotations

import threading
import traceback

import pytest

from jobqueue.errors import KilledWorker, SerializationError, TaskError


@pytest.fixture(autouse=True)
def goes_on(client):
    """After each of these the cluster computes as before."""
    yield
    assert client.gather(client.map(abs, range(-4, 0)), errors="raise") == [4, 3, 2, 1]


def test_an_exception_arrives_as_itself(client):
    """Type, arguments and notes are kept; the remote traceback is what a user sees printed."""

    def inner(x):
        error = KeyError("missing", x)
        error.add_note("look elsewhere")
        raise error

    def outer(x):
        return inner(x)

    future = client.submit(outer, 5)
    with pytest.raises(KeyError) as caught:
        future.result(30)
    assert caught.value.args == ("missing", 5)
    printed = "".join(traceback.format_exception(caught.value))
    assert "Traceback on worker local-" in printed
    assert "in outer" in printed
    assert "in inner" in printed
    assert "look elsewhere" in printed
    assert "executor.py" not in printed  # frames of ours are of no use to the author of the task


def test_a_chain_of_exceptions_is_shown(client):
    """The cause of a task's exception stands in its remote traceback."""

    def convert(text):
        try:
            return int(text)
        except ValueError as error:
            raise RuntimeError("no number") from error

    error = client.submit(convert, "x").exception(30)
    assert type(error) is RuntimeError
    printed = "".join(traceback.format_exception(error))
    assert "invalid literal for int() with base 10: 'x'" in printed
    assert "direct cause" in printed


def test_what_an_error_of_a_future_tells(client):
    """Status, exception, traceback and repr of a future whose task raised."""
    future = client.submit(lambda: 1 / 0)
    assert isinstance(future.exception(30), ZeroDivisionError)
    assert future.status == "error"
    assert future.done()
    assert not future.cancelled()
    assert "ZeroDivisionError: division by zero" in future.traceback(30)
    assert repr(future) == (
        f"<Future: error, key: {future.key}, ZeroDivisionError: division by zero>"
    )
    fine = client.submit(abs, -1)
    assert fine.exception(30) is None
    assert fine.traceback(30) is None


def test_each_result_raises_an_exception_of_its_own(client):
    """Raising the same failure several times does not pile up tracebacks."""
    future = client.submit(lambda: 1 / 0)
    lengths = set()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError) as caught:
            future.result(30)
        lengths.add(len(traceback.format_exception(caught.value)))
    assert len(lengths) == 1


def test_dependents_fail_with_the_same_exception(client):
    """What needs a failed task raises what that one raised."""
    future = client.submit(lambda: 1 / 0)
    dependent = client.submit(abs, client.submit(abs, future))
    with pytest.raises(ZeroDivisionError):
        dependent.result(30)
    future.exception(30)
    with pytest.raises(ZeroDivisionError):  # one that comes later, too
        client.submit(abs, future).result(30)


def test_an_exception_that_cannot_be_pickled(client):
    """It arrives as a TaskError that says what it was, with its traceback."""

    class WithLock(Exception):
        def __init__(self):
            super().__init__("has a lock")
            self.lock = threading.Lock()

    class TwoArguments(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first} and {second}")

    for error in (WithLock, lambda: TwoArguments(1, 2)):

        def fail(error=error):
            raise error()

        with pytest.raises(TaskError, match="cannot be pickled") as caught:
            client.submit(fail).result(30)
        assert "has a lock" in str(caught.value) or "TwoArguments: 1 and 2" in str(caught.value)
        assert "in fail" in "".join(traceback.format_exception(caught.value))


def test_an_exception_that_cannot_be_printed(client):
    """A `__str__` that raises spoils nothing."""

    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("not today")

    def fail():
        raise Silent

    error = client.submit(fail).exception(30)
    assert type(error).__name__ == "Silent"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exits_end_the_task_not_the_worker(client, kind):
    """`sys.exit()` and the like in a task are an error of the task."""

    def leave():
        raise kind("bye")

    with pytest.raises(TaskError, match=f"the task raised {kind.__name__}: bye"):
        client.submit(leave).result(30)


def test_stop_iteration(client):
    """Even this one arrives as itself, and ends no loop by mistake."""
    future = client.submit(next, iter([]))
    assert isinstance(future.exception(30), StopIteration)
    with pytest.raises(StopIteration):
        future.result(30)


def test_recursion(client):
    """A task that recurses without end raises RecursionError."""

    def dive(n):
        return dive(n + 1)

    with pytest.raises(RecursionError):
        client.submit(dive, 0).result(30)


def test_an_unpicklable_function(client):
    """It is named, with what pickle said; other calls of other functions go on."""
    lock = threading.Lock()

    def locked():
        return lock

    with pytest.raises(SerializationError, match=r"function '.*locked' cannot be pickled: TypeErr"):
        client.submit(locked)
    with pytest.raises(SerializationError, match="locked"):
        client.map(locked, [])


def test_a_function_over_large_data(client):
    """Data do not travel as part of a function; some do no harm."""
    import numpy

    small, large = numpy.ones(100_000), numpy.ones(10_000_000)
    assert client.submit(lambda: small.sum()).result(30) == 100_000
    with pytest.raises(SerializationError, match=r"takes 76 MiB, .* pass that as an argument"):
        client.submit(lambda: large.sum())


def test_something_that_is_no_function(client):
    """What cannot be called is refused before anything is sent."""
    with pytest.raises(SerializationError, match=r"\(5\) is not callable: pass a function first"):
        client.submit(5, 1)


def test_an_unpicklable_argument_is_named(client):
    """Function and place of the argument are named; the function can still be called."""

    def use(value, option=None):
        return value

    lock = threading.Lock()
    with pytest.raises(SerializationError, match=r"argument 2 of use: .*_thread\.lock"):
        client.submit(use, 1, lock)
    with pytest.raises(SerializationError, match=r"argument 'option' of use: .*_thread\.lock"):
        client.submit(use, 1, option=[lock])
    with pytest.raises(SerializationError, match=r"argument 1 of use: .*_thread\.lock"):
        client.map(use, [1, lock])
    assert client.submit(use, 1).result(30) == 1


def test_an_unpicklable_value_in_scatter(client):
    """Nothing is scattered, and the error says what it was."""
    with pytest.raises(SerializationError, match=r"_thread\.lock"):
        client.scatter([1, threading.Lock()])


def test_arguments_nested_too_deeply(client):
    """A nesting beyond Python's recursion limit is refused with a remedy."""
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="nested too deeply"):
        client.submit(len, deep)
    while deep:  # taken apart step by step: the collector is recursive too
        deep = deep[0]


def test_nesting_that_python_can_take(client):
    """Some hundred levels are no trouble."""
    deep: list = []
    for _ in range(300):
        deep = [deep]
    assert client.submit(lambda x: x, deep).result(30) == deep


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        lambda: (x for x in range(3)),
        lambda: [b"x" * 10**6, threading.Lock()],
    ],
    ids=["lock", "generator", "large"],
)
def test_results_that_cannot_be_sent(client, make):
    """A lock, a generator, or something large that holds one: the task's error."""
    future = client.submit(make)
    with pytest.raises(SerializationError, match=f"result of task '{future.key}' cannot be sent"):
        future.result(30)


def test_an_argument_that_cannot_be_unpickled(client):
    """What fails to unpickle at the worker is an error of the task, and says so."""

    def explode():
        raise ValueError("not here")

    class Bomb:
        def __reduce__(self):
            return explode, ()

    with pytest.raises(SerializationError, match="could not be read here: ValueError: not here"):
        client.submit(len, Bomb()).result(30)


def test_a_result_that_cannot_be_unpickled(client):
    """What fails to unpickle at the client names its task."""

    def make():
        def explode(pid):
            import os

            if os.getpid() != pid:
                raise ValueError("not here")

        class Bomb:
            def __reduce__(self):
                import os

                return explode, (os.getpid(),)

        return Bomb()

    future = client.submit(make)
    with pytest.raises(SerializationError, match=f"'{future.key}' cannot be unpickled here"):
        future.result(30)


def test_wrong_arguments(client):
    """A call that does not fit the function raises what Python raises."""
    with pytest.raises(TypeError, match="argument"):
        client.submit(lambda x: x, 1, 2).result(30)


@pytest.mark.parametrize("how", ["exit", "signal"])
def test_a_task_that_kills_its_workers(own_client, how):
    """After three dead workers the task is given up, and the next ones are computed."""

    def die(how):
        import os
        import signal

        if how == "exit":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL)

    future = own_client.submit(die, how)
    innocent = own_client.submit(abs, -1)
    with pytest.raises(KilledWorker, match=f"task '{future.key}' was running on 3 workers that"):
        future.result(60)
    assert future.status == "error"
    assert innocent.result(60) == 1


def test_results_of_a_worker_that_dies_are_computed_again(own_client):
    """A large result that was only there comes back, and what depends on it."""

    def die_once(path):
        import os

        try:
            os.mkdir(path)
        except FileExistsError:
            return "survived"
        os._exit(1)

    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        large = own_client.submit(bytes, 1_000_000)
        large.exception(30)
        assert own_client.submit(die_once, str(Path(folder) / "died")).result(60) == "survived"
        assert own_client.submit(len, large).result(60) == 1_000_000
        assert len(large.result(30)) == 1_000_000
