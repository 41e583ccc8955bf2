"""Fixtures for every test, the real batch systems that some want, and a guard on processes."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil
import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

# Helper processes that Python itself starts once and keeps until the interpreter ends
KEPT_BY_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
# Seconds a child may take to end after its test. There to find those that stay, not to judge how
# fast a busy machine lets the others end: what waits for a scheduler that has gone does so for 60.
GRACE = 30.0

HERE = Path(__file__).resolve().parent

# No random example fails since the machine was busy with something else. There are as many as
# Hypothesis has by default; `--hypothesis-profile=brief` is for where they have been tried already,
# as on another Python.
settings.register_profile(
    "full", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("brief", settings.get_profile("full"), max_examples=20)
settings.load_profile("full")


@dataclass(frozen=True)
class Lab:
    """A real batch system, which all tests of one folder want.

    Parameters
    ----------
    folder
        The tests' folder, and the lab's in ci/.
    name
        What people call it.
    variable
        In the environment: which one to use, or ``none: reason``. Where tests run side by side:
        one for each process of pytest's, as in ``1,2,3``.
    remedy
        How to bring it up.
    in_ci
        Whether a run in CI must have it.
    """

    folder: str
    name: str
    variable: str
    remedy: str
    in_ci: bool

    def of(self, item: pytest.Item) -> bool:
        """Tell whether a test is on this batch system."""
        return item.path.is_relative_to(HERE / self.folder)

    @property
    def choice(self) -> str:
        """What the environment says, "" if nothing."""
        return os.environ.get(self.variable, "")

    def take_own(self, process: int) -> None:
        """Keep to one of several, for the process of this number among those side by side."""
        several = self.choice.split(",")
        if process >= len(several) > 1:
            raise pytest.UsageError(f"{self.variable}={self.choice}: too few for -n {process + 1}")
        if len(several) > 1:
            os.environ[self.variable] = several[process]

    @property
    def is_up(self) -> bool:
        """Tell whether there is one to use."""
        return bool(self.choice) and not self.is_unwanted

    @property
    def is_unwanted(self) -> bool:
        """Tell whether whoever runs the tests does without it."""
        return self.choice.startswith("none")


_CHECK = 'run ./ci/check as root on Debian, or python3 ci/{0} up; eval "$(python3 ci/{0} env)"'
_TEST = "run python3 ci/{0} test as root on Debian"

LABS = (
    Lab("slurm", "Slurm cluster", "JOBQUEUE_TEST_SLURM", _CHECK.format("slurm"), in_ci=True),
    Lab("sge", "Grid Engine", "JOBQUEUE_TEST_SGE", _CHECK.format("sge"), in_ci=True),
    Lab("oar", "OAR", "JOBQUEUE_TEST_OAR", _TEST.format("oar"), in_ci=False),
    Lab("htcondor", "HTCondor", "JOBQUEUE_TEST_HTCONDOR", _TEST.format("htcondor"), in_ci=False),
)
# Variables that tests themselves read
FOR_TESTS = ("JOBQUEUE_TEST_CHAOS", "JOBQUEUE_WRITE_GOLDEN", *(lab.variable for lab in LABS))

# A shell that starts the tests in the background has them ignore Ctrl-C, `nohup` has them ignore
# SIGHUP; and so would all programs that they start, and send these to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class WaitUntil(Protocol):
    """How the `wait_until` fixture is called."""

    def __call__(self, condition: Callable[[], T], timeout: float = ..., message: str = ...) -> T:
        """Give the first truthy value of `condition()`."""


def pytest_configure(config: pytest.Config) -> None:
    """Let no two processes that run tests side by side share a batch system."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "")
    if process or not config.getoption("numprocesses", None):  # else it only hands tests out
        for lab in LABS:
            lab.take_own(int(process.removeprefix("gw") or 0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose batch system is not here, saying why; in CI, refuse to begin."""
    for lab in LABS:
        mine = [item for item in items if lab.of(item)]
        if not mine or lab.is_up:
            continue
        if lab.in_ci and os.environ.get("CI") and not lab.is_unwanted:
            raise pytest.UsageError(f"a run in CI needs the real {lab.name}: {lab.remedy}")
        why = lab.choice if lab.is_unwanted else lab.remedy
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=f"no real {lab.name} here ({why})"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a test whose batch system is up must not be skipped, unless it has too few nodes."""
    report = yield
    here = any(lab.is_up and lab.of(item) for lab in LABS)
    if report.skipped and os.environ.get("CI") and here and not item.get_closest_marker("nodes"):
        report.outcome = "failed"
        report.longrepr = f"must not be skipped in CI: {call.excinfo and call.excinfo.value}"
    return report


@pytest.fixture(scope="session")
def wait_until() -> WaitUntil:
    """Poll a condition until it holds and give its value; fail naming what was waited for.

    ``wait_until(lambda: cluster.workers, timeout=30, message="a worker to connect")``. The bound is
    there to end a broken test, not to judge speed: make it generous.
    """

    def wait(
        condition: Callable[[], Any], timeout: float = 30.0, message: str = "the condition"
    ) -> Any:
        deadline = time.monotonic() + timeout
        pause = 0.001
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout:g} s for {message}; last value: {value!r}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return value

    return wait


class Collected(Protocol):
    """How the `collected` fixture is called."""

    def __call__(self, condition: Callable[[], object], message: str = ...) -> None:
        """Collect garbage until `condition()` holds."""


@pytest.fixture(scope="session")
def collected(wait_until: WaitUntil) -> Collected:
    """Collect garbage until something has gone with it: ``collected(lambda: gone() is None)``.

    Once need not do: a collection does nothing while another thread is at one, and an event loop's
    thread may hold for a moment what is otherwise nobody's. Nor must it be done all the time: a
    collection holds up all threads, also the one that ends what was collected.
    """

    def wait(condition: Callable[[], object], message: str = "it to be collected") -> None:
        due = 0.0

        def holds() -> bool:
            nonlocal due
            if not condition() and time.monotonic() >= due:
                gc.collect()
                due = time.monotonic() + 1.0
            return bool(condition())

        wait_until(holds, 60, message)

    return wait


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the configuration of whoever runs the tests out of them, and their folders clean."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("DASK_", "JOBQUEUE_")) and name not in FOR_TESTS:
                patch.delenv(name)
        patch.delenv("XDG_STATE_HOME", raising=False)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail a test whose child processes outlive it, and end them so that the next one is clean.

    Children that were there before the test (a wider fixture's) are left alone.
    """
    before = children()
    yield
    left = {pid for pid in children() - before if not _kept_by_python(pid)}
    if not left:
        return
    deadline = time.monotonic() + GRACE
    while left := left & children():
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if left:
        described = ", ".join(_end(pid) for pid in sorted(left))
        pytest.fail(f"the test left processes behind: {described}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="jq-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster writes is in the test's own folder, which the nodes of all labs see."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools try again at once, as often as ever; that they pause in between is tested apart."""
    monkeypatch.setattr("jobqueue.cluster.setbacks.DELAYS", (0.0,))


@pytest.fixture(scope="session")
def listening() -> Callable[[int], set[str]]:
    """Tell what a process listens on, as addresses without a host: ``tcp:4000``, ``unix:/path``.

    Reads the process's own network namespace, which may be that of a node.
    """

    def find(pid: int) -> set[str]:
        folder = Path(f"/proc/{pid}")
        own = set()
        for link in (folder / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                own.add(os.readlink(link))
        found = set()
        for kind, states in (("tcp", ("0A",)), ("tcp6", ("0A",)), ("udp", ("07",)), ("udp6", ())):
            for line in (folder / "net" / kind).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] in states and f"socket:[{fields[9]}]" in own:
                    found.add(f"{kind[:3]}:{int(fields[1].rpartition(':')[2], 16)}")
        for line in (folder / "net" / "unix").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[3], 16) & 0x10000 and f"socket:[{fields[6]}]" in own:
                found.add(f"unix:{fields[7] if len(fields) > 7 else ''}")
        return found

    return find


def children() -> set[int]:
    """Give the running direct children of this process; cheap enough to ask around every test."""
    found: set[int] = set()
    try:
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # the thread has ended meanwhile
                found.update(map(int, (task / "children").read_text().split()))
    except OSError:  # not Linux
        found.update(child.pid for child in psutil.Process().children())
    return {pid for pid in found if not _ended(pid)}


def _ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _kept_by_python(pid: int) -> bool:
    command = _command(pid)
    return any(name in command for name in KEPT_BY_PYTHON)


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _end(pid: int) -> str:
    """Kill a child and everything it started; give its description."""
    described = f"{pid} ({_command(pid)})"
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(GRACE)
    return described
