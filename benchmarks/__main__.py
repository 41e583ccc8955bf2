"""The command line: ``python -m benchmarks --help``."""

import argparse
import datetime
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.contenders import CONTENDERS, WORKERS, missing
from benchmarks.plot import drawing
from benchmarks.report import document
from benchmarks.results import Outcomes
from benchmarks.rows import ROWS
from benchmarks.turns import run


def chosen(text: str, among: Iterable[str], what: str) -> list[str]:
    """Return the names in a comma-separated list, spelled as in `among`, in its order."""
    names = {name.lower(): name for name in among}
    wanted = [part.strip().lower() for part in text.split(",") if part.strip()]
    for part in wanted:
        if part not in names:
            raise SystemExit(f"no {what} is called {part!r}; there are {', '.join(names.values())}")
    return [name for key, name in names.items() if key in wanted]


def facts(contenders: Sequence[str]) -> dict[str, str]:
    """Return what a reader needs to know of machine and versions."""
    versions = {
        name: importlib.metadata.version(distribution)
        for name in contenders
        if (distribution := CONTENDERS[name].distribution)
    }
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{processor()}, {os.cpu_count()} CPUs",
        "load before the run": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "workers": f"{WORKERS}, with one thread each",
        **versions,
    }


def processor() -> str:
    """Return the processor's name as Linux knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure jobqueue and its peers in turns and compare them.",
    )
    made.add_argument(
        "--contenders",
        metavar="A,B",
        default=",".join(CONTENDERS),
        help="who takes part (default: all that are installed: %(default)s)",
    )
    made.add_argument(
        "--rows",
        metavar="X,Y",
        default=",".join(ROWS),
        help="what is measured (default: %(default)s)",
    )
    made.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    made.add_argument(
        "--quick", action="store_true", help="small sizes: proves that all runs, measures nothing"
    )
    made.add_argument("--out", type=Path, metavar="results.md", help="default: standard output")
    made.add_argument("--plot", type=Path, metavar="results.svg", help="draw the figures, too")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, showing each figure on standard error; what was measured until Ctrl-C counts."""
    options = parser().parse_args(arguments)
    if options.rounds < 1:
        raise SystemExit(f"--rounds is {options.rounds}; at least one is needed")
    rows = [ROWS[name] for name in chosen(options.rows, ROWS, "row")]
    asked = chosen(options.contenders, CONTENDERS, "contender")
    reasons = {name: missing(CONTENDERS[name]) for name in asked}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    present = [name for name in asked if name not in skipped]
    about = facts(present)

    outcomes: Outcomes = {}
    try:
        for line in run(outcomes, rows, present, rounds=options.rounds, quick=options.quick):
            print(line, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted: reporting what was measured so far", file=sys.stderr)

    text = document(
        outcomes,
        rows,
        present,
        rounds=options.rounds,
        quick=options.quick,
        facts=about,
        skipped=skipped,
    )
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    if options.plot:
        options.plot.write_text(
            drawing(outcomes, rows, present, quick=options.quick), encoding="utf-8"
        )
    return 1 if any(outcome.failure for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
