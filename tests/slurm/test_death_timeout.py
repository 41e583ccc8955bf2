"""Programs that end, in order or not, and what becomes of their jobs.

All programs of a kind run, and end, side by side; the tests then look at what was left.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobqueue import SLURMCluster

PREAMBLE = """
import gc, os, sys, time
from jobqueue import Client, SLURMCluster

def cluster(*directives, **keywords):
    return SLURMCluster(**{
        "cores": 1, "memory": "512MB", "walltime": "00:10:00", "death_timeout": 6,
        "job_extra_directives": ["--no-requeue", *directives], **keywords,
    })

def submitted(cluster, jobs=1):
    cluster.scale(jobs=jobs)
    while len(cluster.jobs) < jobs:
        time.sleep(0.05)
    return [job.job_id for job in cluster.jobs]

def say(*words):
    print(*words, flush=True)
"""


class Program:
    """A user's program in a process of its own, with a home of its own that the nodes see."""

    def __init__(self, home: Path, code: str) -> None:
        home.mkdir()
        self.home = home
        self.state = home / "state"
        script = home / "script.py"
        script.write_text(PREAMBLE + textwrap.dedent(code))
        places = {"HOME": str(home), "JOBQUEUE_STATE_DIRECTORY": str(self.state)}
        with (home / "stderr").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(script)],
                env={**os.environ, **places},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def listen(self) -> list[str]:
        """Wait for the next line that it prints; give its words."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the program has ended: {self.errors()}"
        return line.split()

    def errors(self) -> str:
        """Give what it wrote to standard error."""
        return (self.home / "stderr").read_text()

    def end(self, signum: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and wait for the end; give the status."""
        if signum is not None:
            self.process.send_signal(signum)
        self.process.communicate(timeout=90)
        return self.process.returncode

    def log(self, job: str) -> list[str]:
        """Give the lines that a job has written to its log."""
        [path] = self.state.glob(f"*/logs/*-{job}.err")
        return path.read_text().splitlines()


def begin(folder: Path, codes: Mapping[str, str]) -> dict[str, Program]:
    """Start programs side by side."""
    return {name: Program(folder / name.replace(" ", "-"), code) for name, code in codes.items()}


# --- programs that are killed -------------------------------------------------------------------

# What runs on the worker while its client is killed
WORK = {
    "nothing": "None",
    "a task that sleeps": "time.sleep(600)",
    "a task that lets other threads run": "for _ in range(6000): hashlib.sha256(bytes(1 << 28))",
    "a task that lets no other thread run": "re.match('(a+)+$', 'a' * 60 + 'b')",
}

WORKING = """
    def work(path):
        import hashlib, re, time
        open(path, "w").close()
        {work}

    mine = cluster()
    client = Client(mine)
    jobs = submitted(mine)
    begun = os.path.join(os.environ["HOME"], "begun")
    future = client.submit(work, begun)
    while not os.path.exists(begun):
        time.sleep(0.05)
    say(*jobs)
    time.sleep(600)
"""

# Jobs that run and jobs that wait, of a pool each
POOLS = """
    mine = cluster(pools={"second": {"job_extra_directives": ["--no-requeue", "--hold"]}})
    mine.scale(jobs=1)
    mine.scale(jobs=1, pool="second")
    client = Client(mine)
    client.wait_for_workers(1, timeout=60)
    while len(mine.jobs) < 2:
        time.sleep(0.05)
    say(*[job.job_id for job in sorted(mine.jobs, key=lambda job: job.pool)])
    time.sleep(600)
"""

WAITING = "mine = cluster('--hold'); say(*submitted(mine, jobs=2)); time.sleep(600)"

# A machine that is not there, and a port at which nobody listens
UNREACHABLE = """
    mine = cluster(contact_address=["{nobody}:4000", "{here}:9"])
    say(*submitted(mine))
    time.sleep(600)
"""


class Left(NamedTuple):
    """What one job of a killed program has left: the lines of its log, and its end in Slurm."""

    log: list[str]
    state: str


@pytest.fixture(scope="module")
def left(
    slurm_cluster: Any, tmp_path_factory: pytest.TempPathFactory, wait_until: Any
) -> Iterator[dict[str, list[Left]]]:
    """Jobs by name of their program; all programs were killed at the same moment."""
    slurm = slurm_cluster
    codes = {name: WORKING.format(work=work) for name, work in WORK.items()}
    codes["jobs that wait"] = WAITING
    codes["several pools"] = POOLS
    codes["an address that is wrong"] = UNREACHABLE.format(
        nobody=slurm.nobodys_address, here=slurm.login_address
    )
    programs = begin(tmp_path_factory.mktemp("killed"), codes)
    try:
        jobs = {name: program.listen() for name, program in programs.items()}
        for program in programs.values():
            program.end(signal.SIGKILL)
        array, _, _ = jobs["jobs that wait"][0].partition("_")
        slurm.run("scontrol", "release", array, jobs["several pools"][1])
        ours = {job for each in jobs.values() for job in each}
        wait_until(lambda: not ours & set(slurm.squeue()), 60, "the jobs to end themselves")
        yield {
            name: [Left(program.log(job), slurm.state(job)) for job in jobs[name]]
            for name, program in programs.items()
        }
    finally:
        for program in programs.values():
            program.end(signal.SIGKILL)
        slurm.cancel(slurm.squeue())


def ends(log: list[str]) -> str:
    """Check that a job's agent has the last word, and give it."""
    assert sum("agent: ends" in line for line in log) == 1, log
    assert "jobqueue agent: ends exit_code=3" in log[-1]
    assert 'cause="no scheduler within the death timeout"' in log[-1]
    return log[-1]


@pytest.mark.parametrize("work", WORK)
def test_jobs_of_a_killed_program_end_themselves(left: dict[str, list[Left]], work: str) -> None:
    """Within the death timeout, whatever runs there; the last line of the log says why."""
    [job] = left[work]
    assert job.state == "FAILED"
    assert "no scheduler for 6 s; " in ends(job.log)
    assert "refused, nobody listens there" in job.log[-1]
    itself = "lets nothing else run" not in job.log[-1]
    assert ("the connection ended" in job.log[-1]) == itself, "the agent has done it"


def test_the_death_timeout_is_a_minute_unless_told_otherwise(places: Path) -> None:
    """The script shows it to whoever wants to check."""
    with SLURMCluster(cores=1, memory="1GB") as cluster:
        assert " --death-timeout 60 " in cluster.job_script()


def test_jobs_that_start_after_their_program_was_killed_end_too(
    left: dict[str, list[Left]],
) -> None:
    """A pending job outlives its program; once it runs, it finds nobody, and says where."""
    assert len(left["jobs that wait"]) == 2
    for job in left["jobs that wait"]:
        last = ends(job.log)
        assert "no scheduler for 6 s; it was never reached; tried tls://" in last
        assert "refused, nobody listens there" in last


def test_jobs_of_every_pool_end_themselves(left: dict[str, list[Left]]) -> None:
    """The one that ran, and the one that started when nobody was there any more."""
    worked, waited = left["several pools"]
    assert "the connection ended" in ends(worked.log)
    assert "it was never reached" in ends(waited.log)


def test_a_job_that_reaches_nobody_says_what_it_tried(left: dict[str, list[Left]]) -> None:
    """Each address with what came of it."""
    last = ends(left["an address that is wrong"][0].log)
    assert "never reached; tried tls://10.77." in last
    assert re.search(r"\.[12]:9: refused", last)
    assert re.search(r"\.99:4000: (No route to host|timed out)", last)


# --- programs that end in order -----------------------------------------------------------------

# One job that runs a task, one that waits in the queue
BOTH = """
    mine, waiting = cluster(), cluster("--hold")
    client = Client(mine)
    jobs = submitted(mine) + submitted(waiting)
    client.wait_for_workers(1, timeout=60)
    future = client.submit(time.sleep, 600)
"""

ASYNCHRONOUS = """
    import asyncio

    async def main():
        async with cluster(asynchronous=True) as mine, cluster("--hold", asynchronous=True) as held:
            async with Client(mine, asynchronous=True) as client:
                mine.scale(jobs=1)
                held.scale(jobs=1)
                await client.wait_for_workers(1, timeout=60)
                while not held.jobs:
                    await asyncio.sleep(0.05)
                future = client.submit(time.sleep, 600)
                say(*[job.job_id for each in (mine, held) for job in each.jobs])
"""

ENDINGS = {
    "close": BOTH + "    say(*jobs); client.close(); mine.close(); waiting.close()",
    "a with block": BOTH + "    say(*jobs)\n    with mine, waiting, client: pass",
    "garbage collection": BOTH + "    say(*jobs); del mine, waiting, client, future; gc.collect()",
    "an async with block": ASYNCHRONOUS + "    asyncio.run(main())",
    "the end of the script": BOTH + "    say(*jobs)",
    "sys.exit": BOTH + "    say(*jobs); sys.exit(3)",
    "an exception": BOTH + "    say(*jobs); 1 / 0",
    "Ctrl-C": BOTH + "    say(*jobs); future.result()",
}

# How those end that end; the others stay until they are killed
STATUSES = {
    "the end of the script": 0,
    "sys.exit": 3,
    "an exception": 1,
    "Ctrl-C": -signal.SIGINT,
}


@pytest.fixture(scope="module")
def ended(
    slurm_cluster: Any, tmp_path_factory: pytest.TempPathFactory, wait_until: Any
) -> Iterator[dict[str, Program]]:
    """Programs that have ended, or stay on after their clusters have ended."""
    slurm = slurm_cluster
    codes = {name: f"{code}\n" for name, code in ENDINGS.items()}
    codes |= {
        name: codes[name] + "    time.sleep(600)\n" for name in ENDINGS if name not in STATUSES
    }
    programs = begin(tmp_path_factory.mktemp("ended"), codes)
    try:
        jobs = {name: program.listen() for name, program in programs.items()}
        ours = {job for each in jobs.values() for job in each}
        assert len(ours) == 2 * len(programs)
        programs["Ctrl-C"].process.send_signal(signal.SIGINT)
        for name in STATUSES:
            programs[name].end()
        wait_until(lambda: not ours & set(slurm.squeue()), 60, "all jobs to be cancelled")
        yield programs
    finally:
        for program in programs.values():
            program.end(signal.SIGKILL)
        slurm.cancel(slurm.squeue())


@pytest.mark.parametrize("ending", ENDINGS)
def test_jobs_go_with_their_program(
    ended: dict[str, Program], ending: str, wait_until: Any
) -> None:
    """Running and pending ones are gone from the queue, and their files with them."""
    program = ended[ending]
    wait_until(lambda: not list(program.state.iterdir()), message="the clusters' folders to go")
    assert program.process.poll() == STATUSES.get(ending), program.errors()
