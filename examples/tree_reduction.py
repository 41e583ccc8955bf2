"""Sum many numbers by a tree of tasks: futures are arguments like any other.

    python examples/tree_reduction.py [--leaves 256]

A task whose arguments are futures runs when their tasks have ended, on a worker that has their
results; nothing comes back to this program but the sum.
"""

from __future__ import annotations

import argparse

from jobqueue import Client


def leaf(number):
    """Stand for some work that gives a number."""
    return number * number


def add(left, right):
    """Put two results together."""
    return left + right


def main():
    """Build the tree, and wait for its root."""
    parser = argparse.ArgumentParser(description="Sum the first squares by a tree of tasks.")
    parser.add_argument("--leaves", type=power_of_two, default=256, metavar="N", help="as in 256")
    leaves = parser.parse_args().leaves
    with Client() as client:
        level = client.map(leaf, range(leaves))
        while len(level) > 1:
            level = client.map(add, level[::2], level[1::2])
        total = level[0].result()
    print(f"the sum of the first {leaves} squares is {total}")
    assert total == (leaves - 1) * leaves * (2 * leaves - 1) // 6


def power_of_two(text):
    """Read a number of leaves."""
    number = int(text)
    if number < 1 or number & (number - 1):
        raise argparse.ArgumentTypeError(f"{text} is no power of two, as 128 and 256 are")
    return number


if __name__ == "__main__":
    main()
