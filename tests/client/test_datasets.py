"""Collections and futures that programs share by name."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from jobqueue import Client
from jobqueue.errors import ConfigError, CoordinationError, SerializationError


@pytest.fixture(autouse=True)
def empty_shelf(client):
    """Each test begins without datasets, and leaves none."""
    assert client.list_datasets() == ()
    yield
    for name in client.list_datasets():
        client.unpublish_dataset(name)


def test_what_is_published_is_had_by_name(client):
    """By another client as well; what somebody has got stays his when it is withdrawn."""
    client.publish_dataset(numbers=[1, 2, 3], word="w")
    client.publish_dataset({"a": 1}, name="not an identifier")
    with Client(client.cluster, set_as_default=False) as other:
        assert other.list_datasets() == ("not an identifier", "numbers", "word")
        assert other.get_dataset("numbers") == [1, 2, 3]
        assert other.get_dataset("not an identifier") == {"a": 1}
        other.unpublish_dataset("word")
    assert client.list_datasets() == ("not an identifier", "numbers")


def test_a_default_for_what_is_not_published(client, cluster):
    """It is returned as it is; what is published comes before it."""
    assert client.get_dataset("nothing", default=None) is None
    assert client.get_dataset("nothing", "else") == "else"
    client.publish_dataset(none=None)
    assert client.get_dataset("none", default=1) is None

    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True) as other:
            assert await other.get_dataset("nothing", default=2) == 2

    asyncio.run(main())


def test_futures_are_kept_alive(client, wait_until):
    """Though the client that published them is gone; and no longer than they are published."""
    with Client(client.cluster, set_as_default=False) as first:
        first.publish_dataset(squares=first.map(pow, range(3), [2] * 3))
    gc.collect()
    squares = client.get_dataset("squares")
    assert client.gather(squares) == [0, 1, 4]
    client.unpublish_dataset("squares")
    assert client.submit(sum, squares).result() == 5
    keys = {future.key for future in squares}
    del squares
    gc.collect()

    def kept(scheduler=None):
        return [key for key in keys if key in scheduler.state.tasks]

    wait_until(lambda: not client.run_on_scheduler(kept), message="the results to be freed")


def test_an_unknown_name_lists_those_that_there_are(client):
    """Or says that there is none."""
    with pytest.raises(CoordinationError, match="no dataset 'x' is published: there is none"):
        client.get_dataset("x")
    client.publish_dataset(a=1, b=2)
    with pytest.raises(CoordinationError, match="no dataset 'x' is published: there are 'a', 'b'"):
        client.get_dataset("x")
    with pytest.raises(CoordinationError, match="no dataset 'x'"):
        client.unpublish_dataset("x")


def test_a_name_is_not_taken_by_mistake(client):
    """Then none of those is published that were given together."""
    client.publish_dataset(a=1)
    with pytest.raises(CoordinationError, match="a dataset 'a' is published already"):
        client.publish_dataset(a=2, b=2)
    assert client.list_datasets() == ("a",)
    client.publish_dataset(a=3, override=True)
    assert client.get_dataset("a") == 3


def test_the_early_names(client):
    """Of programs that were written long ago."""
    client.set_collection("x", [1])
    client.set_collection("x", [2])
    assert client.get_collection("x") == client.get_dataset("x") == [2]


def test_what_cannot_be_meant_is_refused(client):
    """With what to write instead."""
    with pytest.raises(ConfigError, match="each value needs a name"):
        client.publish_dataset([1])
    with pytest.raises(ConfigError, match="each value needs a name"):
        client.publish_dataset(name="x")
    with pytest.raises(ConfigError, match="'x' is given twice"):
        client.publish_dataset(1, name="x", x=2)
    with pytest.raises(ConfigError, match="name of a dataset is text"):
        client.get_dataset(["x"])
    with pytest.raises(SerializationError, match="cannot be pickled"):
        client.publish_dataset(x=threading.Lock())


def test_tasks_find_datasets(client):
    """By the client that they have."""
    client.publish_dataset(table={"a": client.submit(pow, 2, 5)})

    def look() -> int:
        from jobqueue import get_client

        return get_client().get_dataset("table")["a"].result()

    assert client.submit(look).result() == 32


def test_they_are_awaited_where_the_client_is_asynchronous(cluster):
    """All of them."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            await client.publish_dataset(x=client.submit(pow, 2, 2))
            assert await client.list_datasets() == ("x",)
            future = await client.get_dataset("x")
            await client.unpublish_dataset("x")
            assert await future == 4

    asyncio.run(main())


def test_a_persisted_collection_is_computed_by_another_program(client, run_script):
    """From the parts that the workers keep, though the program that made them is gone."""
    da = pytest.importorskip("dask.array", reason="dask's arrays are not installed here")
    address = client.cluster.scheduler.addresses[0]
    run_script(
        f"""
        import dask.array as da
        from jobqueue import Client

        with Client({address!r}) as client:
            x = client.persist(da.arange(100, chunks=25) * 2)
            client.publish_dataset(x=x, lazy=da.ones(10, chunks=5), half=x[:50])
        """
    )
    done = run_script(
        f"""
        from jobqueue import Client

        with Client({address!r}) as client:
            print(*client.list_datasets())
            x = client.get_dataset("x")
            print(x.sum().compute(), client.get_dataset("lazy").sum().compute())
        """
    )
    assert done.stdout.split("\n") == ["half lazy x", "9900 10.0", ""]
    assert client.get_dataset("half").max().compute(scheduler=client.get) == 98
    assert isinstance(client.get_dataset("half"), da.Array)


def test_a_persisted_dataframe_and_bag(client):
    """The other kinds of collections that dask has."""
    dd = pytest.importorskip("dask.dataframe", reason="dask's dataframes are not installed here")
    pd = pytest.importorskip("pandas")
    bag = pytest.importorskip("dask.bag")
    with Client(client.cluster, set_as_default=False) as first:
        frame = dd.from_pandas(pd.DataFrame({"x": range(10)}), npartitions=2)
        parts = bag.from_sequence(range(6), npartitions=2).map(abs)
        first.publish_dataset(frame=first.persist(frame), bag=first.persist(parts))
    gc.collect()
    assert client.get_dataset("frame").x.sum().compute(scheduler=client.get) == 45
    assert client.get_dataset("bag").sum().compute(scheduler=client.get) == 15


def test_a_refusal_does_not_keep_the_client_alive(cluster, wait_until):
    """Whoever drops the client after an error has dropped it, without any garbage collection."""
    client = Client(cluster, set_as_default=False)
    with pytest.raises(CoordinationError) as caught:
        client.get_dataset("nothing")
    del caught
    gone = weakref.ref(client)
    gc.disable()
    try:
        del client
        wait_until(lambda: gone() is None)
    finally:
        gc.enable()
