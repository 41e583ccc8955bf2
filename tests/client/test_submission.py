"""What a client says for what is submitted to it; and what a cluster makes of that."""

from __future__ import annotations

import functools
import gc
import operator
import os
import signal
import types
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy
import pytest

from jobqueue import annotate, wait
from jobqueue.client.connection import Connection
from jobqueue.client.submission import Submission
from jobqueue.errors import ClientClosed, ConfigError, DataLost, SerializationError
from jobqueue.protocol import messages as m


class Said:
    """A submission, and what it has said."""

    def __init__(self) -> None:
        self.connection = Connection(on_outage=print, on_closed=print)
        self.submission = Submission(self.connection)
        self.submission.start()

    def take(self) -> list:
        said = list(self.connection._outbox)
        self.connection._outbox.clear()
        return said

    def submit(self, function, *args, key=None, pure=False, options=None):
        return self.submission.submit(self, function, args, {}, key, pure, options)

    def map(self, function, *iterables, key=None, options=None, batch_size=None):
        return self.submission.map(self, function, iterables, {}, key, False, options, batch_size)


@pytest.fixture
def said():
    """A submission that is connected to nobody."""
    return Said()


def test_a_call_is_one_message(said):
    """After its function, which is said once."""
    state = said.submit(abs, -1)
    (functions, (fid, name, _)), (submit, called, options, [(key, _, inputs)]) = [
        (message[0], message[1][0]) if message[0] == m.FUNCTIONS else message
        for message in said.take()
    ]
    assert (functions, submit, name, called) == (m.FUNCTIONS, m.SUBMIT, "abs", fid)
    assert (key, options, inputs) == (state.key, None, None)
    said.submit(abs, -2)
    assert [message[0] for message in said.take()] == [m.SUBMIT]


def test_a_key_of_ones_own_travels_with_what_it_stands_for(said):
    """So that the scheduler can tell other work under the same key, also other clients'."""
    said.submit(abs, -1, key="mine", options={"retries": 1})
    said.submit(abs, -1, key="mine")
    said.map(abs, [-1, -2], key=["mine", "other"])
    options = [message[2] for message in said.take() if message[0] == m.SUBMIT]
    digests = [one["digest"] for one in options]
    assert options[0]["retries"] == 1
    assert digests[0] == digests[1] == digests[2] != digests[3]


def _times(factor):
    def decorate(method):
        def wrapper(self, x):
            return method(self, x) * factor

        return wrapper

    return decorate


def _methods():
    """Methods that go by one name, of classes that travel by value."""

    class Base:
        def name(self):
            return "base"

        double = _times(2)(lambda self, x: x)
        triple = _times(3)(lambda self, x: x)

    class Derived(Base):
        def name(self):
            return "derived"

    base, derived = Base(), Derived()
    return [(base.double, 10), (base.triple, 10)], [
        (super(Derived, derived).name,),
        (derived.name,),
    ]


def _module(number):
    module = types.ModuleType("settings")
    module.number = number
    return module


def _annotated(kind):
    def function(x):
        return x

    function.__annotations__ = {"x": kind}
    return function


def _changed(rows):
    rows[0][0] = 1
    return rows


ROW = [0]

LOOK_ALIKES = [
    *_methods(),
    [(operator.attrgetter("number"), _module(1)), (operator.attrgetter("number"), _module(2))],
    [(operator.attrgetter("__annotations__"), _annotated(kind)) for kind in (int, float)],
    [(_changed, [ROW, ROW]), (_changed, [[0], [0]])],
    [(repr, value) for value in (1, True, 1.0, "1", b"1", [1], (1,), {1}, numpy.int64(1), -0.0, 0)],
    [(numpy.ravel, numpy.arange(6).reshape(2, 3)), (numpy.ravel, numpy.arange(6).reshape(3, 2).T)],
]
"""Calls that are written alike, or nearly so, and are not."""


@pytest.mark.parametrize("calls", LOOK_ALIKES)
def test_calls_that_only_look_alike_are_computed_each(client, calls):
    """With `pure`, and with their arguments scattered."""
    here = [function(*cloudpickle.loads(cloudpickle.dumps(args))) for function, *args in calls]
    futures = [client.submit(*call, pure=True) for call in calls]
    scattered = [client.scatter(args) for _, *args in calls]
    again = [
        client.submit(function, *args)
        for (function, *_), args in zip(calls, scattered, strict=True)
    ]
    assert len({future.key for future in futures}) == len(calls)
    assert repr(client.gather(futures)) == repr(client.gather(again)) == repr(here)


def test_futures_count_by_their_keys(client):
    """Where arguments are compared: two futures of one task are alike, those of two tasks not."""
    one, same, other = (client.submit(abs, -1, key=key) for key in ("one", "one", "other"))
    calls = [client.submit(sum, [future, 1], pure=True) for future in (one, same, other)]
    assert calls[0].key == calls[1].key != calls[2].key
    assert client.gather(calls) == [2, 2, 2]
    assert client.submit(sum, [one.key, 1], pure=True).key != calls[0].key


def test_a_map_leaves_in_batches(said):
    """Of a size that may be given."""
    assert len(said.map(abs, range(2500))) == 2500
    assert [len(message[3]) for message in said.take()[1:]] == [1000, 1000, 500]
    said.map(abs, range(5), batch_size=2, options={"priority": 1})
    batches = [message for message in said.take() if message[0] == m.SUBMIT]
    assert [(message[2], len(message[3])) for message in batches] == [
        ({"priority": 1}, 2),
        ({"priority": 1}, 2),
        ({"priority": 1}, 1),
    ]
    for size in (0, 1.5, True):
        with pytest.raises(ConfigError, match="batch_size="):
            said.map(abs, range(5), batch_size=size)
    assert said.take() == []


def test_a_partial_stays_while_it_is_mapped(said):
    """However many others are submitted while its elements are made."""

    def elements():
        for number in range(300):
            said.submit(functools.partial(divmod, number), 5)
            yield number

    said.map(functools.partial(pow, 2), elements(), batch_size=299)
    known, forgotten = set(), set()
    for message in said.take():
        if message[0] == m.FUNCTIONS:
            known.add(message[1][0][0])
        elif message[0] == m.FORGET_FUNCTIONS:
            known.difference_update(message[1])
            forgotten.update(message[1])
        else:
            assert message[1] in known
    assert forgotten


def test_the_same_value_scattered_twice_is_one(said):
    """By its content, unless that is not wanted; all values of a call are one message."""
    one, other, again = said.submission.scatter([[1], [2], [1]], None, True)
    assert one is again is not other
    assert one.key.startswith("list-")
    assert len(said.take()[0][2]) == 3
    assert said.submission.scatter([[1]], None, True) == [one]
    first, second = said.submission.scatter([[1], [1]], {"broadcast": True}, False)
    assert first is not second
    assert said.take()[-1][1] == {"broadcast": True}
    large = [numpy.arange(10_000), numpy.arange(10_000) + 1, numpy.arange(10_000)]
    states = said.submission.scatter(large, None, True)
    assert states[0] is states[2] is not states[1]
    assert said.submission.scatter([], None, True) == []


def test_the_task_of_somebody_else_is_wanted_once(said):
    """However many futures of it there are."""
    state = said.submission.want("theirs")
    assert said.submission.want("theirs") is state
    assert said.take() == [(m.WANT, ["theirs"])]


def test_before_the_beginning():
    """Nothing can be submitted to a client that is not started."""
    submission = Submission(Connection(on_outage=print, on_closed=print))
    with pytest.raises(ClientClosed, match="not started"):
        submission.want("theirs")


# -- on a cluster ----------------------------------------------------------------------------------


def test_tasks_go_where_they_are_to(client):
    """By a worker's name; or elsewhere if it is not there and others are allowed."""

    def here():
        from jobqueue import get_worker

        return get_worker().name

    for name in client.nthreads():
        futures = [client.submit(here, workers=name) for _ in range(4)]
        assert set(client.gather(futures)) == {name}
        with annotate(workers=[name]):
            assert client.gather(client.map(lambda _: here(), range(3))) == [name] * 3
    anywhere = client.submit(here, workers=["nobody"], allow_other_workers=True)
    assert anywhere.result(30) in client.nthreads()


def test_equals_go_in_order(client, gate, wait_until):
    """The order of submission, at one worker; `fifo_timeout` changes nothing."""
    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    ended = []
    name = min(client.nthreads())
    futures = [client.submit(abs, -1, workers=name, fifo_timeout="1s") for _ in range(5)]
    for future in futures:
        future.add_done_callback(lambda future: ended.append(future.key))
    gate.open(2)
    client.gather([*blocked, *futures])
    wait_until(lambda: len(ended) == 5)
    assert ended == [future.key for future in futures]


def test_a_task_is_tried_again(client, tmp_path):
    """As often as `retries` says."""
    path = tmp_path / "tries"

    def fail_twice():
        with path.open("a") as file:
            file.write(".")
        if len(path.read_text()) < 3:
            raise ValueError("not yet")
        return len(path.read_text())

    assert client.submit(fail_twice, retries=2).result(30) == 3
    path.unlink()
    with annotate(retries=1):
        assert isinstance(client.submit(fail_twice).exception(30), ValueError)


def test_a_key_that_another_client_uses_for_other_work(client, cluster):
    """Its future fails in words, and the other client's is as it was."""
    from jobqueue import Client

    first = client.submit(abs, -1, key="contested")
    assert first.result(30) == 1
    with Client(cluster) as other:
        second = other.submit(abs, -2, key="contested")
        assert "contested" in str(second.exception(30))
        assert other.submit(abs, -1, key="contested2").result(30) == 1
    assert first.result(30) == 1


def test_scattered_data_whose_worker_dies_is_lost(own_client, own_cluster, wait_until):
    """The future says so, those that need it fail of it, and it may be scattered again."""
    data = own_client.scatter(bytes(100_000))
    pids = own_client.run(os.getpid)
    (name,) = pids
    wait_until(lambda: own_client.who_has(data)[data.key] == (name,))
    os.kill(pids[name], signal.SIGKILL)
    wait_until(lambda: data.status == "lost", message="the data to be lost")
    assert data.done()
    with pytest.raises(DataLost, match="scatter it again"):
        data.result(30)
    with pytest.raises(DataLost):
        own_client.submit(len, data).result(30)
    again = own_client.scatter(bytes(100_000))
    assert own_client.submit(len, again).result(30) == 100_000
    assert data.status == "finished"


def test_a_result_whose_worker_dies_is_computed_again(own_client, wait_until):
    """Its future is pending meanwhile, or finished again already; the value is right."""
    future = own_client.submit(bytes, 100_000)
    wait([future], timeout=30)
    (pid,) = own_client.run(os.getpid).values()
    os.kill(pid, signal.SIGKILL)
    assert len(future.result(50)) == 100_000
    assert future.status == "finished"


def test_results_that_cannot_be_read_here(client):
    """One that ends the program while it is unpickled, and one nested too deeply to be sent."""

    class Ends:
        def __reduce__(self):
            return exit, (3,)

    def nested():
        value: list = []
        for _ in range(100_000):
            value = [value]
        return value

    with pytest.raises(SerializationError, match="cannot be unpickled here"):
        client.submit(Ends).result(30)
    with pytest.raises(SerializationError, match="nested too deeply"):
        client.submit(nested).result(30)
    circle: list = [client.submit(abs, -1)]
    circle.append(circle)
    with pytest.raises(ConfigError, match="hold themselves, or are nested too deeply"):
        client.gather(circle)
    assert client.submit(abs, -2).result(30) == 2


def test_a_function_is_forgotten_with_its_object(client, cluster, wait_until):
    """By the scheduler as well, once its tasks have ended, whichever threads used it."""
    before = set(cluster.scheduler.state.functions)

    def use(number):
        futures = [client.submit(eval(f"lambda: {one}")) for one in range(20)]
        futures += client.map(functools.partial(pow, number), range(5))
        return client.gather(futures)

    with ThreadPoolExecutor(4) as threads:
        expected = list(range(20))
        for number, results in enumerate(threads.map(use, range(8))):
            assert results == expected + [number**one for one in range(5)]
    gc.collect()
    partials = 8
    wait_until(lambda: len(set(cluster.scheduler.state.functions) - before) <= partials)
