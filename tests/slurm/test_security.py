"""A cluster on the real Slurm, and somebody else's process on one of its nodes."""

from __future__ import annotations

import base64
import json
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.comm import Credentials, parse_address

JOB: dict[str, Any] = {
    "cores": 2,
    "memory": "1GB",
    "processes": 2,
    "walltime": "00:10:00",
    "job_extra_directives": ["--exclusive"],
}

# Everything at once, on a node, with credentials of another cluster and bytes of all kinds
SIEGE = """
import asyncio, contextlib, json, os, socket, struct, sys
from jobqueue.comm import Credentials, connect, parse_address
from jobqueue.errors import CommError
from jobqueue.protocol.hello import PYTHON, WorkerFacts

address, folder = sys.argv[1:]
place = parse_address(address).host, parse_address(address).port
said = {"silent": 0, "noisy": 0, "foreign": []}
silent = []
for number in range(300):
    sock = socket.create_connection(place, timeout=30)
    if number % 2:
        sock.sendall(b"\\x16\\x03\\x01\\x02\\x00\\x01")
    silent.append(sock)
    said["silent"] += 1
for data in (os.urandom(100_000), bytes(100_000), struct.pack("!II", 1 << 31, 0) * 100):
    with socket.create_connection(place, timeout=30) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(data)
        while answer := sock.recv(1000):
            said["noisy"] += len(answer)
hellos = {
    "worker": WorkerFacts(name="intruder", nthreads=1).to_hello(),
    "client": {"role": "client", "name": "intruder", "python": PYTHON},
}
for role, hello in hellos.items():
    credentials = Credentials.load(os.path.join(folder, role))
    try:
        asyncio.run(connect(address, hello=hello, credentials=credentials, timeout=30))
    except CommError as error:
        said["foreign"].append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def lab(
    slurm_cluster: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SLURMCluster, Client]]:
    """A cluster with two jobs of two workers, each job on a node of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("JOBQUEUE_STATE_DIRECTORY", str(home / "state"))
        with SLURMCluster(**JOB) as cluster, Client(cluster) as client:
            cluster.scale(jobs=2)
            client.wait_for_workers(4, timeout=60)
            yield cluster, client


def slowly(number: int) -> int:
    time.sleep(0.01)
    return -number


def processes(cluster: SLURMCluster) -> list[psutil.Process]:
    """The agents of all jobs, and their workers, as this machine sees them."""
    jobs = {job.job_id for job in cluster.jobs}
    agents = [
        process
        for process in psutil.process_iter(["cmdline"])
        if jobs & set(process.info["cmdline"] or ())
        and "jobqueue.worker" in process.info["cmdline"]
    ]
    return [each for agent in agents for each in (agent, *agent.children())]


def test_a_siege_from_a_node_costs_nothing(
    slurm: Any, lab: tuple[SLURMCluster, Client], places: Path
) -> None:
    """Silent, noisy and foreign peers at scheduler and workers; all results are right meanwhile."""
    cluster, client = lab
    Credentials.create(cluster.name).save(places / "foreign")
    script = places / "siege.py"
    script.write_text(textwrap.dedent(SIEGE))
    workers = cluster.scheduler.workers()
    port = cluster.scheduler_address.rpartition(":")[2]
    targets = [f"tls://{slurm.login_address}:{port}"]
    targets += [next(iter(worker.addresses)) for worker in workers[:1]]
    futures = client.map(slowly, range(1000))
    for target in targets:
        argv = [sys.executable, str(script), target, str(places / "foreign")]
        said = json.loads(slurm.exec(len(slurm.nodes), argv))
        assert said["silent"] == 300
        assert said["noisy"] < 100, "an alert at most"
        assert len(said["foreign"]) == 2
        assert all(text.startswith("AuthenticationFailed") for text in said["foreign"])
    assert client.gather(futures) == [-number for number in range(1000)]
    assert client.submit(sum, [1, 2]).result(timeout=60) == 3
    assert {w.name for w in cluster.scheduler.workers()} == {w.name for w in workers}


def test_no_secret_is_shown_by_slurm_or_the_nodes(
    slurm: Any, lab: tuple[SLURMCluster, Client]
) -> None:
    """What batch systems show to everybody: script, job, command lines; and environments, logs."""
    cluster, _ = lab
    [job, other] = cluster.jobs
    shown = {
        "job": slurm.run("scontrol", "show", "job", "--details", job.job_id),
        "script": slurm.run("scontrol", "write", "batch_script", job.job_id, "-"),
        "accounting": slurm.run("sacct", "-P", "-j", job.job_id, "-o", "ALL"),
        "queue": slurm.run("squeue", "-o", "%all"),
        "our script": cluster.job_script(),
        "log": cluster.logs(job) + cluster.logs(other),
    }
    found = processes(cluster)
    assert len(found) == 6
    for process in found:
        for name in ("cmdline", "environ"):
            shown[f"{process.pid} {name}"] = (Path("/proc") / str(process.pid) / name).read_text()
    credentials = cluster.credentials
    assert credentials is not None
    for one in (credentials, *credentials.others.values()):
        lines = [line for line in one.key.decode().splitlines() if "---" not in line]
        forms = [*lines, one.token.hex(), base64.b64encode(one.token).decode()]
        assert not [name for name in shown for form in forms if form and form in shown[name]]
    assert "--credentials" in shown["script"], "the folder, and no more"


def test_nodes_listen_with_nothing_but_the_workers(
    slurm: Any, lab: tuple[SLURMCluster, Client], listening: Any
) -> None:
    """One TLS port for each worker, none for an agent."""
    cluster, _ = lab
    ports = {
        f"tcp:{parse_address(address).port}"
        for worker in cluster.scheduler.workers()
        for address in worker.addresses
    }
    assert len(ports) == 4
    doors = [listening(process.pid) for process in processes(cluster)]
    assert sorted(map(len, doors)) == [0, 0, 1, 1, 1, 1]
    assert set().union(*doors) == ports
