"""Draw a resonance curve where it bends: results decide which tasks come next, and which first.

    python examples/as_completed_adaptive.py
    python examples/as_completed_adaptive.py --cluster slurm --queue debug

Each task simulates an oscillator that is driven at one frequency. Where the answer is not what its
neighbours let expect, both sides of it join the tasks that `as_completed` waits for; and the less
it was expected the sooner they run, before tasks that have stood in line for longer. The cluster
follows: as many workers as there is work for.
"""

from __future__ import annotations

import argparse
import itertools
import math

from jobqueue import Client, LocalCluster, SLURMCluster, as_completed

DAMPING = 0.05
TOLERANCE = 0.05
PLACES = [0.5 + place / 10 for place in range(11)]
"""Frequencies to begin with, in units of the oscillator's own."""


def amplitude(frequency, step=0.02):
    """Simulate until only the driven oscillation is left; return how far it goes."""
    position = speed = farthest = 0.0
    end = 6 / DAMPING + 2 * math.pi / frequency
    for number in range(int(end / step)):
        time = number * step
        speed += (math.cos(frequency * time) - position - 2 * DAMPING * speed) * step
        position += speed * step
        if time > 6 / DAMPING:
            farthest = max(farthest, abs(position))
    return farthest


def draw(client):
    """Return the curve as a dict of frequencies and amplitudes."""
    curve = dict(zip(PLACES, client.gather(client.map(amplitude, PLACES)), strict=True))
    running = as_completed()
    between = {}  # the frequencies on both sides of each task's own

    def look_between(low, high, priority):
        future = client.submit(amplitude, (low + high) / 2, priority=priority)
        between[future] = low, high
        running.add(future)

    for low, high in itertools.pairwise(PLACES):
        look_between(low, high, priority=0)
    for future in running:
        low, high = between.pop(future)
        middle = (low + high) / 2
        curve[middle] = future.result()
        surprise = abs(curve[middle] - (curve[low] + curve[high]) / 2)
        if surprise > TOLERANCE:
            look_between(low, middle, priority=surprise)
            look_between(middle, high, priority=surprise)
    return curve


def make_cluster(options):
    """Make a cluster without workers; what is not given here comes from jobqueue.yaml."""
    if options.cluster == "local":
        return LocalCluster(n_workers=0, threads_per_worker=1)
    return SLURMCluster(cores=1, memory="1GB", queue=options.queue, walltime="00:10:00")


def main():
    """Draw the curve, and compare its peak with what is known of it."""
    options = parse_arguments()
    with make_cluster(options) as cluster, Client(cluster) as client:
        cluster.adapt(maximum_jobs=options.jobs)
        curve = draw(client)
    for frequency, height in sorted(curve.items()):
        print(f"{frequency:.5f} {'*' * round(6 * height)}")
    peak = max(curve, key=curve.get)
    known = math.sqrt(1 - 2 * DAMPING**2)
    print(f"{len(curve)} simulations: the peak is at {peak:.3f}, as it should be at {known:.3f}")
    assert abs(peak - known) < 0.01


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", choices=("local", "slurm"), default="local")
    parser.add_argument("--jobs", type=int, default=2, help="jobs at most (2)")
    parser.add_argument("--queue", help="queue or partition")
    return parser.parse_args()


if __name__ == "__main__":
    main()
