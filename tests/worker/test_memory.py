"""What a worker does about its memory, with a process whose size the test sets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.worker import memory as module
from jobqueue.worker.limits import Fractions
from jobqueue.worker.memory import Monitor, Pressure, Usage, make_store
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.spill import SpillingStore
from jobqueue.worker.spill_folder import SpillFolder
from jobqueue.worker.store import Store

BOUND = 20.0  # seconds after which a test is broken
OFF = Fractions(None, None, None, None)


def test_a_worker_spills_from_70_to_60_percent():
    """Not before the one, and once begun, until the other."""
    pressure = Pressure(1000)
    assert [pressure.spills(taken) for taken in (650, 700, 701)] == [False, False, True]
    assert [pressure.surplus(taken) for taken in (900, 601, 600, 0)] == [300, 1, 0, 0]


def test_a_worker_pauses_above_80_and_goes_on_below_75_percent():
    """In between it does what it did, so that it does not flutter."""
    pressure = Pressure(1000)
    taken = [790, 800, 801, 790, 751, 750, 790, 801]
    assert [pressure.look(t) for t in taken] == [False, False, True, True, True, False, False, True]
    assert pressure.paused


def test_each_of_it_may_be_changed_or_left_out():
    """Without `spill` nothing is spilled, without `pause` nothing pauses."""
    assert not Pressure(1000, OFF).spills(10**9)
    assert not Pressure(1000, OFF).look(10**9)
    pressure = Pressure(1000, Fractions(None, 0.5, 0.6, None))
    assert pressure.spills(501)
    assert pressure.surplus(501) == 1
    assert pressure.look(601)
    high = Pressure(1000, Fractions(0.9, 0.95, 0.5, None))
    assert high.surplus(1000) == 550, "enough for tasks to begin again"


class World:
    """A worker in a process that takes what its results take, and something else."""

    def __init__(self, parent: Path, fractions: Fractions | None = None) -> None:
        self.other = 0
        self.running = False
        self.changes: list[str | None] = []
        self.hopeless: list[str] = []
        pressure = Pressure(100_000, fractions)
        self.store = SpillingStore(SpillFolder(str(parent)), target=60_000)
        self.monitor = self.watch(self.store, pressure)

    def watch(self, store: Store, pressure: Pressure) -> Monitor:
        return Monitor(
            store,
            pressure,
            on_change=self.changes.append,
            idle=lambda: not self.running,
            on_hopeless=self.hopeless.append,
            resident=lambda: self.store.stored.memory + self.other,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Of a limit of 100 kB."""
    return World(tmp_path)


def fill(store: Store, count: int, size: int = 5000) -> None:
    for number in range(count):
        store.put(f"x-{number}", bytes(size))


def test_results_are_spilled_when_the_process_grows(world: World):
    """Whoever takes the memory, results make room: until it is below 60 %, and no further."""
    fill(world.store, 10)
    world.monitor.relieve()
    assert world.store.stored.spilled == 0
    world.other = 30_000
    world.monitor.relieve()
    assert world.store.stored.spilled
    assert 54_000 < world.store.stored.memory + world.other <= 60_000
    assert world.monitor.reason is None


def test_a_worker_pauses_and_says_why(world: World):
    """With numbers, and what stands in the way of spilling; and says when it is over."""

    async def main() -> None:
        world.other = 85_000
        world.monitor.look()
        world.other = 40_000
        world.monitor.look()
        await asyncio.sleep(0)

    asyncio.run(main())
    first, second = world.changes
    assert first == "it uses 0.1 MiB of its 0.1 MiB memory limit (85 %)"
    assert second is None


def test_it_spills_by_itself_while_it_runs(
    world: World, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., Any]
):
    """Values that came over the wire too, which nobody puts on disk at once."""
    monkeypatch.setattr(module, "INTERVAL", 0.001)

    async def main() -> None:
        watching = asyncio.create_task(world.monitor.run())
        for number in range(30):
            world.store.put_serialized(f"x-{number}", bytes(5000))
        await asyncio.to_thread(wait_until, lambda: world.store.stored.memory <= 60_000)
        watching.cancel()

    asyncio.run(main())
    assert world.store.stored.spilled >= 90_000


def test_nothing_left_to_spill(world: World, monkeypatch: pytest.MonkeyPatch):
    """What else takes the memory is not ours: it says so, and if nothing runs, gives up."""
    monkeypatch.setattr(module, "HOPELESS", 0.0)
    fill(world.store, 3)
    world.other = 85_000
    world.running = True

    async def look() -> None:
        for _ in range(4):
            world.monitor.look()
            if world.monitor._relieving is not None:
                await world.monitor._relieving

    asyncio.run(look())
    assert world.store.stored.memory == 0
    assert world.monitor.reason is not None
    assert world.monitor.reason.endswith("has no result left that could be put on disk")
    assert world.hopeless == []
    world.running = False
    asyncio.run(look())
    assert world.hopeless[0].endswith("could be put on disk, while nothing runs")


def test_a_disk_that_refuses(world: World, tmp_path: Path):
    """The reason of a pause names it; that is no case for giving up."""
    (tmp_path / "file").write_text("")
    world.store._folder.parent = str(tmp_path / "file" / "no folder")
    fill(world.store, 17)

    async def main() -> None:
        world.monitor.look()
        if world.monitor._relieving is not None:
            await world.monitor._relieving

    asyncio.run(main())
    assert world.store.stored.spilled == 0
    assert world.monitor.reason is not None
    assert world.monitor.reason.endswith("(86 %), and its disk takes no results")


def test_a_store_of_the_user_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch):
    """Nothing in it is spilled, but the worker does pause."""
    data: dict[str, Any] = {}
    monitor = world.watch(Store(data), Pressure(100_000))
    world.other = 90_000
    data["x"] = bytes(1000)
    monitor.relieve()
    assert list(data) == ["x"]
    monitor.pressure.look(90_000)
    monkeypatch.setattr(module, "HOPELESS", -1.0)
    for _ in range(3):
        monitor._look_for_hope()
    assert world.hopeless == [], "dropping what is in there may help"
    assert monitor.reason is not None
    assert monitor.reason.endswith("no result left that could be put on disk")


def test_workers_of_one_process_share_what_it_takes(world: World):
    """Each is charged by its limit: two that have the same are charged half."""

    async def main() -> None:
        others = [world.watch(Store({}), Pressure(limit)) for limit in (100_000, 200_000)]
        tasks = [asyncio.create_task(monitor.run()) for monitor in (world.monitor, *others)]
        await asyncio.sleep(0)
        world.other = 80_000
        assert [monitor.taken for monitor in (world.monitor, *others)] == [20_000, 20_000, 40_000]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert world.monitor.taken == 80_000

    asyncio.run(main())


def test_what_workers_keep_results_in(tmp_path: Path):
    """A dict where nothing limits it, the user's own mapping where there is one."""
    options = WorkerOptions(("a",), "w-0", memory_limit=1000, local_directory=str(tmp_path))
    store = make_store(options, None)
    assert isinstance(store, SpillingStore)
    assert store.target == 600
    assert type(make_store(options, {})) is Store
    assert type(make_store(options._replace(memory_limit=None), None)) is Store
    assert type(make_store(options._replace(memory_fractions=OFF), None)) is Store
    assert isinstance(make_store(options._replace(local_directory=None), None), SpillingStore)
    assert list(tmp_path.iterdir()) == [], "a folder is made when it is needed"


def test_what_workers_say_of_themselves(world: World):
    """Results, bytes in memory and on disk, percents of a CPU."""
    fill(world.store, 20)
    numbers = Usage(world.store).numbers()
    assert numbers["results"] == 20
    assert numbers["memory"] > 2**20
    assert numbers["spilled"] == world.store.stored.spilled > 0
    assert numbers["cpu"] >= 0
    assert Usage(Store({})).numbers()["spilled"] == 0


def test_freed_memory_is_given_back():
    """glibc keeps what was freed; a worker that has spilled wants the system to have it."""
    # A process of its own: what other tests have left in this one's memory has room for all of it.
    script = """
from jobqueue.worker.limits import resident_bytes
from jobqueue.worker.memory import trim
import threading
before = resident_bytes()
held = [bytes(1000) for _ in range(50_000)]
wall = threading.Lock()  # allocated above them: they cannot be given back from the end alone
taken = resident_bytes()
held.clear()
trim()
print(taken - before, taken - resident_bytes())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    taken, given_back = map(int, done.stdout.split())
    assert taken > 30 * 2**20
    assert given_back > 15 * 2**20
