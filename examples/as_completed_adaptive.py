"""Integrate a function, looking closer where it is rough: results decide which tasks come next.

    python examples/as_completed_adaptive.py

Each task integrates over one interval, coarsely and finely. Where the two disagree, the interval
is halved and both halves join the tasks that `as_completed` waits for.
"""

from __future__ import annotations

import math

from jobqueue import Client, LocalCluster, as_completed

TOLERANCE = 1e-9


def spike(x):
    """A function with a narrow peak at 0.3."""
    return 1e-3 / ((x - 0.3) ** 2 + 1e-6)


def simpson(low, high):
    """Integrate over one interval; return its ends, the integral and how far off it may be."""
    middle = (low + high) / 2
    coarse = _rule(low, high)
    fine = _rule(low, middle) + _rule(middle, high)
    return low, high, fine, abs(fine - coarse) / 15


def _rule(low, high):
    return (high - low) / 6 * (spike(low) + 4 * spike((low + high) / 2) + spike(high))


def main():
    """Refine until every interval is good enough."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        running = as_completed(client.map(simpson, [0.0, 0.25, 0.5, 0.75], [0.25, 0.5, 0.75, 1.0]))
        parts = []
        halved = 0
        for future in running:
            low, high, integral, error = future.result()
            if error <= TOLERANCE * (high - low):
                parts.append(integral)
                continue
            halved += 1
            middle = (low + high) / 2
            running.update(client.map(simpson, [low, middle], [middle, high]))
    exact = math.atan((1 - 0.3) * 1e3) - math.atan(-0.3 * 1e3)
    total = math.fsum(parts)
    print(f"{len(parts)} intervals after halving {halved}: {total:.9f}, exactly {exact:.9f}")
    assert abs(total - exact) < 1e-8


if __name__ == "__main__":
    main()
