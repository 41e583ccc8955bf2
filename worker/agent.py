"""The job agent: the process that a job's script becomes, and that runs the job's workers.

    python -m jobqueue.worker ADDRESS[,ADDRESS...] [options]

It starts the worker processes, starts crashed ones again, passes orders to end on to them, and
ends when they have ended; the last line of its log says why. What to do is decided in
`jobqueue.worker.supervise`; this file has the processes, signals and pipes.

One thread waits for all things at once: signals (through a wake-up pipe; SIGCHLD is one of them),
what workers write to standard error, their signs of life (see `jobqueue.worker.watch`), and the
next deadline. Standard error comes through pipes, because the last words of a crashed worker are
the best explanation there is, and a job's log, which may be a pipe itself, cannot be read back. The
price is that workers would wait if the agent didn't read: so nothing here blocks but writing to the
log, which would block the workers just as well; and should the agent be killed, the kernel kills
them too (`die_with_parent`) before a broken pipe could confuse them.

Standard library only, and little of it: until the agent runs, the job's CPUs are idle.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

import jobqueue
from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions, parse_arguments
from jobqueue.worker.board import SharedBoard
from jobqueue.worker.child import Child
from jobqueue.worker.endings import Seen, judge
from jobqueue.worker.errands import Errands
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.exit_record import ExitRecord, WorkerEnd, write_atomically
from jobqueue.worker.launch import start_worker, worker_argv
from jobqueue.worker.limits import available_cpus, available_memory, process_limit
from jobqueue.worker.overuse import KernelKills, Overuse
from jobqueue.worker.shares import staggered_lifetime, worker_options
from jobqueue.worker.signals import wakeup_pipe
from jobqueue.worker.supervise import (
    SIGNAL_REQUESTS,
    Action,
    End,
    GiveUp,
    Policy,
    Postpone,
    Signal,
    Spawn,
    Supervisor,
)
from jobqueue.worker.watch import Watch

# Reads of 64 KiB that empty the largest pipe there is, and some.
_PIPE_READS = 20

# Seconds at the end for telling the scheduler of ended workers, and removing what they left.
_LAST_ERRANDS = 3.0

# Ends after which nobody asks for a worker's last words.
_UNREMARKABLE = (
    ExitCode.TOLD_TO_END,
    ExitCode.RESTART,
    ExitCode.TERMINATED,
    -signal.SIGTERM,
)


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m jobqueue.worker") -> int:
    """Run a job agent, as its command does, and return its exit status."""
    options = parse_arguments(sys.argv[1:] if argv is None else argv, prog=prog)
    if options.credentials is None or options.scheduler_file is not None:
        from jobqueue.worker.contact import find_scheduler

        found = find_scheduler(options)
        if isinstance(found, str):
            Log().line("ends", exit_code=int(ExitCode.NO_SCHEDULER), cause=found)
            return ExitCode.NO_SCHEDULER
        options = found
    return Agent(options).run()


class Agent:
    """Runs the workers of one job; see the top of the file. Wants the main thread.

    Parameters
    ----------
    options
        The command line.
    argv
        The command that runs a worker process.
    policy
        Patience.
    log
        Where lines and the workers' standard error go.
    """

    def __init__(
        self,
        options: AgentOptions,
        *,
        argv: Sequence[str] | None = None,
        policy: Policy | None = None,
        log: Log | None = None,
    ) -> None:
        self._options = options
        self._argv = argv or worker_argv()
        self._log = log or Log()
        self._workers = worker_options(
            options, cpus=available_cpus(), memory=available_memory(), each=process_limit()
        )
        policy = policy or Policy()
        if not options.nanny:
            policy = policy._replace(restart_delays=())
        self._supervisor = Supervisor(
            len(self._workers), policy=policy, lifetime=staggered_lifetime(options)
        )
        self._watch = Watch(options.death_timeout)
        worker = self._workers[0]
        self._overuse = Overuse(worker.memory_limit, worker.memory_fractions.terminate)
        self._kernel_kills = KernelKills()
        self._errands = Errands(options, worker.local_directory or "", self._log)
        self._children: dict[int, Child] = {}  # by slot
        self._selector = selectors.DefaultSelector()
        self._identity = {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "job": options.job_id,
            "name": options.name,
        }
        self._record = ExitRecord(self._identity, started=time.time())
        self._end: End | None = None

    def run(self) -> int:
        """Run the workers until all have ended; return the agent's exit status."""
        self._log_start()
        with contextlib.suppress(OSError):  # a requeued job runs once more under its id
            os.unlink(self._options.exit_record or "")
        try:
            with wakeup_pipe([signal.SIGCHLD, *SIGNAL_REQUESTS]) as wakeup, self._selector:
                on_signals = partial(self._on_signals, wakeup)
                self._selector.register(wakeup, selectors.EVENT_READ, on_signals)
                self._perform(self._supervisor.start(time.monotonic()))
                while self._end is None:
                    self._turn()
        except BaseException as error:
            self._end = End(1, f"the agent failed: {error!r}")
            raise
        finally:
            self._leave(self._end)
        return int(self._end.exit_code)

    def _turn(self) -> None:
        """Wait until something happens, and let those know who decide."""
        deadlines = (
            self._supervisor.deadline(),
            self._watch.deadline(),
            self._overuse.deadline() if self._children else None,
        )
        deadline = min((time for time in deadlines if time is not None), default=None)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        for key, _ in self._selector.select(timeout):
            key.data()
        while self._errands.answers:
            self._on_answer(self._errands.answers.popleft())
        self._look_at_memory()
        self._reap()
        self._perform(self._supervisor.tick(time.monotonic()))
        if self._watch.asks(time.monotonic()):
            self._errands.look_for_scheduler()

    def _on_signals(self, wakeup: int) -> None:
        for signum in os.read(wakeup, 4096):
            if signum in SIGNAL_REQUESTS:
                request = SIGNAL_REQUESTS[signal.Signals(signum)]
                self._log.line(request.cause)
                self._perform(self._supervisor.asked_to_end(request, time.monotonic()))

    # Workers that cannot end themselves

    def _on_life(self, child: Child) -> None:
        try:
            signs = os.read(child.life, 4096)
        except BlockingIOError:
            return
        except OSError:
            signs = b""
        if signs:
            child.signs.read(signs)
            self._watch.alive(child.slot, time.monotonic())
        else:
            self._close_life(child)  # as the worker has done with its end

    def _close_life(self, child: Child) -> None:
        assert child.process.stdin is not None
        if not child.life_closed:
            self._selector.unregister(child.life)
            child.process.stdin.close()

    def _on_answer(self, missing: str) -> None:
        for slot in self._watch.answered(not missing, time.monotonic()):
            why = (
                f"no scheduler for {self._options.death_timeout:g} s; a task that lets nothing "
                f"else run kept the worker from ending itself; {missing}"
            )
            self._kill(self._children[slot], ExitCode.NO_SCHEDULER, why, "cannot end itself")

    def _look_at_memory(self) -> None:
        now, due = time.monotonic(), self._overuse.deadline()
        if due is None or now < due:
            return
        self._kernel_kills.recent(now)  # while it is known when it was
        pids = [(child.slot, child.process.pid) for child in self._children.values()]
        for slot, why in self._overuse.look(pids, now):
            self._kill(self._children[slot], ExitCode.MEMORY, why, "takes too much memory")

    def _kill(self, child: Child, meaning: ExitCode, why: str, fact: str) -> None:
        """Kill a worker in whose end the agent sees more than a signal."""
        if child.verdict is not None:  # killed a moment ago, and not reaped yet
            return
        child.verdict = meaning, why
        self._log.line(f"worker {fact}, is killed", worker=child.name, pid=child.process.pid)
        child.kill_group()

    # Actions

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Spawn(slot):
                    self._spawn(slot)
                case Signal(slot, signum):
                    self._signal(self._children[slot], signum)
                case Postpone(slot, delay, crashes):
                    name = self._workers[slot].name
                    self._log.line("worker will be restarted", worker=name, delay=f"{delay:g}s",
                                   crashes_in_a_row=crashes)  # fmt: skip
                case GiveUp(slot, crashes):
                    name = self._workers[slot].name
                    self._log.line("worker given up", worker=name, crashes_in_a_row=crashes)
                case End():
                    self._end = action

    def _spawn(self, slot: int) -> None:
        worker = self._workers[slot]
        board = SharedBoard.make()
        try:
            process = start_worker(self._argv, worker, board)
        except OSError as error:
            if board is not None:
                board.close()
            cause = f"could not be started: {error}"
            self._note_end(worker.name, None, None, cause, time.time(), [])
            self._perform(self._supervisor.exited(slot, None, time.monotonic()))
            return
        child = self._children[slot] = Child(slot, worker.name, process, board)
        for fd, on_data in ((child.stderr, self._copy_stderr), (child.life, self._on_life)):
            self._selector.register(fd, selectors.EVENT_READ, partial(on_data, child))
        self._watch.alive(slot, time.monotonic())
        self._log.line("worker started", worker=worker.name, pid=process.pid)

    def _signal(self, child: Child, signum: signal.Signals) -> None:
        if signum == signal.SIGKILL:
            self._log.line("worker does not end, is killed", worker=child.name,
                           pid=child.process.pid)  # fmt: skip
            child.kill_group()
        else:
            child.process.send_signal(signum)

    # Events

    def _reap(self) -> None:
        """Look which workers have ended."""
        ended = [child for child in self._children.values() if child.process.poll() is not None]
        for child in ended:
            del self._children[child.slot]
            self._watch.ended(child.slot)
            child.kill_group()
            if not child.life_closed:
                self._on_life(child)
            self._close_life(child)
            self._copy_stderr(child, to_the_end=True)
            self._on_ended(child)

    def _on_ended(self, child: Child) -> None:
        now, signs, status = time.monotonic(), child.signs, int(child.process.returncode)
        running, ended = child.take_board()
        out_of_memory = status == -signal.SIGKILL and self._kernel_kills.recent(now)
        seen = Seen(status, signs.worked, signs.signed_off, child.verdict,
                    self._supervisor.ending, out_of_memory)  # fmt: skip
        ending = judge(seen, death_timeout=self._options.death_timeout)
        lines = [] if ending.status in _UNREMARKABLE else child.tail.lines()
        if child.verdict is not None and ending.status == ExitCode.NO_SCHEDULER:
            lines = [child.verdict[1]]
        self._note_end(child.name, child.process.pid, ending.status, ending.cause, child.started,
                       lines)  # fmt: skip
        if ending.report:
            pid, tasks = child.process.pid, ended if running == [] else running
            self._errands.report(child.name, ending.cause, ending.blame, lines, tasks, pid)
        if signs.signed_off is None:
            self._errands.sweep()
        self._perform(
            self._supervisor.exited(
                child.slot, ending.status, now, worked=signs.worked, busy=running != []
            )
        )

    def _copy_stderr(self, child: Child, *, to_the_end: bool = False) -> None:
        """Copy what a worker wrote to the log, and keep the last of it."""
        assert child.process.stderr is not None
        if child.process.stderr.closed:
            return
        for _ in range(_PIPE_READS):
            try:
                data = os.read(child.stderr, 65536)
            except BlockingIOError:
                break
            if not data:
                self._close_stderr(child)
                return
            child.tail.add(data)
            self._log.write(data)
            if not to_the_end:
                return
        # A process that a task has put into a group of its own may hold the pipe open; it is no
        # longer a worker's, and what it writes is nobody's.
        self._close_stderr(child)

    def _close_stderr(self, child: Child) -> None:
        assert child.process.stderr is not None
        self._selector.unregister(child.stderr)
        child.process.stderr.close()

    def _note_end(
        self,
        name: str,
        pid: int | None,
        status: int | None,
        cause: str,
        started: float,
        last_lines: list[str],
    ) -> None:
        now = time.time()
        said = last_lines[-1].strip() if last_lines else None
        self._log.line("worker ended", worker=name, pid=pid, cause=cause,
                       ran=f"{now - started:.1f}s", said=said)  # fmt: skip
        self._record.add(WorkerEnd(name, pid, status, cause, started, now, last_lines))

    # Beginning and end

    def _log_start(self) -> None:
        worker, options = self._workers[0], self._options
        self._log.line(
            "started",
            **self._identity,
            python=".".join(map(str, sys.version_info[:3])),
            jobqueue=getattr(jobqueue, "__version__", None),
            executable=sys.executable,
            scheduler=",".join(options.addresses),
            workers=len(self._workers),
            threads=worker.nthreads,
            memory_limit=worker.memory_limit,
        )
        asked = options.memory_limit
        if asked and asked > 1 and asked != worker.memory_limit:
            self._log.line("workers' memory reduced to leave room for the agent",
                           asked=asked, limit=worker.memory_limit)  # fmt: skip
        for option in options.ignored:
            self._log.line("option without effect", **option._asdict())

    def _leave(self, end: End | None) -> None:
        """Leave nothing behind but the exit record and the last line."""
        for child in self._children.values():
            child.kill_group()
            child.take_board()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(1.0)
            for stream in (child.process.stdin, child.process.stderr):
                if stream is not None:
                    stream.close()
        self._errands.finish(_LAST_ERRANDS)
        if end is None:
            return
        fields = {"exit_code": int(end.exit_code), "cause": end.cause, "said": None}
        if end.exit_code in (ExitCode.NO_SCHEDULER, ExitCode.REFUSED, ExitCode.CRASHED):
            fields["said"] = self._record.last_words()
        path = self._options.exit_record
        if path is not None:
            try:
                write_atomically(path, self._record.to_json(**fields, ended=time.time()))
            except OSError as error:
                self._log.line("exit record not written", path=path, error=error)
        self._log.line("ends", **fields)
