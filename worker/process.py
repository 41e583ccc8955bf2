"""The worker process: `python -m jobqueue.worker.process`, started by a job agent.

Reads its options from standard input, runs a `Worker` and exits with an `ExitCode`. SIGTERM is how
its agent has it end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from jobqueue.errors import JobQueueError
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.launch import Order, ToAgent, die_with_parent
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.preload import Preloaded, preload
from jobqueue.worker.watch import SHOWN
from jobqueue.worker.worker import Worker

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

IGNORED_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Batch systems send these to every process of a job; the agent answers for all of them."""


DRAIN: Final = 4.0
"""Seconds to hand over after a SIGTERM that did not come from the agent."""


def main() -> int:
    """Run one worker; return its exit status."""
    agent = ToAgent.take()
    options = WorkerOptions.from_json(agent.read_options())
    die_with_parent(options.agent_pid)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    status = _work(options, agent)
    agent.sign_off(status)
    return status


def _work(options: WorkerOptions, agent: ToAgent) -> int:
    try:
        return asyncio.run(_run(options, agent, preload(options.preload)))
    except JobQueueError as error:
        # One line: it ends the job's log, and is what the user sees of it.
        logging.getLogger("jobqueue.worker").error(
            "worker ends name=%s cause=%s", options.name, error
        )
        return ExitCode.REFUSED


async def _run(options: WorkerOptions, agent: ToAgent, preloaded: Sequence[Preloaded]) -> int:
    worker = Worker(options, on_connected=agent.show_work)
    for one in preloaded:
        await one.set_up(worker)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _on_sigterm, worker, agent)
    _give_children_their_signals()
    showing = asyncio.create_task(_show_life(agent, options.death_timeout / SHOWN))
    try:
        code = await worker.run()
        for one in reversed(preloaded):
            await one.tear_down(worker)
    finally:
        showing.cancel()
    if code in (ExitCode.NO_SCHEDULER, ExitCode.REFUSED) and worker.search.unreached:
        agent.show_tried(list(worker.search.unreached.items()))
    if not worker.idle:
        # A thread that runs a task cannot be ended; asyncio and the interpreter would wait for it.
        _exit_now(agent, code)
    return code


def _on_sigterm(worker: Worker, agent: ToAgent) -> None:
    """Do what the agent says, or if somebody else has sent it, what there is always time for."""
    for order in agent.orders() or [Order(DRAIN, "SIGTERM")]:
        worker.drain(order.cause, order.seconds)


def _give_children_their_signals() -> None:
    """Let a SIGTERM for the child of a fork, a process of a pool perhaps, be for that alone.

    It has this process's handler, which writes to a pipe that both share: until that is changed, in
    its first moments, no signal may come.
    """
    mask = signal.pthread_sigmask

    def in_child() -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        mask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(
        before=lambda: mask(signal.SIG_BLOCK, {signal.SIGTERM}),
        after_in_parent=lambda: mask(signal.SIG_UNBLOCK, {signal.SIGTERM}),
        after_in_child=in_child,
    )


async def _show_life(agent: ToAgent, interval: float) -> None:
    while True:
        agent.show_life()
        await asyncio.sleep(interval)


def _exit_now(agent: ToAgent, code: int) -> None:
    agent.sign_off(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
