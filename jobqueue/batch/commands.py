"""Running the batch system's commands. This is the only file that starts them.

Any command of a batch system may hang: its server is down, or its file system is. So each has a
time limit, and what it started is ended with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

from jobqueue.batch.base import Completed
from jobqueue.errors import CommandNotFound, CommandTimeout

TIMEOUT = 60.0
"""Seconds that a command of a batch system has to answer."""

_REMEDY = (
    "load the module of your site that provides it, or run on a login node of the cluster; "
    "`cluster=local` needs none"
)


async def run(
    argv: Sequence[str], *, stdin: str | None = None, timeout: float = TIMEOUT
) -> Completed:
    """Run a command to its end and return what it said.

    Its exit status is not judged here: that is the adapter's business.

    Parameters
    ----------
    argv
        The command and its arguments; no shell is involved.
    stdin
        Text for its standard input, which is empty otherwise.
    timeout
        Seconds after which it is ended, together with all that it started.

    Raises
    ------
    CommandNotFound
        There is no such command on PATH.
    CommandTimeout
        It did not answer in time.

    Examples
    --------
    >>> asyncio.run(run(["echo", "hello"])).stdout
    'hello\\n'
    """
    process = await _start(tuple(argv), stdin is not None)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        raise CommandTimeout(
            f"{argv[0]} did not answer within {timeout:g} s; the batch system may be overloaded or "
            f"down: try `{shlex.join(argv)}` in a terminal",
            argv=tuple(argv),
        ) from None
    finally:
        await _end(process)
    assert process.returncode is not None
    return Completed(
        tuple(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )


async def _start(argv: tuple[str, ...], has_input: bool) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=PIPE if has_input else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # a group of its own, which can be ended as a whole
        )
    except FileNotFoundError:
        raise not_found(argv[0]) from None
    except PermissionError as error:
        raise CommandNotFound(f"{argv[0]} cannot be run: {error.strerror}", argv=argv) from None


async def _end(process: Process) -> None:
    """End a command that was given up, and whatever it left in its group."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # What it has left in its pipes is read to the end, or they would never be closed.
    await process.communicate()


def not_found(command: str) -> CommandNotFound:
    """Return the error for a command that is not on PATH."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return CommandNotFound(
        f"{command} is not on PATH ({len(folders)} folders searched); {_REMEDY}", argv=(command,)
    )


def available(command: str) -> bool:
    """Tell whether a command is on PATH."""
    return shutil.which(command) is not None
