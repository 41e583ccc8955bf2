"""dask's collections on a cluster of this machine: what users write, compared with dask's own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, LocalCluster, as_completed, get_worker, progress, wait
from jobqueue.client.collections import by_tasks
from jobqueue.client.nested import futures_in
from jobqueue.errors import ConfigError

dask = pytest.importorskip("dask", reason="dask is not installed: pip install 'jobqueue[dask]'")
np = pytest.importorskip("numpy", reason="dask's arrays need NumPy")
pd = pytest.importorskip("pandas", reason="dask's DataFrames need pandas")
da = pytest.importorskip("dask.array", reason="dask's arrays are not installed")
db = pytest.importorskip("dask.bag", reason="dask's bags are not installed")
dd = pytest.importorskip("dask.dataframe", reason="dask's DataFrames are not installed")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, threads_per_worker=1) as client:
        yield client


def a_frame() -> Any:
    return pd.DataFrame(
        {
            "key": np.arange(60) % 7,
            "value": np.arange(60.0),
            "word": [f"w{i % 5}" for i in range(60)],
        }
    )


def frame() -> Any:
    return dd.from_pandas(a_frame(), npartitions=5)


def block() -> Any:
    return da.arange(144, chunks=36).reshape(12, 12)


COLLECTIONS: dict[str, Callable[[], Any]] = {
    "mean": lambda: (block() + block().T).mean(axis=0),
    "rechunked": lambda: block().rechunk((5, 12)).std(),
    "overlapping": lambda: da.arange(60, chunks=10).map_overlap(lambda x: x * 2, depth=1).sum(),
    "singular values": lambda: da.linalg.svd(da.ones((60, 4), chunks=(20, 4)))[1],
    "bag": lambda: db.range(40, npartitions=6).map(lambda i: i + 1).filter(lambda i: i % 2).sum(),
    "folded": lambda: db.range(30, npartitions=4).frequencies().map(lambda pair: pair[1]).sum(),
    "grouped": lambda: frame().groupby("key").value.agg(["sum", "mean"]),
    "merged": lambda: frame().merge(frame(), on="key").value_x.sum(),
    "sorted": lambda: frame().set_index("value").index.max(),
    "shuffled": lambda: frame().shuffle("word").value.sum(),
    "applied": lambda: frame().groupby("word").apply(lambda g: g.value.max(), meta=("v", "f8")),
    "delayed": lambda: dask.delayed(sum)([dask.delayed(add)(i, 1) for i in range(9)]),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collections_give_what_dask_gives(client: Client, name: str):
    """Arrays, bags, DataFrames and delayed calls, through `client.get`."""
    collection = COLLECTIONS[name]()
    found, expected = collection.compute(scheduler=client.get), collection.compute(scheduler="sync")
    if isinstance(expected, pd.DataFrame | pd.Series):
        pd.testing.assert_frame_equal(
            pd.DataFrame(found.sort_index()), pd.DataFrame(expected.sort_index())
        )
    else:
        assert np.allclose(found, expected)


def test_files_are_read_by_workers(client: Client, tmp_path: Path):
    """A folder of CSV files, grouped."""
    whole = a_frame()
    for i in range(3):
        whole.iloc[20 * i : 20 * i + 20].to_csv(tmp_path / f"{i}.csv", index=False)
    with dask.config.set(scheduler=client.get):
        means = dd.read_csv(str(tmp_path / "*.csv")).groupby("word").value.mean().compute()
    assert means.to_dict() == whole.groupby("word").value.mean().to_dict()


def test_what_is_built_upon_dask_computes_there(client: Client):
    """xarray asks dask, and dask asks us."""
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    array = xarray.DataArray(np.arange(60.0).reshape(12, 5), dims=("time", "x"))
    chunked = array.chunk({"time": 4})
    assert chunked.mean("time").compute().equals(array.mean("time"))
    assert float(chunked.persist().sum()) == float(array.sum())


def test_several_at_once_share_what_they_have_in_common(client: Client):
    """And what is no collection comes back as it is; in collections of Python's, too."""
    x = block()
    assert dask.compute(x.sum(), [x.max(), {"k": dask.delayed(abs)(-1)}], "no collection") == (
        10296,
        [143, {"k": 1}],
        "no collection",
    )
    futures = client.compute([x.sum(), dask.delayed(add)(1, 2), 7])
    assert client.gather(futures) == [10296, 3, 7]


def test_futures_are_parts_of_collections(client: Client):
    """In delayed calls, as the blocks of arrays and the partitions of DataFrames."""
    three = client.submit(add, 1, 2)
    assert dask.delayed(add)(three, 1).compute() == 4
    assert client.compute(dask.delayed(sum)([three, dask.delayed(add)(three, 1)])).result() == 7
    blocks = client.map(np.full, [4, 4, 4], [0, 1, 2])
    array = da.concatenate([da.from_delayed(dask.delayed(b), (4,), int) for b in blocks])
    assert array.sum().compute() == 12
    whole = a_frame()
    parts = client.map(lambda i: whole.iloc[20 * i : 20 * i + 20], range(3))
    assert dd.from_delayed(parts).value.sum().compute() == whole.value.sum()


@pytest.mark.parametrize("name", ["array", "bag", "frame", "delayed"])
def test_what_is_persisted_stays_on_the_workers(client: Client, name: str):
    """And is computed with further, by `client.persist` or by its own method."""
    collection = {
        "array": lambda: block() + 1,
        "bag": lambda: db.range(20, npartitions=3).map(lambda i: i + 1),
        "frame": lambda: frame().value + 1,
        "delayed": lambda: dask.delayed(add)(1, 2),
    }[name]()
    for kept in (client.persist(collection), collection.persist()):
        assert type(kept) is type(collection)
        assert client.who_has()
        total = kept if name == "delayed" else kept.sum()
        expected = collection if name == "delayed" else collection.sum()
        assert total.compute() == expected.compute(scheduler="sync")


def test_what_is_persisted_can_be_waited_for(client: Client):
    """As its futures can: by `wait`, `as_completed` and `progress`, and what takes futures."""
    kept = [block().persist(), db.range(6, npartitions=3).persist()]
    written = io.StringIO()
    progress(kept, file=written)
    assert "done" in written.getvalue()
    done, not_done = wait(kept)
    assert done == set(as_completed(kept)) == set(futures_in(kept))
    assert not not_done
    with pytest.raises(ConfigError, match="persist it first"):
        wait(block())


def test_an_error_says_its_task(client: Client):
    """As it was raised on the worker, with the key in dask's graph."""
    failing = block().map_blocks(lambda x: 1 // 0, dtype=int)
    with pytest.raises(ZeroDivisionError) as caught:
        failing.sum().compute()
    assert caught.value.__notes__[0].endswith("of the graph")
    with pytest.raises(ZeroDivisionError) as caught:
        client.compute(dask.delayed(add)(dask.delayed(divmod)(1, 0), 1)).result()
    assert caught.value.__notes__[0].startswith("in the task 'divmod-")


def test_shuffles_want_no_disk_that_all_workers_share(client: Client):
    """They go by tasks while a client computes, unless the user has said otherwise."""
    method = "dataframe.shuffle.method"
    assert dask.config.get(method) == "tasks"
    with dask.config.set({method: None}):
        with by_tasks():
            assert dask.config.get(method) == "tasks"
        assert dask.config.get(method) is None
    with dask.config.set({method: "disk"}), by_tasks():
        assert dask.config.get(method) == "disk"
    grouped = db.range(20, npartitions=4).groupby(lambda i: i % 3).map(lambda pair: sum(pair[1]))
    assert sorted(grouped.compute()) == [57, 63, 70]


# -- annotations -----------------------------------------------------------------------------------


def where(*_: Any) -> str:
    """Return the worker that runs it."""
    return get_worker().name


def test_tasks_run_where_they_are_annotated_to(client: Client):
    """By `dask.annotate`, by our own `annotate`, and as an option of `compute`."""
    client.wait_for_workers(2)
    names = sorted(client.nthreads())
    for name in names:
        with dask.annotate(workers=[name]):
            here = [dask.delayed(where, pure=False)(i) for i in range(4)]
        assert set(dask.compute(*here)) == {name}
        anywhere = [dask.delayed(where, pure=False)(i) for i in range(4)]
        assert set(client.gather(client.compute(anywhere, workers=name))) == {name}


def test_annotations_around_compute(client: Client):
    """They hold for all that is computed there, whatever it is, unless it has its own."""
    client.wait_for_workers(2)
    names = sorted(client.nthreads())
    for here, there in (names, names[::-1]):
        anywhere = [dask.delayed(where, pure=False)(i) for i in range(4)]
        with dask.annotate(workers=[there]):
            told = dask.delayed(where, pure=False)(4)
        with dask.annotate(workers=[here]):
            assert dask.compute(*anywhere, told) == (here, here, here, here, there)
            assert client.compute(anywhere[0], workers=there).result() == here
            assert client.get({"x": (where, 1)}, "x") == here
            assert dask.persist(anywhere[0])[0].compute() == here


def test_resources_are_waited_for():
    """A task that takes a GPU runs where there is one, and none beside it."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, resources={"GPU": 1}) as cluster,
        Client(cluster) as client,
    ):
        with dask.annotate(resources={"GPU": 1}):
            alone = [dask.delayed(one_at_a_time, pure=False)(i) for i in range(6)]
        assert dask.compute(*alone) == tuple(range(6))
        with dask.annotate(resources={"FPGA": 1}):
            never = dask.delayed(abs, pure=False)(-1)
        future = client.compute(never)
        assert client.compute(dask.delayed(abs)(-2)).result() == 2
        assert future.status == "pending"


_RUNNING = threading.Lock()


def one_at_a_time(i: int) -> int:
    """Fail if it runs twice at a time in a process."""
    assert _RUNNING.acquire(blocking=False)
    try:
        threading.Event().wait(0.005)
        return i
    finally:
        _RUNNING.release()


def test_tasks_are_tried_again_as_annotated(client: Client, tmp_path: Path):
    """Twice, and no more often."""

    def flaky(path: Path) -> int:
        with open(path, "a+") as file:
            file.write(".")
            file.seek(0)
            tries = len(file.read())
        if tries < 3:
            raise OSError(f"try {tries}")
        return tries

    with dask.annotate(retries=2):
        patient = dask.delayed(flaky, pure=False)(tmp_path / "patient")
    assert patient.compute() == 3
    with dask.annotate(retries=1):
        hasty = dask.delayed(flaky, pure=False)(tmp_path / "hasty")
    with pytest.raises(OSError, match="try 2"):
        hasty.compute()


def test_priorities_decide_what_goes_first(client: Client, tmp_path: Path):
    """Of what is ready at the same time."""
    name = min(client.nthreads())

    def note(word: str, *_: Any) -> None:
        with open(tmp_path / "order", "a") as file:
            file.write(f"{word} ")

    with dask.annotate(workers=[name]):
        gate = dask.delayed(abs, pure=False)(-1)
        low = [dask.delayed(note, pure=False)("low", gate) for _ in range(4)]
        with dask.annotate(priority=10):
            high = [dask.delayed(note, pure=False)("high", gate) for _ in range(4)]
    client.gather(client.compute([*low, *high], optimize_graph=False))
    assert (tmp_path / "order").read_text().split() == ["high"] * 4 + ["low"] * 4


def test_an_annotation_that_means_nothing_is_refused(client: Client):
    """As an option of `submit` would be."""
    with dask.annotate(retries=-1):
        wrong = dask.delayed(abs)(-1)
    with pytest.raises(ConfigError, match="retries=-1"):
        wrong.compute()
    with dask.annotate(pool="nowhere"):
        wrong = dask.delayed(abs)(-1)
    with pytest.raises(ConfigError, match="no pool 'nowhere'"):
        wrong.compute()


# -- memory ----------------------------------------------------------------------------------------


def test_a_reduction_stays_within_the_memory_of_the_workers():
    """Over blocks that take ten times what the workers have, in which no block is spilled.

    What makes blocks is faster than what uses them up: they pile up unless reductions go first, and
    few tasks stand in line at a worker.
    """
    limit, nbytes = 300_000_000, 4_000_000
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=limit) as cluster,
        Client(cluster) as client,
    ):
        assert da.arange(10, chunks=2).sum().compute(optimize_graph=False) == 45
        before, peak_before = client.submit(process_and_peak).result()
        size = 10 * limit // 8
        blocks = da.arange(size, chunks=nbytes // 8)
        assert blocks.sum().compute(optimize_graph=False) == size * (size - 1) // 2
        after, peak = client.submit(process_and_peak).result()
        assert after == before
        assert peak - peak_before < 15 * nbytes


def process_and_peak() -> tuple[int, int]:
    """Return a worker's process, and the most bytes it has ever taken."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return os.getpid(), int(line.split()[1]) * 1024


# -- beside dask's own -----------------------------------------------------------------------------


def run(script: str) -> list[str]:
    """Run a program of its own; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_distributed_is_not_imported_and_the_default_is_put_back():
    """Also if dask is imported after the client was made; what was set before is there again."""
    assert run(
        """
if True:
    import sys
    from jobqueue import Client
    client = Client(n_workers=1, threads_per_worker=1)
    assert "dask" not in sys.modules
    import dask
    assert dask.delayed(abs)(-1).compute() == 1
    print(type(dask.config.get("scheduler")).__module__, "distributed" in sys.modules)
    print(dask.config.get("dataframe.shuffle.method"))
    client.close()
    print(dask.config.get("scheduler", "nothing"), dask.config.get("dataframe.shuffle.method"))
    dask.config.set(scheduler="sync")
    with Client(n_workers=0) as first, Client(first.cluster) as second:
        print(dask.config.get("scheduler").__self__ is second)
        second.close()
        print(dask.config.get("scheduler").__self__ is first)
    print(dask.config.get("scheduler"), dask.delayed(abs)(-2).compute())
"""
    ) == ["jobqueue.client.default False", "tasks", "nothing None", "True", "True", "sync 2"]


def test_a_forked_process_computes_as_before():
    """It has no connection to the scheduler, so dask goes its own way there."""
    assert run(
        """
if True:
    import os, sys, warnings
    import dask
    from jobqueue import Client
    warnings.simplefilter("ignore", DeprecationWarning)
    client = Client(n_workers=1, threads_per_worker=1)
    pid = os.fork()
    if not pid:
        print(dask.delayed(abs)(-1).compute(scheduler=None), flush=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(dask.delayed(abs)(-2).compute())
    client.close()
"""
    ) == ["1", "2"]
