"""Workers beside the engines of a real IPython Parallel cluster."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from jobqueue import Client, client_from_ipyparallel
from jobqueue.errors import CommError, ConfigError

ipyparallel = pytest.importorskip("ipyparallel", reason="ipyparallel is not installed here")

pytestmark = pytest.mark.filterwarnings("ignore")  # zmq's and tornado's own


@pytest.fixture(scope="module")
def ipclient(tmp_path_factory):
    """A client of two engines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        cluster = ipyparallel.Cluster(n=2, log_level=40)
        client = cluster.start_and_connect_sync()
        yield client
        client.close()
        cluster.stop_cluster_sync()


def test_engines_bring_workers_and_stay(ipclient, wait_until):
    """Tasks run beside them, and when the client is closed only the engines are left."""
    assert len(ipclient.ids) == 2
    engines = ipclient[:].apply_sync(os.getpid)
    with client_from_ipyparallel(ipclient, resources={"R": 1}, nthreads=2) as client:
        assert isinstance(client, Client)
        assert client.gather(client.map(abs, range(-3, 0))) == [3, 2, 1]
        assert sorted(client.nthreads().values()) == [2, 2]
        assert client.submit(abs, -1, resources={"R": 1}).result() == 1
        pids = client.run(os.getpid)
        assert sorted(pids) == ["engine-0-0", "engine-1-0"]
        assert not set(pids.values()) & set(engines)
        assert ipclient[:].apply_sync(abs, -1) == [1, 1]
        address = client.cluster.address
        assert address.startswith("tls://")

    def ended():
        return not any(os.path.exists(f"/proc/{pid}") for pid in pids.values())

    wait_until(ended, message="the workers to end")
    assert ipclient[:].apply_sync(os.getpid) == engines
    with client_from_ipyparallel(ipclient, targets=[1]) as client:
        assert sorted(client.nthreads()) == ["engine-1-0"]


def test_a_worker_that_does_not_come_is_explained(ipclient):
    """By the last words of its job agent."""
    with pytest.raises(CommError, match=r"(?s)worker of engine 0 does not come: .*'bread'"):
        client_from_ipyparallel(ipclient, targets=[0], memory_limit="bread")
    with pytest.raises(CommError, match=r"engine 0 starts no worker within 0\.001 s"):
        client_from_ipyparallel(ipclient, targets=[0], timeout=0.001)


def test_what_cannot_be_meant_is_refused(ipclient):
    """With what there is."""
    with pytest.raises(ConfigError, match="no client of IPython Parallel"):
        client_from_ipyparallel("profile")
    with pytest.raises(ConfigError, match="no engines are there"):
        client_from_ipyparallel(SimpleNamespace(ids=[]))
    with pytest.raises(ConfigError, match=r"no engine 7; there are \[0, 1\]"):
        client_from_ipyparallel(ipclient, targets=[7])
    with pytest.raises(ConfigError, match="at least one thread"):
        client_from_ipyparallel(ipclient, nthreads=0)
    with pytest.raises(ConfigError, match=r"targets=\[\]: name engines, or leave it out"):
        client_from_ipyparallel(ipclient, targets=[])
    with pytest.raises(ConfigError, match=r"\(intreface=…\): there is no .*nthreads.*, interface"):
        client_from_ipyparallel(ipclient, intreface="eth0")


def test_a_worker_ends_with_its_engine(ipclient, wait_until):
    """Its tasks run at another's."""
    engine = ipclient[0].apply_sync(os.getpid)
    with client_from_ipyparallel(ipclient) as client:
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: list(client.nthreads()) == ["engine-1-0"], message="the loss")
        assert client.submit(abs, -1).result() == 1
