"""Who runs when: A B C, B C A, C A B, … for each row, each measurement in a fresh process.

What slows the machine for a minute then slows all contenders of that minute, and ratios
are taken within a round. The order rotates, so that nobody always follows the same peer.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.contenders import CONTENDERS
from benchmarks.results import Outcome, Outcomes
from benchmarks.rows import Row

TIMEOUT = 300.0
"""Seconds after which a measurement counts as failed."""

CHECKOUT = Path(__file__).resolve().parent.parent

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class MeasurementError(Exception):
    """A measurement brought no figure; the message is its last word."""


def turns(contenders: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield (round, contender): everybody once per round, the first place going around."""
    for number in range(rounds):
        first = number % max(len(contenders), 1)
        for contender in (*contenders[first:], *contenders[:first]):
            yield number, contender


def measure(contender: str, row: Row, size: int, *, timeout: float = TIMEOUT) -> float:
    """Measure once, in a fresh process with a folder of its own that is removed afterwards.

    Raises
    ------
    MeasurementError
        If the process fails or takes longer than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        file = Path(folder, "figure")
        log = Path(folder, "log")
        command = [sys.executable, "-m", "benchmarks.measure"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, contender, row.name, str(size), str(file)],
                cwd=folder,
                env={**environment(contender), "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise MeasurementError(f"no figure after {timeout:g} s") from None
            finally:
                end_family(process)
        if code != 0:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise MeasurementError(lines[-1] if lines else f"exit code {code}")
        return float(file.read_text(encoding="ascii"))


def environment(contender: str) -> dict[str, str]:
    """Return the environment of a measurement.

    The checkout must be importable from anywhere, commands of this interpreter's virtual
    environment must be found (Parsl starts its workers by name), no library may use more
    threads than the contender gives it, and modules are compiled once, as for any user.
    """
    paths = [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        **ONE_THREAD,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": os.pathsep.join(programs),
        **CONTENDERS[contender].environment,
    }


def end_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that is still there, and its children, which would disturb the next."""
    if process.poll() is not None:
        return
    parent = psutil.Process(process.pid)
    parent.suspend()  # so that it starts no more of them meanwhile
    for member in (*parent.children(recursive=True), parent):
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def run(
    outcomes: Outcomes,
    rows: Sequence[Row],
    contenders: Sequence[str],
    *,
    rounds: int,
    quick: bool = False,
) -> Iterator[str]:
    """Measure everything into `outcomes`; yield a line to show after each measurement.

    A contender that fails is left out of the rest of that row: the failure is reported, the
    others go on.
    """
    for row in rows:
        size = row.quick_size if quick else row.size
        names = [name for name in contenders if row.offered(CONTENDERS[name])]
        for number, name in turns(names, rounds):
            outcome = outcomes.setdefault((row.name, name), Outcome(unit=row.unit))
            if outcome.failure:
                continue
            try:
                outcome.figures[number] = measure(name, row, size)
            except MeasurementError as error:
                outcome.failure = str(error)
            yield f"{row.name} {number + 1}/{rounds} {name}: {outcome.last}"
