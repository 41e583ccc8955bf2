"""Tasks that are hard on the process they run in: it goes on, or another takes its place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.errors import KilledWorker, TaskError


def fork_and_exit() -> int:
    """A child that does as it should."""
    import os

    child = os.fork()
    if not child:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork_and_return() -> int:
    """A child that goes on as if it were its parent."""
    import os

    child = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else -1


def pool_of_processes() -> list[int]:
    """Ended by SIGTERM, as `with` does it."""
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def executor_of_processes() -> list[int]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        return list(executor.map(abs, [-1, -2]))


def leave_the_folder() -> bool:
    """Be where nothing is any more, with the folder for temporary files gone as well."""
    import os
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    os.environ["TMPDIR"] = folder
    return True


def flood() -> int:
    """50 MB to standard error, by lines and without."""
    import os
    import sys

    for _ in range(25):
        sys.stderr.write(("x" * 99 + "\n") * 10_000)
        os.write(2, b"y" * 1_000_000)
    return 1


def take_the_streams() -> int:
    import sys

    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    return 1


def silence_the_log() -> int:
    import logging

    logging.shutdown()
    logging.disable()
    return 1


def threads_that_stay() -> int:
    """They sleep on when the task has ended; one of them raises at once."""
    import threading
    import time

    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=(1000,), daemon=daemon).start()
    threading.Thread(target=divmod, args=(1, 0)).start()
    return threading.active_count() and 1


def signals() -> int:
    """Such as batch systems, or a terminal, send to every process."""
    import os
    import signal

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    return 1


def small_stack() -> int:
    import sys

    sys.setrecursionlimit(60)
    return 1


def forget_the_environment() -> int:
    import os

    os.environ.clear()
    return 1


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("task", "value"),
    [
        (fork_and_exit, 7),
        (fork_and_return, 1),
        (pool_of_processes, [1, 2]),
        (executor_of_processes, [1, 2]),
        (leave_the_folder, True),
        (flood, 1),
        (take_the_streams, 1),
        (silence_the_log, 1),
        (threads_that_stay, 1),
        (signals, 1),
        (small_stack, 1),
        (forget_the_environment, 1),
    ],
)
def test_tasks_that_their_worker_outlives(
    client: Client, task: Callable[[], object], value: object
) -> None:
    """Each has a result, and the same processes go on with all their threads."""
    future = client.submit(task)
    assert future.result(30) == value
    large = client.submit(bytes, 1_000_000)
    assert client.submit(len, large).result(30) == 1_000_000


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("__import__('sys').exit(3)", "the task raised SystemExit: 3"),
        ("__import__('_thread').exit()", "the task raised SystemExit"),
        ("__import__('_thread').interrupt_main() or exec('raise KeyboardInterrupt')", "Keyboard"),
    ],
    ids=["exit", "thread", "interrupt"],
)
def test_tasks_that_end_themselves(client: Client, task: str, words: str) -> None:
    """What would end a program ends only the task."""
    with pytest.raises(TaskError, match=words):
        client.submit(eval, task).result(30)


@pytest.mark.usefixtures("unharmed")
def test_warnings_stay_where_they_are(client: Client) -> None:
    """In the worker's log; a filter that makes errors of them fails the task, and no other."""

    def warn(action: str) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter(action)  # type: ignore[arg-type]
            warnings.warn("take care", UserWarning, stacklevel=1)
        return 1

    assert client.submit(warn, "always").result(30) == 1
    with pytest.raises(UserWarning, match="take care"):
        client.submit(warn, "error").result(30)


@pytest.mark.parametrize(
    ("task", "cause"),
    [
        ("__import__('os')._exit(0)", "a task has ended the process"),
        ("__import__('ctypes').string_at(0)", r"killed by signal 11 \(SIGSEGV\)"),
        ("__import__('os').closerange(3, 256)", "crashed"),
    ],
    ids=["exit", "segfault", "files"],
)
def test_tasks_that_take_their_worker_along(own_client: Client, task: str, cause: str) -> None:
    """Given up after three workers, whose end is explained; the next one computes."""
    future: Any = own_client.submit(eval, task)
    with pytest.raises(KilledWorker, match=f"task '{future.key}' was running on 3.*{cause}"):
        future.result(50)
    assert own_client.submit(abs, -1).result(30) == 1
