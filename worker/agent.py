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

import os
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial

from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions, parse_arguments
from jobqueue.worker.board import SharedBoard
from jobqueue.worker.child import Child
from jobqueue.worker.chronicle import Chronicle
from jobqueue.worker.deadline import Deadline, find_deadline
from jobqueue.worker.endings import Seen, judge, last_lines
from jobqueue.worker.errands import Errands
from jobqueue.worker.exit_codes import ExitCode, Kind
from jobqueue.worker.exit_record import WorkerEnd
from jobqueue.worker.launch import Order, give_order, start_worker, worker_argv
from jobqueue.worker.limits import available_cpus, available_memory, process_limit
from jobqueue.worker.nodefile import remove_nodefile, write_nodefile
from jobqueue.worker.orders import (
    SIGNAL_REQUESTS,
    Action,
    Drain,
    End,
    GiveUp,
    Kill,
    Policy,
    Postpone,
    Spawn,
)
from jobqueue.worker.overuse import KernelKills, Overuse
from jobqueue.worker.shares import PLACE, staggered_lifetime, worker_options
from jobqueue.worker.signals import wakeup_pipe
from jobqueue.worker.supervise import Supervisor
from jobqueue.worker.watch import Watch

# Seconds at the end for telling the scheduler of ended workers, and removing what they left.
_LAST_ERRANDS = 3.0


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m jobqueue.worker") -> int:
    """Run a job agent, as its command does, and return its exit status."""
    options = parse_arguments(sys.argv[1:] if argv is None else argv, prog=prog)
    found: AgentOptions | str = options
    if options.nodes > 1:
        from jobqueue.worker.nodes import at_this_node

        found = at_this_node(options, os.environ, os.uname().nodename)
    if isinstance(found, AgentOptions) and (not found.credentials or found.scheduler_file):
        from jobqueue.worker.contact import find_scheduler

        options, found = found, find_scheduler(found)
    if isinstance(found, str):
        end = End(ExitCode.NO_SCHEDULER, found, Kind.CRASHED)
        Chronicle(options, Log()).ends(end)
        return end.exit_code
    return Agent(found).run()


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
        self._chronicle = Chronicle(options, self._log)
        self._workers = worker_options(
            options,
            cpus=available_cpus(),
            memory=available_memory(),
            each=process_limit(),
            place=int(os.environ.pop(PLACE, "0")),  # nobody else's
        )
        policy = policy or Policy()
        if not options.nanny:
            policy = policy._replace(restart_delays=())
        now = time.time()
        self._deadline = _deadline(options, now)
        self._supervisor = Supervisor(
            len(self._workers),
            policy=policy,
            lifetime=staggered_lifetime(options),
            ends=self._deadline and self._deadline.at - now,
            margin=self._deadline.margin if self._deadline else 0.0,
        )
        self._watch = Watch(options.death_timeout)
        worker = self._workers[0]
        self._overuse = Overuse(worker.memory_limit, worker.memory_fractions.terminate)
        self._kernel_kills = KernelKills()
        self._errands = Errands(options, worker.local_directory or "", self._log)
        self._children: dict[int, Child] = {}  # by slot
        self._selector = selectors.DefaultSelector()
        self._nodefile = write_nodefile(options, worker.local_directory or "", self._log)
        self._workers[0] = worker._replace(nodefile=self._nodefile)
        self._recorded = False
        self._end: End | None = None

    def run(self) -> int:
        """Run the workers until all have ended; return the agent's exit status."""
        self._chronicle.started(self._workers, self._deadline)
        try:
            with wakeup_pipe([signal.SIGCHLD, *SIGNAL_REQUESTS]) as wakeup, self._selector:
                on_signals = partial(self._on_signals, wakeup)
                self._selector.register(wakeup, selectors.EVENT_READ, on_signals)
                self._perform(self._supervisor.start(time.monotonic()))
                while self._end is None:
                    self._turn()
        except BaseException as error:
            self._end = End(1, f"the agent failed: {error!r}", Kind.CRASHED)
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
        self._record_request()
        if self._watch.asks(time.monotonic()):
            self._errands.look_for_scheduler()

    def _record_request(self) -> None:
        """Write down that it was asked to end, in case that it is killed before it has."""
        request, path = self._supervisor.request, self._options.exit_record
        if request is not None and not self._recorded:
            self._recorded = True
            if path is not None:
                self._errands.write(path, self._chronicle.record_so_far(request))

    def _on_signals(self, wakeup: int) -> None:
        for signum in os.read(wakeup, 4096):
            if signum in SIGNAL_REQUESTS:
                request = SIGNAL_REQUESTS[signal.Signals(signum)]
                self._log.line(request.cause)
                now = time.monotonic()
                memory = self._kernel_kills.recent(now)
                self._perform(self._supervisor.asked_to_end(request, now, memory=memory))

    # Workers that cannot end themselves

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
                case Drain(slot, seconds, cause):
                    give_order(self._children[slot].process, Order(seconds, cause))
                case Kill(slot):
                    child = self._children[slot]
                    self._log.line("worker does not end, is killed", worker=child.name,
                                   pid=child.process.pid)  # fmt: skip
                    child.kill_group()
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
        worker = self._workers[slot]._replace(ends=self._supervisor.lets_go)
        board = SharedBoard.make()
        try:
            process = start_worker(self._argv, worker, board)
        except OSError as error:
            if board is not None:
                board.close()
            cause = f"could not be started: {error}"
            now = time.time()
            self._chronicle.worker_ended(WorkerEnd(worker.name, None, None, cause, now, now, []))
            self._perform(self._supervisor.exited(slot, None, time.monotonic()))
            return
        child = self._children[slot] = Child(slot, worker.name, process, board)
        child.listen(self._selector, self._log, self._on_life)
        self._watch.alive(slot, time.monotonic())
        self._log.line("worker started", worker=worker.name, pid=process.pid)

    # Events

    def _on_life(self, slot: int) -> None:
        self._watch.alive(slot, time.monotonic())

    def _reap(self) -> None:
        """Look which workers have ended."""
        ended = [child for child in self._children.values() if child.process.poll() is not None]
        for child in ended:
            del self._children[child.slot]
            self._watch.ended(child.slot)
            child.kill_group()
            child.hear_to_the_end()
            self._on_ended(child)

    def _on_ended(self, child: Child) -> None:
        now, signs, status = time.monotonic(), child.signs, int(child.process.returncode)
        running, ended = child.take_board()
        out_of_memory = status == -signal.SIGKILL and self._kernel_kills.recent(now)
        request = self._supervisor.request
        seen = Seen(status, signs.worked, signs.signed_off, child.verdict,
                    request and request.cause, out_of_memory)  # fmt: skip
        ending = judge(seen, death_timeout=self._options.death_timeout)
        lines = last_lines(seen, ending, child.tail.lines())
        pid = child.process.pid
        end = WorkerEnd(child.name, pid, ending.status, ending.cause, child.started, time.time(),
                        lines)  # fmt: skip
        self._chronicle.worker_ended(end, signs.tried)
        if ending.report:
            tasks = ended if running == [] else running
            self._errands.report(child.name, ending.cause, ending.blame, lines, tasks, pid)
        if signs.signed_off is None:
            self._errands.sweep()
        memory = out_of_memory or ending.status == ExitCode.MEMORY
        self._perform(
            self._supervisor.exited(
                child.slot,
                ending.status,
                now,
                worked=signs.worked,
                busy=running != [],
                memory=memory,
            )
        )

    # The end

    def _leave(self, end: End | None) -> None:
        """Leave nothing behind but the exit record and the last line."""
        for child in self._children.values():
            child.drop()
        remove_nodefile(self._nodefile)
        self._errands.finish(_LAST_ERRANDS)
        if end is not None:
            self._chronicle.ends(end)


def _deadline(options: AgentOptions, now: float) -> Deadline | None:
    return find_deadline(
        os.environ,
        now=now,
        job_id=options.job_id,
        started=options.job_started,
        walltime=options.walltime,
        margin=options.walltime_margin,
    )
