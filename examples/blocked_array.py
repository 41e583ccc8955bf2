"""Compute with an array that fits into no worker's memory: block by block.

    python examples/blocked_array.py
    python examples/blocked_array.py --size 40000 --block 2000

The array is dask's, and so is the arithmetic; `Client()` is what has it computed by jobqueue. Of
40,000 by 40,000 numbers, 12.8 GB, the workers hold a dozen blocks or so at any time, since tasks
run in an order in which blocks are soon used up. On a batch system, put
`SLURMCluster(cores=8, memory="32GB") as cluster, Client(cluster)` in the place of `Client()`, with
`cluster.scale(jobs=4)`.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

from jobqueue import Client

try:
    import dask
    import dask.array as da
except ImportError as missing:
    sys.exit(f"This example needs dask's arrays ({missing}): pip install 'jobqueue[examples]'")


def highest_memory():
    """Return the most memory this process ever had, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main():
    """Compute, and tell how much memory that took."""
    options = parse_arguments()
    random = da.random.default_rng(seed=0)
    x = random.random((options.size, options.size), chunks=options.block)
    y = x + x.T
    with Client() as client:
        started = time.perf_counter()
        mean, deviation = dask.compute(y.mean(), y.std())  # at once: each block is made once
        seconds = time.perf_counter() - started
        memory = max(client.run(highest_memory).values())
    print(f"mean {mean:.4f}, standard deviation {deviation:.4f}")
    print(f"{x.nbytes / 1e6:,.0f} MB in {x.npartitions} blocks took {seconds:.1f} s")
    print(f"no worker ever had more than {memory:.0f} MB, Python and its libraries included")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=count, default=6000, help="rows, and columns (6000)")
    parser.add_argument(
        "--block", type=count, default=500, help="rows and columns of a block (500)"
    )
    return parser.parse_args()


def count(text):
    """Read a number of rows."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: there has to be one")
    return number


if __name__ == "__main__":
    main()
