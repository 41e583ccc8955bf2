"""Arguments and results: futures anywhere inside them, and large or odd data both ways."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import numpy
import pytest

from jobqueue import Client, LocalCluster
from jobqueue.errors import ConfigError, SerializationError


@pytest.fixture
def futures(client):
    """Futures of 1, 2 and of an array that stays on its worker."""
    return [*client.map(abs, [-1, -2]), client.submit(numpy.arange, 10_000)]


def test_futures_in_containers(client, futures):
    """Lists, tuples, sets, dicts (keys as well), nested."""
    one, two, array = futures

    def look(value):
        return value

    assert client.submit(look, [one, (two, {"a": [one]})]).result(30) == [1, (2, {"a": [1]})]
    assert client.submit(look, {one: {two}}).result(30) == {1: {2}}
    assert (
        client.submit(lambda x: x["deep"][0][0].sum(), {"deep": [[array]]}).result(30) == 49_995_000
    )


def test_futures_in_objects(client, futures):
    """Dataclasses, objects with slots, and objects that say themselves how they are pickled."""
    one, two, array = futures

    @dataclasses.dataclass(frozen=True)
    class Pair:
        left: Any
        right: Any

    class Slotted:
        __slots__ = ("left", "right")

        def __init__(self, left, right):
            self.left, self.right = left, right

    class Reduced:
        def __init__(self, value):
            self.value = value

        def __reduce__(self):
            return Reduced, (self.value,)

    def add(pair):
        return pair.left + pair.right

    assert client.submit(add, Pair(one, two)).result(30) == 3
    assert client.submit(add, Slotted(one, two)).result(30) == 3
    assert client.submit(lambda x: len(x.value), Reduced(array)).result(30) == 10_000


def test_futures_in_keywords_partials_and_closures(client, futures):
    """Wherever a call holds data there may be a future."""
    one, two, _ = futures
    assert client.submit(int, "11", base=two).result(30) == 3
    assert client.submit(functools.partial, operator.add, one).result(30)(5) == 6
    assert client.submit(lambda f: f(), functools.partial(operator.add, one, two)).result(30) == 3
    assert client.gather(client.map(pow, [5, 7], exp=two)) == [25, 49]


def test_a_future_in_the_function_itself(client, futures):
    """A function may use futures of its surroundings; a partial is told to take its value."""
    one, _, _ = futures
    assert client.submit(lambda: one.result() + 1).result(30) == 2
    with pytest.raises(SerializationError, match=f"{one.key!r} is held by the function.*argument"):
        client.submit(functools.partial(operator.add, one), 1)


def test_the_same_future_twice(client, futures):
    """Both places get the value, and it is one object, as it was one future."""
    *_, array = futures
    assert client.submit(lambda a, b, c: a is b is c[0], array, array, [array]).result(30)


def test_map_over_futures(client):
    """Futures are elements like any other."""
    first = client.map(abs, range(-1500, 0))
    second = client.map(operator.neg, first)
    del first
    assert client.gather(second) == list(range(-1500, 0))


def test_chains_and_trees(client):
    """Tasks whose inputs are tasks, many levels deep, their futures dropped at once."""
    future = client.submit(int, 0)
    for _ in range(300):
        future = client.submit(operator.add, future, 1)
    assert future.result(30) == 300
    level = client.map(int, range(64))
    while len(level) > 1:
        level = client.map(operator.add, level[::2], level[1::2])
    assert level[0].result(30) == sum(range(64))


def test_inputs_go_from_worker_to_worker(client, gate):
    """A task gets its large inputs together, whichever workers they are on."""
    function = gate.function

    def make(number):
        function()
        return numpy.full(100_000, number)

    arrays = client.map(make, range(2))
    gate.await_arrivals(2)  # one on each worker
    gate.open(2)
    assert client.submit(lambda both: sum(map(numpy.sum, both)), arrays).result(30) == 100_000


def test_a_future_of_another_client(client, cluster, gate):
    """Of the same scheduler it is as good as one's own, also if that client ends meanwhile."""
    with Client(cluster) as other:
        future = other.submit(bytes, 50_000)
        assert client.submit(len, future).result(30) == 50_000
        assert client.gather(client.map(len, [future, [future]])) == [50_000, 1]
        pending = other.submit(gate.function, 5)
        gate.await_arrivals()
        mine = client.submit(abs, pending)
    gate.open()
    assert mine.result(30) == 5
    assert client.submit(abs, -1).result(30) == 1


def test_futures_that_are_of_no_use(client, cluster):
    """Of a closed client, of another scheduler, or released: refused, with what to do."""
    with Client(cluster) as other:
        theirs = other.submit(abs, -1)
        with pytest.raises(ConfigError, match="belongs to another client: gather it there"):
            client.gather([theirs])
    with pytest.raises(SerializationError, match="client that is closed: submit its task again"):
        client.submit(abs, theirs)
    with LocalCluster(n_workers=1, threads_per_worker=1) as elsewhere, Client(elsewhere) as other:
        theirs = other.submit(abs, -1)
        with pytest.raises(SerializationError, match="of another scheduler: gather its result"):
            client.map(abs, [theirs])
    released = client.submit(abs, -2)
    released.release()
    with pytest.raises(SerializationError, match="was released: submit its task again"):
        client.submit(abs, released)
    assert client.submit(abs, -3).result(30) == 3


def test_a_pickled_future_is_one_of_the_reader(client, futures):
    """In this process, of the client that is used; it holds the result like any other."""
    import pickle

    one = futures[0]
    again = pickle.loads(pickle.dumps(one))
    assert again.key == one.key
    assert again.client is client
    assert again.result(30) == 1


def test_futures_in_results(client):
    """A task may return futures; whoever gets the result holds them, and their results."""

    def begin(count):
        from jobqueue import get_client

        return {"parts": get_client().map(abs, range(-count, 0))}

    parts = [one["parts"] for one in client.gather(client.map(begin, [2] * 30))]
    assert client.gather(parts) == [[2, 1]] * 30
    result = client.submit(begin, 3).result(30)
    assert all(future.client is client for future in result["parts"])
    assert client.gather(result) == {"parts": [3, 2, 1]}
    assert client.submit(sum, result["parts"]).result(30) == 6


@pytest.mark.parametrize(
    "value",
    [
        b"",
        "",
        (),
        None,
        numpy.empty(0),
        b"x" * 100_000,
        bytearray(100_000),
        "ü" * 100_000,
        numpy.arange(10),
        numpy.arange(1_000_000),
        numpy.arange(1_000_000).reshape(1000, 1000)[::2, ::3],
        numpy.asfortranarray(numpy.arange(90_000.0).reshape(300, 300)),
        numpy.array([{"a": 1}, None], dtype=object),
        {"a": numpy.ones(50_000), "b": [numpy.zeros((200, 200)), b"y" * 70_000], "c": 1},
        list(range(100_000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_there_and_back(client, value):
    """Empty, small, large, nested and oddly laid out values survive as argument and result."""

    def same(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, numpy.ndarray):
            return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and a == b

    future = client.submit(lambda x: x, value)
    assert same(future.result(30), value)
    assert same(client.submit(lambda x: x, future).result(30), value)
    assert same(client.scatter({"value": value})["value"].result(30), value)


def test_many_large_buffers(client):
    """More of them than a frame holds."""
    arrays = [numpy.zeros(2048 + n % 2) for n in range(5000)]
    future = client.submit(lambda x: x, arrays)
    assert [len(array) for array in future.result(60)] == [len(array) for array in arrays]


def test_100_megabytes(client):
    """A large array goes there and comes back."""
    array = numpy.arange(12_500_000)
    back = client.submit(numpy.negative, array).result(60)
    assert back.shape == array.shape
    assert back[-1] == -array[-1]


def test_arguments_are_taken_at_submit(client, gate):
    """What the user does with an argument later is not the task's concern."""
    array, small, items = numpy.zeros(100_000), numpy.zeros(10), [0]
    function = gate.function
    blocked = client.map(function, range(2))
    futures = [client.submit(lambda a, b, c: a.sum() + b.sum() + sum(c), array, small, items)]
    scattered = client.scatter([array])
    array[:] = small[:] = 1
    items[0] = 1
    gate.open(2)
    client.gather(blocked)
    assert futures[0].result(30) == 0
    assert scattered[0].result(30).sum() == 0


@pytest.mark.parametrize("size", [10, 100_000])
def test_results_are_independent_objects(client, size):
    """Changing a gathered result changes no other, now or later, and not the task's."""
    made, scattered = (
        client.submit(numpy.zeros, size),
        client.scatter({"x": numpy.zeros(size)})["x"],
    )
    for future in (made, scattered):
        first, again = client.gather([future, future])
        third = future.result(30)
        first[:] = 1
        assert again.sum() == third.sum() == future.result(30).sum() == 0
        assert client.submit(numpy.sum, future).result(30) == 0


def test_a_task_may_write_to_its_arguments(client):
    """Arrays that arrive at a worker are the task's own to change, in band or out."""

    def fill(array):
        array[:] = 1
        return array.sum()

    assert client.gather(client.map(fill, [numpy.zeros(10), numpy.zeros(100_000)])) == [10, 100_000]
