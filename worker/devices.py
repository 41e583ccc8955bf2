"""The GPUs of a job: which of them are a worker's, and which a task's.

The scheduler counts amounts of the resource "GPU"; here they become devices. Batch systems name a
job's devices in variables that the libraries for them obey; the agent cuts those lists into one
part for each worker, and the worker lends the devices of its part to the tasks that take some.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping
from typing import NamedTuple

RESOURCE = "GPU"
"""The resource whose amounts are devices."""

VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
)
"""The variables, of NVIDIA, AMD (three) and Intel. Slurm sets several of them alike."""

_NONE = ("", "-1", "NoDevFiles")  # how they say that there is no device


def device_shares(
    environ: Mapping[str, str], amount: float, workers: int, place: int = 0
) -> list[dict[str, tuple[str, ...]]]:
    """Share the devices of a job among its workers, in their order.

    Parameters
    ----------
    environ
        The environment, with the lists of the job's devices. If it has none, they are numbered.
    amount
        Devices of each worker; workers with a part of one share it.
    workers
        How many workers.
    place
        As many agents, with as many workers each, have taken devices before this one.

    Returns
    -------
    list of dict
        Variable -> devices, for each worker. Where there are fewer devices than were promised, they
        are shared as evenly as they can be.

    Examples
    --------
    >>> device_shares({"CUDA_VISIBLE_DEVICES": "2,3"}, 1.0, 2)
    [{'CUDA_VISIBLE_DEVICES': ('2',)}, {'CUDA_VISIBLE_DEVICES': ('3',)}]
    """
    if amount <= 0:
        return [{} for _ in range(workers)]
    lists = {name: _devices(environ[name]) for name in VARIABLES if name in environ}
    if not lists:
        count = math.ceil(amount * workers * (place + 1))
        lists = {VARIABLES[0]: tuple(map(str, range(count)))}
    return [
        {name: _part(devices, amount, workers, slot) for name, devices in lists.items()}
        for slot in range(place * workers, (place + 1) * workers)
    ]


def _devices(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()) not in _NONE)


def _part(devices: tuple[str, ...], amount: float, workers: int, slot: int) -> tuple[str, ...]:
    if not devices:
        return ()
    each = min(amount, len(devices) / workers)
    first = slot * each % len(devices)
    places = range(math.floor(first + _TINY), math.ceil(first + each - _TINY))
    return tuple(devices[place % len(devices)] for place in places)


_TINY = 1e-6  # less than any part that somebody asks for, and more than what rounding adds up to


class Loan(NamedTuple):
    """Devices that a task has.

    Parameters
    ----------
    places
        Where they stand in the worker's lists, and how much of each is taken.
    names
        What they are called.
    """

    places: tuple[tuple[int, float], ...]
    names: tuple[str, ...]


class Devices:
    """The devices of one worker. `take` and `give_back` may be called from any thread.

    A part of a device is taken where the least is left that suffices, so that whole ones stay
    whole. Nobody ever waits: the scheduler sees to it that no more is taken than there is. Where it
    could not, for a task has outlived its scheduler or only parts of several devices are left, the
    least used ones are lent.

    Parameters
    ----------
    lists
        Variable -> devices, as `device_shares` returns them.
    shown
        Whether these variables of this process name a task's devices while it has them: where one
        task runs at a time.

    Attributes
    ----------
    names
        What they are called, in the first of the lists.

    Examples
    --------
    >>> devices = Devices({"CUDA_VISIBLE_DEVICES": ("2", "3")})
    >>> one, part = devices.take(1.0), devices.take(0.5)
    >>> one.names, part.names, devices.take(0.5).names
    (('2',), ('3',), ('3',))
    """

    def __init__(self, lists: Mapping[str, tuple[str, ...]], *, shown: bool = False) -> None:
        self.names = next(iter(lists.values()), ())
        self._lists = {
            name: names for name, names in lists.items() if len(names) == len(self.names)
        }
        self._shown = shown and len(self.names) > 1
        self._latest: Loan | None = None
        self._taken = [0.0] * len(self.names)
        self._lock = threading.Lock()

    def take(self, amount: float) -> Loan:
        """Lend devices: so many, and the last of them perhaps in part."""
        with self._lock:
            places: list[tuple[int, float]] = []
            while amount > _TINY and len(places) < len(self.names):
                part = min(1.0, amount)
                place = self._find(part, [place for place, _ in places])
                self._taken[place] += part
                places.append((place, part))
                amount -= part
            loan = Loan(tuple(places), tuple(self.names[place] for place, _ in sorted(places)))
            self._latest = loan
            self._show([place for place, _ in sorted(places)])
        return loan

    def give_back(self, loan: Loan) -> None:
        """Take back what was lent."""
        with self._lock:
            for place, part in loan.places:
                self._taken[place] = max(0.0, self._taken[place] - part)
            if self._latest is loan:  # and no other has come since its task made way
                self._latest = None
                self._show(range(len(self.names)))

    def _find(self, part: float, but: list[int]) -> int:
        places = [place for place in range(len(self._taken)) if place not in but]
        enough = [place for place in places if self._taken[place] + part <= 1 + _TINY]
        if enough:
            return max(enough, key=lambda place: self._taken[place])
        return min(places, key=lambda place: self._taken[place])

    def _show(self, places: list[int] | range) -> None:
        if self._shown:
            for variable, names in self._lists.items():
                os.environ[variable] = ",".join(names[place] for place in places)
