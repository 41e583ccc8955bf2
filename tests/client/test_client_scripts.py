"""Whole programs, run as users run them: `__main__`, Ctrl-C, and the interpreter's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PRELUDE = """
from jobqueue import Client, LocalCluster, as_completed, wait


def below():
    import psutil

    return [process.pid for process in psutil.Process().children(recursive=True)]

"""


def ended(pids):
    """Wait until processes have ended; give those that have not."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return psutil.wait_procs(processes, timeout=30)[1]


def test_modules_beside_the_script_are_found_from_any_folder(tmp_path):
    """A program started from elsewhere may use functions of its own modules on workers."""
    (tmp_path / "recipes.py").write_text("def bake(x):\n    return x * 2\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import recipes\nfrom jobqueue import Client\n"
        "if __name__ == '__main__':\n"
        "    with Client() as client:\n"
        "        print(client.submit(recipes.bake, 21).result())\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=55, cwd="/"
    )
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_names_of_main_travel(run_script):
    """Functions, classes and exceptions of the script itself work on workers, and come back."""
    done = run_script(
        PRELUDE
        + """
import dataclasses

SCALE = 10


class Trouble(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


@dataclasses.dataclass
class Point:
    x: int

    def scaled(self):
        return Point(self.x * SCALE)


def work(point):
    if point.x < 0:
        raise Trouble(point.x)
    return point.scaled()


with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster) as client:
    good, bad = client.map(work, [Point(4), Point(-4)])
    result = good.result(30)
    assert type(result) is Point and result == Point(40), result
    try:
        bad.result(30)
    except Trouble as error:
        assert error.code == -4
    print(client.submit(Point(1).scaled).result(30), client.submit(Point, 2).result(30).x)
    future = client.submit(work, Point(-9))
    wait([future])
    future.result()
""",
        fails=True,
    )
    assert done.stdout == "Point(x=10) 2\n"
    assert "Traceback on worker local-1-0" in done.stderr
    assert "raise Trouble(point.x)" in done.stderr
    assert done.stderr.rstrip().endswith("Trouble: -9")


def test_modules_beside_the_script(run_script, tmp_path):
    """A module in the script's folder can be imported by tasks."""
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    done = run_script(
        PRELUDE
        + """
import helper

with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster) as client:
    print(client.submit(helper.double, 21).result(30))
"""
    )
    assert done.stdout == "42\n"


@pytest.mark.parametrize("ending", ["", "raise SystemExit(0)", "del client", "del cluster"])
def test_the_end_of_a_program_that_closes_nothing(run_script, ending):
    """Nothing is printed, and no process is left, whatever stands open."""
    done = run_script(
        PRELUDE
        + f"""
cluster = LocalCluster(n_workers=1, threads_per_worker=1)
client = Client(cluster)
large = client.submit(bytes, 100_000)
wait([large])
futures = client.map(abs, range(1000))
iterator = as_completed(futures)
next(iterator)
print(*below())
{ending}
"""
    )
    assert done.stderr == ""
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    assert not ended(pids)


def test_the_end_of_a_program_with_a_client_of_its_own_cluster(run_script):
    """`Client()` without more, never closed, in the middle of work."""
    done = run_script(
        PRELUDE
        + """
client = Client()
futures = client.map(abs, range(10_000))
futures[0].result(30)
print(*below())
"""
    )
    assert done.stderr == ""
    assert not ended(int(pid) for pid in done.stdout.split())


def test_the_end_of_an_asynchronous_program(run_script):
    """An event loop that ends with everything open, and one that is interrupted by an error."""
    done = run_script(
        PRELUDE
        + """
import asyncio


async def main():
    client = await Client(asynchronous=True)
    print(await client.submit(abs, -1))
    print(*below())
    client.map(abs, range(10))


asyncio.run(main())
"""
    )
    first, pids = done.stdout.splitlines()
    assert first == "1"
    assert "Traceback" not in done.stderr
    assert not ended(int(pid) for pid in pids.split())


INTERRUPTED = (
    PRELUDE
    + """
import sys, time

FIFO, WAY = sys.argv[1:]


def held(path):
    with open(path) as pipe:
        return pipe.read()


with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster) as client:
    client.wait_for_workers(1, timeout=30)
    future = client.submit(held, FIFO)
    waits = {
        "result": lambda: future.result(),
        "gather": lambda: client.gather([future]),
        "wait": lambda: wait([future]),
        "as_completed": lambda: next(as_completed([future])),
        "workers": lambda: client.wait_for_workers(9),
    }
    try:
        print("waiting", flush=True)  # from here on, the signal may come
        waits[WAY]()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    with open(FIFO, "w") as pipe:
        pipe.write("go")
    print(future.result(30), client.submit(abs, -1).result(30))
    print(*below())
"""
)


@pytest.mark.parametrize("way", ["result", "gather", "wait", "as_completed", "workers"])
def test_control_c_while_waiting(tmp_path, way):
    """KeyboardInterrupt ends the wait, not the task; client and workers go on."""
    (tmp_path / "script.py").write_text(INTERRUPTED)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "script.py", str(fifo), way],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        until_main_thread_sleeps(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        out, err = process.communicate(timeout=50)
    assert err == ""
    lines = out.splitlines()
    assert lines[:2] == ["interrupted", "go 1"]
    assert not ended(int(pid) for pid in lines[2].split())


def until_main_thread_sleeps(pid):
    """Return when a program's main thread waits for a lock."""
    path = Path(f"/proc/{pid}/task/{pid}/wchan")
    while not path.read_text().startswith("futex"):
        assert psutil.pid_exists(pid)


def test_control_c_ends_a_program(tmp_path):
    """An unhandled KeyboardInterrupt leaves no process behind."""
    (tmp_path / "script.py").write_text(
        PRELUDE
        + """
client = Client()
client.wait_for_workers(1, timeout=30)
print(*below(), flush=True)
client.wait_for_workers(1000)
"""
    )
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        until_main_thread_sleeps(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=50)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert pids
    assert not ended(pids)


def test_multiprocessing_beside_a_client(run_script):
    """A program may fork workers of its own while it has a client; they disturb nothing."""
    done = run_script(
        PRELUDE
        + """
import multiprocessing

with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster) as client:
    futures = client.map(abs, range(-100, 0))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.map(abs, range(-100, 0))))
    print(sum(client.gather(futures)))
"""
    )
    assert done.stdout == "5050\n5050\n"


def test_a_forked_child_that_exits_leaves_the_cluster_alone(run_script):
    """Neither its exit handlers nor its collections end what belongs to the parent."""
    done = run_script(
        PRELUDE
        + """
import gc, os, sys, warnings

warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)  # of Python 3.12 and newer
cluster = LocalCluster(n_workers=1, threads_per_worker=1)
client = Client(cluster)
future = client.submit(bytes, 100_000)
wait([future])
child = os.fork()
if not child:
    del future, client, cluster
    gc.collect()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(len(future.result(30)), client.submit(abs, -1).result(30), len(cluster.jobs))
"""
    )
    assert done.stdout == "100000 1 1\n"
    assert done.stderr == ""
