"""Train on GPU jobs what plain jobs have prepared: two kinds of jobs in one cluster.

    python examples/gpu_pool.py
    python examples/gpu_pool.py --cluster slurm --queue debug --gpus 2 --gres gpu:2

Tasks that ask for a GPU run in jobs of the pool that has some, each with a device of its own; their
inputs come from the other jobs' workers directly. Jobs of either kind are there only while there
is work for them. The training here is three lines of Python, and runs without any GPU.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter

from jobqueue import Client, LocalCluster, SLURMCluster, as_completed, devices

SLOPE, OFFSET = 2.0, -1.0


def prepare(seed):
    """Stand for what needs no GPU: reading, cleaning, cutting into pieces."""
    numbers = random.Random(seed)
    points = [numbers.uniform(-1, 1) for _ in range(1000)]
    return [(x, SLOPE * x + OFFSET + numbers.gauss(0, 0.1)) for x in points]


def train(samples, rate):
    """Fit a line by gradient descent; return how far it is off, rate and line, and the device."""
    (device,) = devices()  # torch.device("cuda") is this one, where each worker has one device
    slope = offset = 0.0
    for x, y in samples:
        error = slope * x + offset - y
        slope, offset = slope - rate * error * x, offset - rate * error
    loss = sum((slope * x + offset - y) ** 2 for x, y in samples) / len(samples)
    return loss, rate, (slope, offset), device


def make_cluster(options):
    """Make a cluster of two pools; what is not given here comes from jobqueue.yaml."""
    if options.cluster == "local":
        gpu = {"resources": {"GPU": 1}}
        return LocalCluster(n_workers=0, threads_per_worker=1, pools={"gpu": gpu})
    # The resource says how many devices a job has; the directive asks the batch system for them.
    gpu = {
        "cores": options.gpus,
        "resources": {"GPU": options.gpus},
        "job_extra_directives": [f"--gres={options.gres}"],
    }
    return SLURMCluster(
        cores=1, memory="1GB", queue=options.queue, walltime="00:10:00", pools={"gpu": gpu}
    )


def main():
    """Train with several rates, and print the best line."""
    options = parse_arguments()
    with make_cluster(options) as cluster, Client(cluster) as client:
        cluster.adapt(maximum_jobs=2)
        cluster.adapt(maximum_jobs=1, pool="gpu")
        pieces = client.map(prepare, range(4), pool="default")
        trained = [
            client.submit(train, piece, rate, resources={"GPU": 1})
            for piece in pieces
            for rate in (0.003, 0.01, 0.03, 0.1)
        ]
        on = Counter()
        best = None
        for _, result in as_completed(trained, with_results=True):
            on[result[-1]] += 1
            best = min(best or result, result)
        print(cluster.describe(pool="gpu"))
    _, rate, (slope, offset), _ = best
    print("; ".join(f"{count} trained on GPU {device}" for device, count in sorted(on.items())))
    print(f"the best line is {slope:.1f} x {offset:+.1f}, with a rate of {rate}")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", choices=("local", "slurm"), default="local")
    parser.add_argument("--queue", help="queue or partition")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of a job (1)")
    parser.add_argument("--gres", default="gpu:1", help="how the batch system calls them (gpu:1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
