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
import subprocess
from collections.abc import Sequence
from typing import cast

from jobqueue.batch.answers import Completed
from jobqueue.errors import CommandNotFound, CommandTimeout

TIMEOUT = 60.0
"""Seconds that a command of a batch system has to answer."""

_LINGER = 1.0
"""Seconds for the last words of a command that has ended, if a child of it holds its pipes open."""

_UNKILLABLE = 5.0
"""Seconds to wait for a killed command; one that hangs in the kernel is left behind."""

_KILLED = 0.5
"""The same where nothing else can be done meanwhile."""


async def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - it has to end processes, and name itself
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
    argv = tuple(argv)
    transport, conversation = await _started(argv, stdin)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(conversation.ended)
        await asyncio.wait([conversation.over], timeout=_LINGER)
    except TimeoutError:
        raise CommandTimeout(
            f"{argv[0]} did not answer within {timeout:g} s; the batch system may be overloaded or "
            f"down: try `{shlex.join(argv)}` in a terminal",
            argv=argv,
            output=conversation.text(2).strip(),
        ) from None
    finally:
        await _end(transport, conversation)
    # It has ended, or one of the two errors would have been raised.
    returncode = transport.get_returncode()
    assert returncode is not None
    return Completed(argv, returncode, conversation.text(1), conversation.text(2))


class _Conversation(asyncio.SubprocessProtocol):
    """What a process says: `ended` when it has ended, `over` when its pipes are closed as well."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._said: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._said[fd] += data

    def process_exited(self) -> None:
        self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set_result(None)

    def text(self, fd: int) -> str:
        return self._said[fd].decode(errors="replace")


async def _started(
    argv: tuple[str, ...], stdin: str | None
) -> tuple[asyncio.SubprocessTransport, _Conversation]:
    """Start a command; if nobody wants it any more by then, end it.

    It is not cancelled half-way: asyncio would end it in its own way then, and wait for that
    without any limit. That was seen to take for ever, on machines with much else to do.
    """
    starting = asyncio.ensure_future(_start(argv, stdin))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.ensure_future(_end_unwanted(starting)))
        raise


async def _end_unwanted(
    starting: asyncio.Task[tuple[asyncio.SubprocessTransport, _Conversation]],
) -> None:
    await asyncio.wait([starting])
    if not starting.cancelled() and starting.exception() is None:
        await _end(*starting.result())


async def _start(
    argv: tuple[str, ...], stdin: str | None
) -> tuple[asyncio.SubprocessTransport, _Conversation]:
    loop = asyncio.get_running_loop()
    try:
        transport, conversation = await loop.subprocess_exec(
            lambda: _Conversation(loop),
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # a group of its own, which can be ended as a whole
        )
    except FileNotFoundError:
        raise not_found(argv[0]) from None
    except OSError as error:
        raise CommandNotFound(
            f"{argv[0]} cannot be run: {error.strerror}; check the file that "
            f"`command -v {argv[0]}` names",
            argv=argv,
        ) from None
    if stdin is not None:
        pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        pipe.write(stdin.encode())
        pipe.write_eof()
    return transport, conversation


def _environment() -> dict[str, str]:
    """Return our own environment, with the name of the folder that we are in.

    A shell keeps `PWD` true; a program that changes its folder, or has no shell above it, does not.
    oarsub starts jobs in `$PWD`, and without it fails with a database's error.
    """
    told = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):  # the folder has been removed
        here = os.getcwd()
        if not (os.path.isdir(told) and os.path.samefile(told, here)):
            return {**os.environ, "PWD": here}
    return dict(os.environ)


async def _end(transport: asyncio.SubprocessTransport, conversation: _Conversation) -> None:
    """End what is left of a command: the process, its group, and our ends of its pipes.

    Only a process that is known to have ended may be let go of: closing the transport earlier would
    take the news of its end from whoever waits for it.
    """
    try:
        if not conversation.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await asyncio.wait([conversation.ended], timeout=_UNKILLABLE)
    finally:
        transport.close()
        if not conversation.ended.done():  # who waited here was cancelled: the loop may be ending
            _let_go(transport)


def _let_go(transport: asyncio.SubprocessTransport) -> None:
    """Wait for a killed process, and close what connects it, without the event loop."""
    process: subprocess.Popen[bytes] = transport.get_extra_info("subprocess")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED)
    for fd in (0, 1, 2):
        if (pipe := transport.get_pipe_transport(fd)) is not None:
            pipe.get_extra_info("pipe").close()


def not_found(command: str) -> CommandNotFound:
    """Return the error for a command that is not on PATH."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return CommandNotFound(
        f"{command} is not on PATH ({len(folders)} folders searched); load the module of your site "
        "that provides it, or run on a login node of the cluster; LocalCluster needs none",
        argv=(command,),
    )


def available(command: str) -> bool:
    """Tell whether a command is on PATH."""
    return shutil.which(command) is not None
