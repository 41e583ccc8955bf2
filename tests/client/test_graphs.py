"""Graphs and dask's collections on a cluster of this machine."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from operator import add
from typing import Any

import pytest

from jobqueue import Client, get_client, sync, threaded
from jobqueue import multiprocessing as processes
from jobqueue.client import calls
from jobqueue.client.default import Standing, default
from jobqueue.errors import ConfigError, GraphError, SerializationError


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, threads_per_worker=1) as client:
        yield client


@pytest.fixture(scope="module")
def da() -> Any:
    return pytest.importorskip("dask.array")


def test_a_graph_by_hand(client: Client):
    """Results in the nesting of the keys; data, names, lists, calls in calls."""
    dsk = {"x": 1, "y": 2, "z": (add, "x", "y"), ("l", 0): ["z", (add, "z", "z")], "n": ("l", 0)}
    assert client.get(dsk, ["z", ["n", ["x"]]]) == [3, [[3, 6], [1]]]
    assert client.get(dsk, "z") == 3


def test_nothing_is_run_of_a_graph_that_is_wrong(client: Client):
    """A cycle, a missing key, a task that cannot be pickled: each with its keys."""
    with pytest.raises(GraphError, match="'a' needs 'b' needs 'a'"):
        client.get({"a": (add, "b", 1), "b": (add, "a", 1)}, "a")
    with pytest.raises(GraphError, match="no key 'q'"):
        client.get({"a": 1}, ["a", "q"])
    with pytest.raises(SerializationError, match="task 'f'"):
        client.get({"f": (id, sys._getframe())}, "f")
    assert client.get({"a": (add, 1, 1)}, "a") == 2


def test_a_large_graph_leaves_nothing_behind(client: Client, collected: Any):
    """Thousands of tasks; the scheduler has forgotten all of them when the result is here."""
    dsk: dict[Any, Any] = {("leaf", i): (abs, -i) for i in range(4000)}
    dsk |= {("sum", i): (add, ("leaf", 2 * i), ("leaf", 2 * i + 1)) for i in range(2000)}
    dsk["total"] = (sum, [("sum", i) for i in range(2000)])
    assert client.get(dsk, "total") == sum(range(4000))
    collected(lambda: not client.who_has(), message="all tasks to be forgotten")


def test_an_exception_in_a_graph(client: Client):
    """It arrives as itself, whatever depends on it, and says which task it is of."""
    dsk = {("x", 1): (divmod, 1, 0), "y": (abs, ("x", 1)), "z": ["y"]}
    for keys in (("x", 1), "z", ["w", ["y"]]):
        with pytest.raises(ZeroDivisionError) as caught:
            client.get({**dsk, "w": (abs, -1)}, keys)
        assert caught.value.__notes__ == ["in the task ('x', 1) of the graph"]
        assert "Traceback on worker" in str(caught.value.__cause__)


def stop() -> None:
    raise StopIteration("no more")


def test_a_callable_that_brings_much_data(client: Client, monkeypatch: pytest.MonkeyPatch):
    """More than a function may: a method of a large model, say. It is sent as data."""
    monkeypatch.setattr(calls, "LARGEST_FUNCTION", 1 << 20)
    much = functools.partial(max, bytes(2 << 20))
    assert client.get({"x": (much, b"x"), "y": (max, (much, b"y"), "x")}, ["x", "y"]) == [
        b"x",
        b"y",
    ]


def test_a_stop_iteration_in_a_graph(client: Client):
    """It arrives as itself, as it does of `submit`."""
    with pytest.raises(StopIteration, match="no more") as caught:
        client.get({"x": (stop,)}, "x")
    assert caught.value.__notes__ == ["in the task 'x' of the graph"]


def test_an_exception_of_one_of_two_keys_that_read_alike(client: Client):
    """The note names the one it is of."""
    dsk = {"x-0": (abs, -1), ("x", 0): (int, "no"), "y": (max, "x-0", ("x", 0))}
    with pytest.raises(ValueError, match="invalid literal") as caught:
        client.get(dsk, "y")
    assert caught.value.__notes__ == ["in the task ('x', 0) of the graph"]


def test_a_result_that_cannot_be_sent(client: Client):
    """The note says whose it is, whoever needs it; so it does of futures."""
    dsk = {("x", 0): (sys._getframe,), "y": (str, ("x", 0))}
    with pytest.raises(SerializationError, match="cannot be sent") as caught:
        client.get({**dsk, "z": (abs, -1)}, ["z", "y"])
    assert caught.value.__notes__ == ["in the task ('x', 0) of the graph"]
    frame = client.submit(sys._getframe)
    with pytest.raises(SerializationError, match="cannot be sent") as caught:
        client.submit(str, frame).result()
    assert caught.value.__notes__ == [f"in the task {frame.key!r}"]


def test_options_of_a_graph(client: Client):
    """They hold for its tasks; what other schedulers know is passed over, and the rest refused."""
    dsk = {"x": (add, 1, 1)}
    for known in (
        {"num_workers": 2},
        {"sync": True},
        {"priority": 5},
        {"workers": client.nthreads()},
    ):
        assert client.get(dsk, "x", **known) == 2
    with pytest.raises(ConfigError, match="has no pool 'gpu'"):
        client.get(dsk, "x", pool="gpu")
    with pytest.raises(ConfigError, match=r"get\(prioritty=…\): there is no such.* are priority, "):
        client.get(dsk, "x", prioritty=5)


def test_misspelt_options_of_collections(client: Client, da: Any):
    """They are refused with what there is, and not handed to dask, which would pass over them."""
    for method in (client.compute, client.persist):
        with pytest.raises(
            ConfigError, match=r"\(retrys=…\): there is no such.*, retries, workers"
        ):
            method(da.ones(3), retrys=3)
    with pytest.raises(ConfigError, match=r"get\(retrys=…\)"):
        da.ones(3).compute(retrys=3)
    assert client.compute([[da.ones(3)]], traverse=True, sync=True)[0][0].sum() == 3


def test_names_that_stand_for_each_other(client: Client):
    """However many it takes; in a circle they are an error, whoever needs them."""
    dsk = {"a": "b", "b": "c", "c": ("d", 0), ("d", 0): (add, 1, 1), "e": (add, "a", "c")}
    assert client.get(dsk, ["a", "e"]) == [2, 4]
    for keys in ("a", "c", ["c"]):
        with pytest.raises(GraphError, match="'a' needs 'b' needs 'a'"):
            client.get({"a": "b", "b": "a", "c": (add, "a", 1)}, keys)


def test_what_may_be_a_key_and_a_value(client: Client):
    """None, numbers and tuples as keys; what cannot be hashed, and functions, as data."""
    assert client.get({None: 5, "a": (str, None), 1: (add, 2, 3), 2: 10}, ["a", None, 1]) == [
        "5",
        5,
        13,
    ]
    dsk = {"d": {"k": [1]}, "f": abs, "n": (len, "d"), "g": (lambda f, x: f(x), "f", -3), "t": ()}
    assert client.get(dsk, ["d", "n", "g", "f", "t"]) == [{"k": [1]}, 1, 3, abs, ()]
    assert client.get({}, []) == []
    with pytest.raises(GraphError, match="no keys at all"):
        client.get({}, "a")


def test_who_interrupts_a_graph_leaves_nothing_behind(client: Client, wait_until: Any):
    """Ctrl-C ends it on the cluster, though somebody may hold its traceback."""

    def interrupt() -> None:
        wait_until(lambda: any(client.processing().values()), message="a task to run")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    dsk = {("long", i): (wait_for_long, i) for i in range(50)}
    with pytest.raises(KeyboardInterrupt) as caught:
        client.get(dsk, list(dsk))
    thread.join()
    wait_until(
        lambda: not [key for key in client.who_has() if key.startswith("long")],
        message="all of its tasks to be forgotten",
    )
    assert caught.value.__traceback__ is not None


def wait_for_long(number: int) -> None:
    """Run for longer than the test; what runs when it is not wanted any more goes on."""
    for _ in range(150):
        threading.Event().wait(0.01)


def test_a_graph_from_inside_of_a_task(client: Client):
    """On a worker that it leaves to others meanwhile."""

    def inner() -> Any:
        return get_client().get({"x": (abs, -1), "y": (max, "x", 0)}, ["y"])

    assert client.submit(inner, workers=min(client.nthreads())).result() == [1]


def test_futures_inside_of_a_graph(client: Client):
    """As a key's value and as an argument."""
    future = client.submit(add, 1, 2)
    assert client.get(
        {"f": future, "x": (add, "f", 1), "y": (add, future, 10)}, ["f", "x", "y"]
    ) == [
        3,
        4,
        13,
    ]
    failed = client.submit(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError) as caught:
        client.get({"x": (add, failed, 1)}, "x")
    assert caught.value.__notes__ == [f"in the task {failed.key!r}"]


def test_an_asynchronous_client_is_awaited():
    """The same contract in a coroutine."""

    async def main() -> Any:
        async with Client(n_workers=1, asynchronous=True) as client:
            return await client.get({"x": (add, 1, 2)}, ["x"])

    assert asyncio.run(main()) == [3]


def test_in_processes_for_one_graph():
    """Without a client of one's own."""
    assert processes.get({"x": (add, 1, 2), "y": [("x")]}, ["x", "y"], num_workers=1) == [3, [3]]


def test_collections_become_futures(client: Client, da: Any):
    """One, several, and what is none; with results in the same places."""
    x = da.ones((20, 20), chunks=5)
    assert client.compute(x.sum()).result() == 400
    assert client.compute([x.sum(), 5, x.max()], sync=True) == [400, 5, 1]


def test_persisted_parts_stay_on_the_workers(client: Client, da: Any, collected: Any):
    """And are let go of with the collection."""
    collected(lambda: not client.who_has(), message="what other tests had to be let go of")
    x = client.persist(da.ones((20, 20), chunks=10) + 1)
    assert x.sum().compute(scheduler=client.get) == 800
    collected(lambda: len(client.who_has()) == 4, message="its parts alone to be kept")
    del x
    collected(lambda: not client.who_has(), message="its parts to be let go of")


def test_dask_computes_with_the_newest_open_client(client: Client, da: Any):
    """Unless it was told not to; and with nobody's after the last has been closed."""
    import dask

    assert default.newest() is client
    with Client(client.cluster) as newer:
        assert default.newest() is newer
        assert da.ones(4, chunks=2).sum().compute() == 4
        with Client(client.cluster, set_as_default=False):
            assert default.newest() is newer
    assert default.newest() is client
    assert isinstance(dask.config.get("scheduler"), Standing)


def test_dask_does_not_wait_for_what_it_cannot_await(da: Any):
    """An asynchronous client as the default says what to do instead."""

    async def main() -> Any:
        async with Client(n_workers=1, asynchronous=True) as client:
            total = da.ones(4, chunks=2).sum()
            with pytest.raises(ConfigError, match=r"await client\.compute"):
                total.compute()
            with pytest.raises(ConfigError, match=r"await client\.compute"):
                total.compute(scheduler=client.get)
            task = asyncio.create_task(client.get({"x": (add, 2, 2)}, "x"))
            assert await task == await client.compute(total)
            return await task

    assert asyncio.run(main()) == 4


def test_what_was_set_between_two_clients_is_put_back(client: Client):
    """Whichever of them is closed first; and nothing is left when the last has gone."""
    dask = pytest.importorskip("dask")
    with Client(client.cluster) as outer:
        with dask.config.set(scheduler="sync"):
            with Client(client.cluster) as inner:
                assert default.newest() is inner
                assert isinstance(dask.config.get("scheduler"), Standing)
            assert dask.config.get("scheduler") == "sync"
        assert isinstance(dask.config.get("scheduler"), Standing)
        other = Client(client.cluster)
        outer.close()
        assert default.newest() is other
        assert isinstance(dask.config.get("scheduler"), Standing)
        other.close()
    assert default.newest() is client
    assert isinstance(dask.config.get("scheduler"), Standing)


def test_futures_in_a_graph_that_runs_here(client: Client, da: Any):
    """Their results are meant, by whichever way the graph is run; a failed one fails its task."""
    future = client.submit(add, 1, 2)
    failed = client.submit(divmod, 1, 0)
    persisted = client.persist(da.arange(20, chunks=5) + 1)
    for get in (sync.get, threaded.get):
        assert get({"f": future, "x": (str, "f"), "y": (max, [future, 1])}, ["x", "y"]) == ["3", 3]
        assert persisted.sum().compute(scheduler=get) == 210
        with pytest.raises(ZeroDivisionError):
            get({"x": (str, failed)}, "x")
