"""What a worker tells tasks of itself."""

from __future__ import annotations

import tempfile

import pytest

from jobqueue import Client, LocalCluster, get_worker
from jobqueue.protocol.serialize import dumps
from jobqueue.worker.facts import Data, Facts
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.peers import PeerServer
from jobqueue.worker.spill import SpillingStore
from jobqueue.worker.spill_folder import SpillFolder
from jobqueue.worker.store import Store


def test_a_worker_says_where_it_is_and_what_it_has():
    """As its agent has told it; a folder it has in any case."""
    store = Store({})
    options = WorkerOptions(("unix:///run/s",), "w-0", nthreads=3, memory_limit=1 << 30)
    worker = Facts(options, store, PeerServer(store, None))
    assert (worker.id, worker.name, worker.nthreads) == ("w-0", "w-0", 3)
    assert worker.memory_limit == 1 << 30
    assert worker.local_directory == tempfile.gettempdir()
    assert worker.address == ""  # it does not listen yet
    told = options._replace(local_directory="/scratch")
    assert Facts(told, store, PeerServer(store, None)).local_directory == "/scratch"


def stores(folder):
    """Without and with files for what memory has no room for."""
    return Store({}), SpillingStore(SpillFolder(str(folder)), target=0)


def test_its_data_can_be_read(tmp_path):
    """What it has made, and what it has been sent; no other key, and nothing to be written."""
    for store in stores(tmp_path):
        check_data(store)
        store.close()


def check_data(store):
    """See that a store can be read."""
    data = Data(store)
    store.put("made", 1)
    store.put_serialized("sent", dumps(2))
    assert dict(data) == {"made": 1, "sent": 2}
    assert len(data) == 2
    assert "sent" in data
    assert "other" not in data
    assert repr(data) == "<Data of 2 results>"
    with pytest.raises(KeyError):
        data["other"]
    with pytest.raises(TypeError):
        data["made"] = 3


def test_a_task_asks_its_worker():
    """Which is the one that the client knows by that name."""

    def facts(earlier):
        worker = get_worker()
        return worker.name, worker.address, worker.nthreads, sorted(worker.data)

    with LocalCluster(n_workers=1, threads_per_worker=2) as cluster, Client(cluster) as client:
        large = client.submit(bytes, 100_000)
        name, address, nthreads, keys = client.submit(facts, large).result(30)
        assert client.nthreads() == {name: nthreads} == {name: 2}
        assert address.startswith("unix://")
        assert large.key in keys
