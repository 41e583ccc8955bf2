"""Submitting, mapping, gathering, scattering and cancelling, on a real cluster."""

from __future__ import annotations

import doctest
import functools
import itertools
import operator
from pathlib import Path

import pytest

from jobqueue import LocalCluster
from jobqueue.client.client import Client
from jobqueue.errors import ConfigError, TaskCancelled


def test_submit_calls_with_positional_and_keyword_arguments(client):
    """A call on a worker is the call that was written."""
    assert client.submit(divmod, 17, 5).result(30) == (3, 2)
    assert client.submit(int, "ff", base=16).result(30) == 255
    assert client.submit(lambda *args, **kwargs: (args, kwargs), 1, b=2).result(30) == (
        (1,),
        {"b": 2},
    )


def test_what_can_be_called_can_be_submitted(client):
    """Builtins, classes, bound methods, partials, closures and callable objects."""

    class Adder:
        def __init__(self, amount):
            self.amount = amount

        def __call__(self, value):
            return value + self.amount

        def add(self, value):
            return self(value)

    adder = Adder(3)
    calls = [len, set, "abc".count, functools.partial(pow, 2), lambda x: x, adder, adder.add]
    arguments = ["abc", [1, 1], "c", 5, None, 4, 4]
    futures = [client.submit(f, x) for f, x in zip(calls, arguments, strict=True)]
    assert client.gather(futures) == [3, {1}, 1, 32, None, 7, 7]


def test_state_of_a_callable_counts_at_each_call(client):
    """A callable object that changes between two calls is not mistaken for what it was."""

    class Adder:
        amount = 1

        def __call__(self, value):
            return value + self.amount

    adder = Adder()
    first = client.submit(adder, 1)
    adder.amount = 10
    assert client.gather([first, client.submit(adder, 1)]) == [2, 11]


def test_calls_are_calls(client):
    """By default two equal calls are two tasks."""
    first, second = client.submit(pow, 2, 3), client.submit(pow, 2, 3)
    assert first.key != second.key


def test_pure_calls_are_shared(client):
    """With `pure`, the same call is the same task; another argument or function is another."""
    first, second = (client.submit(pow, 2, 3, pure=True) for _ in range(2))
    assert first.key == second.key
    others = [
        client.submit(pow, 2, 4, pure=True),
        client.submit(operator.pow, 2, 3, pure=True),
        client.submit(int, "10", base=3, pure=True),
        client.submit(int, "10", base=4, pure=True),
    ]
    assert len({first.key, *(other.key for other in others)}) == 5
    assert client.gather([first, second, *others]) == [8, 8, 16, 8, 3, 4]


def test_equal_calls_are_one_however_their_arguments_came_to_be(client):
    """With `pure`, under a key, and where values are scattered: what counts is what they hold."""
    word, again = "some text", "".join(["some ", "text"])
    keys = {client.submit(len, words, pure=True).key for words in ([word, word], [word, again])}
    assert len(keys) == 1
    options = [{"base": 10, "x": 1}, {"x": 1, "base": 10}]
    assert len({client.submit(dict, pure=True, **one).key for one in options}) == 1
    assert len({future.key for future in client.scatter(options)}) == 1
    first = client.submit(len, [word, word], key="own")
    assert client.submit(len, [word, again], key="own").result(30) == first.result(30) == 2


def test_keys_may_be_tuples(client):
    """Of one task and of those of a map: they are known as their text."""
    future = client.submit(abs, -1, key=("x", 1))
    assert future.key == "('x', 1)"
    futures = client.map(abs, [-2, -3], key=[("y", 1), ("y", 2)])
    assert [one.key for one in futures] == ["('y', 1)", "('y', 2)"]
    assert client.gather([future, *futures]) == [1, 2, 3]


def test_pure_map_shares_equal_elements(client):
    """Equal elements of a pure map are computed once."""
    futures = client.map(abs, [-1, 2, -1], pure=True)
    assert futures[0].key == futures[2].key != futures[1].key
    assert client.gather(futures) == [1, 2, 1]


def test_keys_are_readable(client):
    """A key begins with the function's name."""

    def increment(x):
        return x + 1

    assert client.submit(increment, 1).key.startswith("increment-")
    assert client.submit(lambda: 0).key.startswith("lambda-")
    assert client.submit(functools.partial(increment, 1)).key.startswith("increment-")
    assert client.map(increment, [1])[0].key.startswith("increment-")
    assert client.map(increment, [1], key="step")[0].key.startswith("step-")
    assert client.scatter([1.5])[0].key.startswith("float-")


def test_a_key_may_be_given(client):
    """A task has the name that it was given."""
    future = client.submit(abs, -1, key="my-key")
    assert future.key == "my-key"
    assert future.result(30) == 1


def test_a_given_key_is_never_made_for_another_task(client):
    """A key of the user's that looks like ours is not given to another call."""
    number = int(client.submit(abs, 0).key.rpartition("-")[2], 16)
    mine = [client.submit(abs, -100, key=f"abs-{number + ahead:x}") for ahead in range(1, 5)]
    futures = [client.submit(abs, -1), *client.map(abs, [-2, -3])]
    assert client.gather(futures) == [1, 2, 3]
    assert client.gather(mine) == [100] * 4


def test_two_futures_of_one_key(client):
    """Submitting a call again under its key gives another future of the same task."""

    def identity():
        return object().__hash__()

    first = client.submit(identity, key="same")
    second = client.submit(identity, key="same")
    value = first.result(30)
    assert second.result(30) == value
    del first
    assert second.result(30) == value


def test_a_key_for_other_work(client):
    """A key that is held is refused for other work at once; once nobody holds it, it is free."""
    first = client.submit(abs, -1, key="taken")
    made = client.submit(abs, -5)
    for call in (
        lambda: client.submit(abs, -2, key="taken"),
        lambda: client.submit(operator.neg, -1, key="taken"),
        lambda: client.map(abs, [-1, -2], key=["other", "taken"]),
        lambda: client.submit(abs, -1, key=made.key),
    ):
        with pytest.raises(ConfigError, match=r"is in use for other work: choose another key"):
            call()
    assert first.result(30) == 1
    del first
    assert client.submit(abs, -2, key="taken").result(30) == 2
    assert client.gather(client.map(abs, [-3, -4], key=["taken", "other"])) == [3, 4]


def test_a_list_of_keys(client):
    """Each call of a map has its own; as many as there are calls."""
    futures = client.map(abs, [-1, -2], key=["one", "two"])
    assert [future.key for future in futures] == ["one", "two"]
    assert client.gather(futures) == [1, 2]
    with pytest.raises(ConfigError, match="key: 3 keys for 2 calls"):
        client.map(abs, [-1, -2], key=["a", "b", "c"])
    for key in (3, ["a", 3], ""):
        with pytest.raises(ConfigError, match="a key is text"):
            client.map(abs, [-1, -2], key=key)


def test_map_takes_several_iterables_and_keywords(client):
    """The shortest iterable counts; keyword arguments go to every call."""
    assert client.gather(client.map(pow, [2, 3, 4], itertools.count(1))) == [2, 9, 64]
    assert client.gather(client.map(pow, (2, 3), (3, 3), mod=5)) == [3, 2]


def test_map_takes_any_iterable(client):
    """Generators, ranges, dicts and nothing at all."""
    assert client.gather(client.map(abs, (-x for x in range(3)))) == [0, 1, 2]
    assert client.gather(client.map(str.upper, {"a": 1, "b": 2})) == ["A", "B"]
    assert client.map(abs, []) == []
    assert client.map(abs, [1], []) == []


def test_map_is_sent_in_batches(client):
    """More elements than a batch come back whole and in order."""
    assert client.gather(client.map(abs, range(-2500, 0))) == list(range(2500, 0, -1))


def test_map_without_iterables(client):
    """Nothing to map over is an error that says what to write."""
    with pytest.raises(ConfigError, match=r"at least one iterable: map\(function, range"):
        client.map(abs)


def test_a_generator_that_raises_in_map(client):
    """What the user's generator raises comes out of map."""

    def numbers():
        yield from range(1500)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        client.map(abs, numbers())
    assert client.submit(abs, -1).result(30) == 1


def test_map_may_submit_while_it_iterates(client):
    """A generator given to map may itself submit, and yield futures."""
    futures = client.map(operator.neg, (client.submit(abs, -x) for x in range(5)))
    assert client.gather(futures) == [0, -1, -2, -3, -4]


def test_gather_keeps_the_shape(client):
    """Nested lists, tuples, named tuples, sets and dicts come back as they are."""
    one, two = client.map(abs, [-1, -2])
    assert client.gather(one) == 1
    assert client.gather([one, (two, {one}), {"a": [two], "b": "text"}]) == [
        1,
        (2, {1}),
        {"a": [2], "b": "text"},
    ]
    assert client.gather([]) == []


def test_gather_skips_or_raises(client):
    """Failed tasks raise, or are left out."""
    futures = client.map(lambda x: 1 / x, [1, 0, 2])
    with pytest.raises(ZeroDivisionError):
        client.gather(futures)
    assert client.gather(futures, errors="skip") == [1, 0.5]
    assert client.gather({"a": futures[0], "b": futures[1]}, errors="skip") == {"a": 1}
    with pytest.raises(ConfigError, match="errors='ignore'"):
        client.gather(futures, errors="ignore")


def test_scattered_values_are_arguments(client):
    """A scattered value is used by several tasks."""
    data = client.scatter(list(range(10_000)))
    [length, total] = [client.submit(len, data), client.submit(sum, data)]
    assert client.gather([length, total]) == [10_000, 49_995_000]


def test_retries(client, tmp_path):
    """A task that raises is tried again as often as was asked for."""

    def fail_twice(path):
        with open(path, "a+") as file:
            file.write("x")
            file.seek(0)
            tries = len(file.read())
        if tries < 3:
            raise ValueError(f"try {tries}")
        return tries

    assert client.submit(fail_twice, str(tmp_path / "a"), retries=2).result(30) == 3
    futures = client.map(fail_twice, [str(tmp_path / "b")], retries=1)
    with pytest.raises(ValueError, match="try 2"):
        futures[0].result(30)


def test_priority_overtakes_and_equals_keep_their_order(own_client, gate, tmp_path):
    """On one worker, higher priorities go first, and equals in the order of submission."""
    log = str(tmp_path / "log")

    def note(name):
        with open(log, "a") as file:
            file.write(name)

    holding = [own_client.submit(gate.function)]
    gate.await_arrivals()  # its duration is unknown, so that the worker takes few beside it
    holding += own_client.map(gate.function, range(3))
    futures = [
        *own_client.map(note, "abc"),
        *own_client.map(note, "uv", priority=-1),
        *own_client.map(note, "xyz", priority=5),
        own_client.submit(note, "!", priority=7.5),
    ]
    gate.open(4)
    own_client.gather([holding, futures])
    assert Path(log).read_text() == "!xyzabcuv"


def test_cancel(own_client, gate):
    """What has not begun never runs, nor what depends on it; others go on."""
    running = own_client.submit(gate.function, 1)
    gate.await_arrivals()
    waiting = own_client.map(gate.function, range(10))
    dependent = own_client.submit(sum, waiting)
    own_client.cancel(waiting[1:])
    for future in [*waiting[1:], dependent]:
        with pytest.raises(TaskCancelled, match="was cancelled"):
            future.result(30)
        assert future.cancelled()
        assert future.done()
        assert future.status == "cancelled"
    gate.open(2)
    assert own_client.gather([running, waiting[0]]) == [1, 0]
    with pytest.raises(TaskCancelled):
        own_client.gather(waiting)
    assert own_client.gather(waiting, errors="skip") == [0]


def test_cancel_from_the_future(own_client, gate):
    """`Future.cancel` is `Client.cancel`."""
    running = own_client.submit(gate.function)
    gate.await_arrivals()
    future = own_client.submit(abs, 1)
    future.cancel()
    with pytest.raises(TaskCancelled):
        future.result(30)
    gate.open()
    running.result(30)


def test_wait_for_workers(own_cluster):
    """It returns once they are there, or says how things stand."""
    with Client(own_cluster) as client:
        client.wait_for_workers(1, timeout=30)
        with pytest.raises(TimeoutError, match=r"not 5 workers within 0\.05 s: 1 workers"):
            client.wait_for_workers(5, timeout=0.05)


def test_repr_tells_what_there_is(client, cluster):
    """The client says whether it is open, how many futures it holds, and its cluster."""
    futures = client.map(abs, range(3))
    assert repr(client).startswith("<Client open, ")
    assert "LocalCluster(" in repr(client)
    client.gather(futures)
    with Client(cluster) as other:
        pass
    assert repr(other).startswith("<Client closed, 0 futures, ")


def test_public_names_are_the_modules(cluster):
    """`jobqueue.LocalCluster` and `jobqueue.Client` are what the modules define."""
    assert isinstance(cluster, LocalCluster)
    assert Client.__module__ == "jobqueue.client.client"


def test_the_examples_of_its_methods_are_true(own_client):
    """They need a client, so the search for examples skips them; here is one."""
    for method in ("submit", "map", "gather", "scatter", "cancel"):
        text = getattr(Client, method).__doc__.replace("  # doctest: +SKIP", "")
        names = {"client": own_client}
        examples = doctest.DocTestParser().get_doctest(text, names, method, None, 0)
        report: list[str] = []
        result = doctest.DocTestRunner().run(examples, out=report.append)
        assert result.attempted, f"{method} has no example"
        assert not report, "".join(report)
