"""Random graphs of tasks on workers that get into all kinds of trouble, compared with a local run.

    python3 ci/chaos                          a minute of it
    python3 ci/chaos --minutes 10             longer
    python3 ci/chaos --seed 7 --graphs 300    what a failing run says to repeat it
    python3 ci/chaos --only kill-worker,cut   some kinds of trouble

Kinds: kill-worker, kill-agent, stop-worker, stop-agent, cut, half-cut, freeze, darken, retire.
Every task has to end with the right value; only what needs a scattered value may be lost with the
worker that had it. At the end nothing may be left of all the tasks, and all workers have to work
again.
"""

from __future__ import annotations

import argparse
import sys

from rounds import Budget, Rounds
from trouble import KINDS


def main() -> int:
    """Run; return the exit status."""
    options = _parser().parse_args()
    kinds = options.only.split(",") if options.only else list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"no such trouble: {', '.join(unknown)}; there is {', '.join(KINDS)}")
        return 2
    seconds = options.seconds if options.minutes is None else options.minutes * 60
    if options.graphs is not None and options.minutes is None:
        seconds = float("inf")
    budget = Budget(options.graphs or sys.maxsize, seconds)
    rounds = Rounds(options.seed, budget, kinds, options.protocol, options.workers, options.first)
    return rounds.run(options.clients)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--graphs", type=int, help="end after so many")
    parser.add_argument("--first", type=int, default=0, help="number of the first graph")
    parser.add_argument("--seconds", type=float, default=60.0, help="end after so long")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--only", metavar="KIND,…", help="kinds of trouble")
    parser.add_argument("--protocol", choices=("tls", "tcp"), default="tls")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=4)
    return parser


if __name__ == "__main__":
    sys.exit(main())
