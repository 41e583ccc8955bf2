"""A scheduler, a proxy before it, and job agents whose workers come through the proxy."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import psutil
from proxy import Proxy

from jobqueue import Scheduler
from jobqueue.scheduler.validation import validate

WORKER_TTL = 2.0
"""Seconds of silence; the scheduler looks once a second."""

DEATH_TIMEOUT = 20.0


class Agent:
    """A job agent's process."""

    def __init__(self, name: str, workers: int, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.process = process
        self.slots = {f"{name}-{index}" for index in range(workers)}  # those that are to work

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None


class Place:
    """What tasks are to be computed on, however it is treated.

    Parameters
    ----------
    protocol
        "tls" or "tcp".
    workers
        How many are wanted; agents that end are replaced.
    folder
        For logs.
    worker_ttl, allowed_failures
        As in `Scheduler`; no task is to fail for what happens to its workers, by default.
    spills
        Whether workers put all but a little of what they hold on disk.
    """

    def __init__(
        self,
        protocol: str,
        workers: int,
        folder: Path,
        *,
        worker_ttl: float = WORKER_TTL,
        allowed_failures: int = 1000,
        spills: bool = False,
    ) -> None:
        self.folder = folder
        self.wanted = workers
        self.agents: list[Agent] = []
        self.contradiction: str | None = None
        self._memory = ["1GiB", "--memory-target", "0.0002"] if spills else ["0"]
        self._warnings = Warnings()
        for name in ("jobqueue", "asyncio"):
            logging.getLogger(name).addHandler(self._warnings)
        self._started = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        os.environ["JOBQUEUE_STATE_DIRECTORY"] = str(folder / "state")
        self.scheduler = Scheduler(
            host="127.0.0.1",
            protocol=protocol,
            worker_ttl=worker_ttl,
            allowed_failures=allowed_failures,
            event_log=folder / "events.jsonl",
        )
        self.proxy = Proxy(int(self.scheduler.address.rpartition(":")[2]))
        self.address = f"{protocol}://127.0.0.1:{self.proxy.port}"
        self._fill()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        """Replace agents that have ended, and see that the scheduler does not contradict itself."""
        while not self._closing.wait(0.2):
            self._fill()
            if self.contradiction is None:
                self._validate()

    def _fill(self) -> None:
        with self._lock:
            self.agents = [agent for agent in self.agents if agent.alive]
            missing = self.wanted - sum(len(agent.slots) for agent in self.agents)
            while missing > 0:
                self._start_agent(min(missing, 2))
                missing -= 2

    def _validate(self) -> None:
        def check() -> None:
            state = self.scheduler.scheduler.state
            state.settle()
            validate(state)

        try:
            self.scheduler._call(check)
        except AssertionError:
            self.contradiction = traceback.format_exc()

    def _start_agent(self, workers: int) -> None:
        name = f"a{self._started}"
        self._started += 1
        assert self.scheduler.credentials is not None
        command = [
            sys.executable, "-m", "jobqueue.worker", self.address,
            "--credentials", f"{self.scheduler.credentials}/worker", "--name", name,
            "--nworkers", str(workers), "--nthreads", "2", "--host", "127.0.0.1",
            "--memory-limit", *self._memory, "--death-timeout", f"{DEATH_TIMEOUT:g}",
            "--local-directory", str(self.folder),
        ]  # fmt: skip
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.agents.append(Agent(name, workers, process))

    # -- what trouble needs to know ----------------------------------------------------------------

    def workers(self) -> list[tuple[str, int]]:
        """Return names and process ids of the worker processes that are there, stopped or not."""
        found = []
        with self._lock:
            agents = list(self.agents)
        for agent in agents:
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(agent.process.pid).children()
                found += [(f"{agent.name}'s", child.pid) for child in children]
        return sorted(found)

    def worker_ports(self) -> list[int]:
        """Return the ports from which workers' own connections come."""
        return sorted(self.ports_of_workers().values())

    def ports_of_workers(self) -> dict[str, int]:
        """Return the same, by name of the worker."""
        server = self.scheduler.scheduler

        def ask() -> dict[str, int]:
            comms = server.connections._comms
            return {
                name: int(comms[worker].peer_address.rpartition(":")[2])
                for name, worker in server.state.workers.items()
            }

        return self.scheduler._call(ask)

    def retired(self, name: str) -> None:
        """Take note that a worker will end, and not come back."""
        with self._lock:
            for agent in self.agents:
                agent.slots.discard(name)

    def complaints(self) -> list[str]:
        """Return what was said, anywhere, that can only be said of a fault in the program."""
        found = [] if self.contradiction is None else [self.contradiction]
        found += self._warnings.faults
        for path in sorted(self.folder.glob("*.log")):
            text = path.read_text(errors="replace")
            found += [f"{path}: {text[at : at + 2000]}" for at in _places(text)][:1]
        return found

    def calm(self) -> None:
        """Let everything go on that was stopped or cut."""
        self.proxy.heal()
        for _, pid in self.workers():
            send_signal(pid, signal.SIGCONT)
        with self._lock:
            for agent in self.agents:
                send_signal(agent.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End everything."""
        self._closing.set()
        self._keeper.join()
        self.calm()
        self.scheduler.close()
        deadline = time.monotonic() + 15
        for agent in self.agents:
            try:
                agent.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                agent.process.kill()
                agent.process.wait()
        self.proxy.close()
        for name in ("jobqueue", "asyncio"):
            logging.getLogger(name).removeHandler(self._warnings)


class Warnings(logging.Handler):
    """Keeps what is logged in this process of errors that nobody has caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record."""
        text = self.format(record)
        uncaught = record.levelno >= logging.ERROR and ASYNCIOS_OWN not in text
        if uncaught or text.startswith("connection ended peer="):
            self.faults.append(text)


SIGNS = re.compile("Traceback \\(most|never retrieved|Exception in ")

ASYNCIOS_OWN = "_call_connection_lost"
"""The TLS of asyncio in Python 3.11 writes once more while it hears that there is room again. If
that fails, the transport ends twice, and stumbles the second time."""


def _places(text: str) -> list[int]:
    """Return where a log tells of an error that nobody has caught."""
    found = [match.start() for match in SIGNS.finditer(text)]
    return [at for at in found if ASYNCIOS_OWN not in text[at : at + 900]]


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def new_folder() -> Path:
    """Return a new folder for all that a run leaves."""
    return Path(tempfile.mkdtemp(prefix="jq-chaos-"))
