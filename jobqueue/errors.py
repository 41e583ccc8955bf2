"""Every exception that jobqueue raises to its users.

The tree:

    JobQueueError
    ├── ConfigError              a keyword, a YAML key or a value that cannot be used
    │   └── GraphError           a graph of tasks with a cycle, or without a key that it needs
    ├── BatchSystemError         a batch system's command failed or is missing
    │   ├── CommandNotFound      no such command on PATH
    │   ├── CommandTimeout       the command did not answer in time
    │   └── SubmissionRejected   the batch system refused the job, in its own words
    ├── WorkersUnavailable       no worker will come, and why
    ├── CommError                a connection could not be made, or ended
    │   ├── CommClosed           the peer is gone
    │   ├── AuthenticationFailed a peer could not prove itself
    │   ├── HandshakeRefused     the peer answered, and refused this side: other version, name taken
    │   └── FrameError           bytes that are not our protocol, or over a limit
    ├── SerializationError       something cannot be pickled or unpickled
    ├── TaskError                a task ended without a result, and not by its own exception
    │   ├── TaskCancelled        it was cancelled (also a concurrent.futures.CancelledError)
    │   ├── KilledWorker         it was running on too many workers that died
    │   └── DataLost             its value existed only on workers that are gone
    ├── ProgramFailed            a program that ran over the nodes of a job ended badly
    ├── CoordinationError        a lock, semaphore or queue that cannot be used like this
    └── ClientClosed             the client behind a future is closed (also a RuntimeError)
        └── ConnectionLost       its connection to the scheduler was lost (also a CommError)

and its warnings:

    JobQueueWarning                  something works, though perhaps not as it was meant
    └── JobQueueDeprecationWarning   a name that still works has a new one

A message states the fact, the value and the remedy.
"""

from __future__ import annotations

import concurrent.futures


class JobQueueError(Exception):
    """Root of all errors of this package."""


class ConfigError(JobQueueError, ValueError):
    """A keyword, a configuration key or a value cannot be used."""


class GraphError(ConfigError):
    """A graph of tasks cannot be run: it has a cycle, or no such key."""


class BatchSystemError(JobQueueError):
    """A batch system's command failed.

    Parameters
    ----------
    message
        Fact and remedy.
    argv
        The command as it was run.
    returncode
        Its exit status, or None if it did not end by itself.
    output
        What the batch system said, stdout and stderr, in its own words.
    script
        Path of the job script concerned, if one was.
    """

    def __init__(
        self,
        message: str,
        *,
        argv: tuple[str, ...] = (),
        returncode: int | None = None,
        output: str = "",
        script: str | None = None,
    ) -> None:
        super().__init__(message)
        self.argv = argv
        self.returncode = returncode
        self.output = output
        self.script = script


class CommandNotFound(BatchSystemError):
    """The batch system's command is not on PATH."""


class CommandTimeout(BatchSystemError):
    """The batch system's command did not answer in time."""


class SubmissionRejected(BatchSystemError):
    """The batch system refused a job."""


class WorkersUnavailable(JobQueueError):
    """Nobody will run the tasks that are being waited for; the message says why.

    Parameters
    ----------
    message
        Fact and remedy, and everything below in words.
    script
        Path of the job script, if jobs were submitted.
    output
        What the batch system said, in its own words.
    exit_code
        The exit status of the last job that failed.
    log_path, log_tail
        Where that job's output lies, and its end.
    """

    def __init__(
        self,
        message: str,
        *,
        script: str | None = None,
        output: str = "",
        exit_code: int | None = None,
        log_path: str = "",
        log_tail: str = "",
    ) -> None:
        super().__init__(message)
        self.script = script
        self.output = output
        self.exit_code = exit_code
        self.log_path = log_path
        self.log_tail = log_tail


class CommError(JobQueueError, OSError):
    """A connection could not be made, or ended.

    Attributes
    ----------
    tried
        Where a connection was tried, and what came of each address.
    """

    tried: tuple[tuple[str, str], ...] = ()


class CommClosed(CommError):
    """The peer is gone, or this side closed the connection."""


class AuthenticationFailed(CommError):
    """A peer could not prove itself, or a credential file cannot be trusted."""


class HandshakeRefused(CommError):
    """The peer answered and refused this side: it has another version, or no use for it."""


class FrameError(CommError):
    """Bytes that are not our protocol, or that exceed one of its limits."""


class SerializationError(JobQueueError, TypeError):
    """A function, argument or result cannot be pickled, or not unpickled at the other end."""


class TaskError(JobQueueError):
    """A task ended without a result, and not by an exception of its own."""


class TaskCancelled(TaskError, concurrent.futures.CancelledError):
    """The task was cancelled."""


class KilledWorker(TaskError):
    """The task was running on too many workers that died.

    Parameters
    ----------
    message
        Fact and remedy, and everything below in words.
    worker
        Name of the last of them.
    cause
        Why it is thought to have died.
    log_tail
        The last that it wrote to standard error.
    """

    def __init__(
        self, message: str, *, worker: str = "", cause: str = "", log_tail: str = ""
    ) -> None:
        super().__init__(message)
        self.worker = worker
        self.cause = cause
        self.log_tail = log_tail


class DataLost(TaskError):
    """The value existed only on workers that are gone, and cannot be computed again."""


class ProgramFailed(JobQueueError):
    """A program that ran over the nodes of a job could not be started, or ended badly.

    Parameters
    ----------
    message
        Fact and remedy, with the end of what it wrote.
    argv
        The command as it was run, its launcher included.
    returncode
        Its exit status; None if it did not end by itself.
    stdout, stderr
        What it wrote, or the end of that.
    hosts
        The nodes that it ran on.
    """

    def __init__(
        self,
        message: str,
        *,
        argv: tuple[str, ...] = (),
        returncode: int | None = None,
        stdout: str = "",
        stderr: str = "",
        hosts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.argv = argv
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.hosts = hosts


class CoordinationError(JobQueueError, RuntimeError):
    """A lock or semaphore is not held, something was closed, or there is no room for more."""


class ClientClosed(JobQueueError, RuntimeError):
    """The client that the future belongs to is closed; of executors one expects a RuntimeError."""


class ConnectionLost(ClientClosed, CommError):
    """The client's connection to the scheduler was lost.

    A task that ends with this is run again, as if its worker had died: the connection that the
    tasks of a worker share is not theirs.
    """


class JobQueueWarning(UserWarning):
    """Something works, though perhaps not as it was meant."""


class JobQueueDeprecationWarning(JobQueueWarning, FutureWarning):
    """A name that still works has a new one. A FutureWarning, since those are shown to users."""
