"""The embedded batch system's daemon: starts jobs when a node is free, and sees to their end.

There is one per folder, as long as there are jobs; whichever command needs it starts it.  As with
Slurm, a job's end by cancellation or walltime is TERM, and KILL a while later; what a job script
leaves behind is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jobqueue.batch.embedded_store import Store, StoredJob

NODES = 4
"""Jobs that run at the same time, each as if it had a node to itself."""

KILL_WAIT = 10.0
"""Seconds between TERM and KILL."""

TURN = 0.05
"""Seconds between two looks at everything."""

IDLE = 3.0
"""Seconds without a job after which the daemon ends."""


def ensure_running(store: Store) -> None:
    """Start the daemon if none runs and one is needed; hold the store's lock."""
    if all(job.over for job in store.jobs()):
        return
    with open(store.folder / "daemon.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    with open(store.folder / "daemon.log", "ab") as log:
        # Not waited for: it outlives this command, and is the init process's child then.
        subprocess.Popen(
            [sys.executable, "-m", "jobqueue.batch.embedded_daemon", str(store.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


class Daemon:
    """Runs the jobs of one folder.

    Parameters
    ----------
    store
        The folder.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._ending: dict[int, tuple[str, float]] = {}  # number -> state to come, when to kill

    def run(self) -> None:
        """Serve until there has been nothing to do for a while."""
        for job in self.store.jobs():
            if job.state == "RUNNING":  # of a daemon that was killed
                _kill_session(job.pid, signal.SIGKILL)
                self._finish(job, "NODE_FAIL")
        idle_since = time.monotonic()
        while True:
            if self.turn():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE:
                with self.store.locked():
                    if all(job.over for job in self.store.jobs()):
                        os._exit(0)  # while the lock is held: whoever comes next sees no daemon
            time.sleep(TURN)

    def turn(self) -> bool:
        """Look at every job once; return whether there is any that has not ended."""
        jobs = [job for job in self.store.jobs() if not job.over]
        for job in jobs:
            if job.number in self._processes:
                self._watch(job)
            elif self.store.cancel_asked(job):
                self._cancel_pending(job)
        busy = {job.node for job in jobs if job.number in self._processes}
        free = iter(node for node in map("node{}".format, range(1, NODES + 1)) if node not in busy)
        for job in jobs:
            if job.state == "PENDING":
                self._start_on(job, next(free, ""))
        return bool(jobs)

    def _start_on(self, job: StoredJob, node: str) -> None:
        if not node:
            if job.reason != "Resources":
                job.reason = "Resources"
                self.store.write(job)
            return
        job.node = node
        try:
            process = _start(job, self.store.folder)
        except OSError as error:
            print(f"job {job.job_id}: {error}", file=sys.stderr, flush=True)
            self._finish(job, "FAILED", exit_code=1)
            return
        self._processes[job.number] = process
        job.state, job.reason, job.pid, job.started = "RUNNING", "None", process.pid, time.time()
        self.store.write(job)

    def _cancel_pending(self, job: StoredJob) -> None:
        if job.array is None:
            self._finish(job, "CANCELLED")
        else:  # as with Slurm, an element cancelled before it started leaves no trace
            job.state = "CANCELLED"
            self.store.forget(job)

    def _watch(self, job: StoredJob) -> None:
        process = self._processes[job.number]
        status = process.poll()
        if status is None:
            self._end_in_time(job)
            return
        _kill_session(process.pid, signal.SIGKILL)
        del self._processes[job.number]
        code, signum = (0, -status) if status < 0 else (status, 0)
        state, _ = self._ending.pop(job.number, ("FAILED" if status else "COMPLETED", 0.0))
        self._finish(job, state, exit_code=code, signum=signum)

    def _end_in_time(self, job: StoredJob) -> None:
        """TERM for a job that is to end, KILL for one that did not."""
        now = time.time()
        if job.number in self._ending:
            if now > self._ending[job.number][1]:
                _kill_session(job.pid, signal.SIGKILL)
            return
        late = job.time_limit is not None and now > job.started + job.time_limit
        if late or self.store.cancel_asked(job):
            state = "TIMEOUT" if late else "CANCELLED"
            self._ending[job.number] = (state, now + KILL_WAIT)
            _kill_session(job.pid, signal.SIGTERM)

    def _finish(self, job: StoredJob, state: str, *, exit_code: int = 0, signum: int = 0) -> None:
        job.state, job.exit_code, job.signal, job.ended = state, exit_code, signum, time.time()
        job.reason = {"FAILED": "NonZeroExitCode", "TIMEOUT": "TimeLimit"}.get(state, "None")
        self.store.write(job)


def _start(job: StoredJob, folder: Path) -> subprocess.Popen[bytes]:
    script = folder / f"script-{job.number}"
    script.write_text(job.script)
    script.chmod(0o700)
    environment = job.environment | {
        "SLURM_JOB_ID": str(job.number),
        "SLURM_JOBID": str(job.number),
        "SLURM_JOB_NAME": job.name,
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_NODELIST": job.node,
        "SLURMD_NODENAME": job.node,
        "SLURM_CPUS_PER_TASK": str(job.cpus),
        "SLURM_CPUS_ON_NODE": str(job.cpus),
        "SLURM_SUBMIT_DIR": job.folder,
    }
    if job.array is not None:
        environment["SLURM_ARRAY_JOB_ID"] = str(job.array)
        environment["SLURM_ARRAY_TASK_ID"] = str(job.index)
    with contextlib.ExitStack() as files:
        out = files.enter_context(open(job.stdout, "ab"))
        err = out if job.stderr == job.stdout else files.enter_context(open(job.stderr, "ab"))
        return subprocess.Popen(
            [str(script)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=job.folder,
            env=environment,
            start_new_session=True,
        )


def _kill_session(session: int, signum: signal.Signals) -> None:
    """Signal every process of a job: those of the session that its script began."""
    for pid in list(_session(session)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _session(session: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(name)) == session:
                    yield int(name)


def main() -> None:
    """Be the daemon, unless there is one."""
    store = Store(Path(sys.argv[1]))
    with open(store.folder / "daemon.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        os.set_inheritable(file.fileno(), False)
        Daemon(store).run()


if __name__ == "__main__":
    main()
