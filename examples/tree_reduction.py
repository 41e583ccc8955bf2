"""Sum many numbers by a tree of tasks: futures are arguments like any other.

    python examples/tree_reduction.py

A task whose arguments are futures runs when their tasks have ended, on a worker that has their
results; nothing comes back to this program but the sum.
"""

from __future__ import annotations

from jobqueue import Client

LEAVES = 256


def leaf(number):
    """Stand for some work that gives a number."""
    return number * number


def add(left, right):
    """Put two results together."""
    return left + right


def main():
    """Build the tree, and wait for its root."""
    with Client() as client:
        level = client.map(leaf, range(LEAVES))
        while len(level) > 1:
            level = client.map(add, level[::2], level[1::2])
        total = level[0].result()
    print(f"the sum of the first {LEAVES} squares is {total}")
    assert total == (LEAVES - 1) * LEAVES * (2 * LEAVES - 1) // 6


if __name__ == "__main__":
    main()
