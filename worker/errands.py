"""What an agent has done beside, in threads: its main thread never waits for a network or a disk.

The modules for that are imported when they are needed; most agents never need them.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.exit_record import write_atomically

ASK_TIMEOUT = 10.0
"""Seconds to look for the scheduler."""


class Errands:
    """Runs an agent's errands.

    Parameters
    ----------
    options
        The agent's.
    local_directory
        Where its workers put results.
    log
        The agent's.

    Attributes
    ----------
    answers
        Of those who looked for the scheduler: why nobody is there, "" if somebody is.
    """

    def __init__(self, options: AgentOptions, local_directory: str, log: Log) -> None:
        self.answers: deque[str] = deque()
        self._options = options
        self._local_directory = local_directory
        self._log = log
        self._under_way: list[threading.Thread] = []

    def look_for_scheduler(self) -> None:
        """Look whether there is a scheduler; the answer comes with a SIGCHLD."""
        self._start(self._look)

    def report(
        self,
        name: str,
        cause: str,
        blame: bool,
        lines: Sequence[str],
        running: Sequence[str] | None,
        pid: int,
    ) -> None:
        """Tell the scheduler how a worker ended, see `jobqueue.worker.report.Report`."""
        self._start_to_finish(self._report, name, cause, blame, lines, running, pid)

    def sweep(self) -> None:
        """Remove what a worker has left on disk."""
        self._start_to_finish(self._sweep)

    def write(self, path: str, text: str) -> None:
        """Write a file, on a disk that may be slow."""
        self._start_to_finish(self._write, path, text)

    def finish(self, timeout: float) -> None:
        """Wait until all is told and removed, but not for long.

        Parameters
        ----------
        timeout
            Seconds.
        """
        end = time.monotonic() + timeout
        for thread in self._under_way:
            thread.join(max(0.0, end - time.monotonic()))

    def _start_to_finish(self, function: Callable[..., None], *arguments: object) -> None:
        thread = self._start(function, *arguments)
        self._under_way = [one for one in self._under_way if one.is_alive()] + [thread]

    def _start(self, function: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(
            target=function, args=arguments, name=function.__name__, daemon=True
        )
        thread.start()
        return thread

    def _look(self) -> None:
        from jobqueue.worker.probe import look_for_scheduler

        options = self._options
        timeout = min(ASK_TIMEOUT, options.death_timeout)
        self.answers.append(look_for_scheduler(options.addresses, options.credentials, timeout))
        signal.raise_signal(signal.SIGCHLD)  # wakes the main thread

    def _report(self, name: str, *fields: Any) -> None:
        from jobqueue.worker.report import Report, report_end

        trouble = report_end(
            Report(name, *fields), self._options.addresses, self._options.credentials
        )
        if trouble:
            self._log.line("scheduler not told of a worker's end", worker=name, error=trouble)

    def _write(self, path: str, text: str) -> None:
        try:
            write_atomically(path, text)
        except FileNotFoundError:
            pass  # its folder has gone, or was never there, which the agent tells at its end
        except OSError as error:
            self._log.line("not written", path=path, error=error)

    def _sweep(self) -> None:
        from jobqueue.worker.spill_folder import sweep

        for path in sweep(self._local_directory):
            self._log.line("removed what a worker left on disk", path=path)
