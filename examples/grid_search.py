"""Search the best parameters of a classifier of handwritten digits, on the nodes of a cluster.

    python examples/grid_search.py --cluster slurm --jobs 4 --queue debug
    python examples/grid_search.py --cluster local

Each pair of parameters is cross-validated: one fit, and so one task, for each fold. Needs
scikit-learn, here and on the nodes: pip install 'jobqueue[examples]'.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import sys
import time
from collections import defaultdict

from rich.progress import track

from jobqueue import Client, LocalCluster, PBSCluster, SLURMCluster, as_completed

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC
except ImportError as missing:
    sys.exit(f"This example needs scikit-learn ({missing}): pip install 'jobqueue[examples]'")

GRID = {"C": [0.3, 1.0, 3.0], "gamma": [0.0003, 0.001, 0.003]}
FOLDS = 5


def fit(parameters, fold, *, images, digits):
    """Train on all but one fold; return the accuracy on that one, and where this ran."""
    train, test = fold
    model = SVC(**parameters).fit(images[train], digits[train])
    return model.score(images[test], digits[test]), socket.gethostname()


def make_cluster(options):
    """Make the cluster; what is not given here comes from jobqueue.yaml."""
    if options.cluster == "local":
        return LocalCluster(n_workers=options.jobs, threads_per_worker=1)
    kind = {"slurm": SLURMCluster, "pbs": PBSCluster}[options.cluster]
    cluster = kind(
        job_name="grid-search",
        cores=options.cores,
        memory=options.memory,
        queue=options.queue,
        walltime="00:10:00",
    )
    cluster.scale(jobs=options.jobs)
    return cluster


def search(client, images, digits, candidates, folds):
    """Return the accuracies of each candidate, fold by fold, and how many fits ran where."""
    # The data travels once, not with each task.
    data = client.scatter({"images": images, "digits": digits})
    calls = list(itertools.product(range(len(candidates)), range(len(folds))))
    futures = client.map(
        fit, [candidates[c] for c, _ in calls], [folds[f] for _, f in calls], **data
    )
    place = dict(zip(futures, calls, strict=True))
    scores = [[0.0] * len(folds) for _ in candidates]
    fits_on = defaultdict(int)
    for future in track(as_completed(futures), "fits", total=len(futures)):
        candidate, fold = place[future]
        scores[candidate][fold], node = future.result()
        fits_on[node] += 1
    return scores, fits_on


def plain_loop(images, digits, candidates, folds):
    """Compute the same without any cluster."""
    return [
        [fit(parameters, fold, images=images, digits=digits)[0] for fold in folds]
        for parameters in candidates
    ]


def main():
    """Search, and print what was found."""
    options = parse_arguments()
    images, digits = load_digits(return_X_y=True)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(images, digits))
    candidates = [
        dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())
    ]
    with make_cluster(options) as cluster, Client(cluster) as client:
        if options.wait:
            client.wait_for_workers(options.jobs)
        started = time.perf_counter()
        scores, fits_on = search(client, images, digits, candidates, folds)
        seconds = time.perf_counter() - started

    means = [sum(row) / len(row) for row in scores]
    best = max(range(len(candidates)), key=means.__getitem__)
    found = ", ".join(f"{name}={value:g}" for name, value in candidates[best].items())
    nodes = ", ".join(f"{count} on {node}" for node, count in sorted(fits_on.items()))
    print(f"best: {found} with an accuracy of {means[best]:.4f}")
    print(f"{len(candidates) * FOLDS} fits in {seconds:.1f} s: {nodes}")
    if options.check:
        return check(scores, images, digits, candidates, folds)
    return 0


def check(scores, images, digits, candidates, folds):
    """Compare with the plain loop, to the last bit."""
    started = time.perf_counter()
    expected = plain_loop(images, digits, candidates, folds)
    seconds = time.perf_counter() - started
    for parameters, ours, theirs in zip(candidates, scores, expected, strict=True):
        print(f"{parameters}: cluster {sum(ours) / FOLDS:.6f}, loop {sum(theirs) / FOLDS:.6f}")
    same = scores == expected
    print(f"a plain loop takes {seconds:.1f} s and gives {'the same' if same else 'OTHER'} scores")
    return 0 if same else 1


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", choices=("slurm", "pbs", "local"), default="local")
    parser.add_argument("--jobs", type=int, default=4, help="jobs to submit (4)")
    parser.add_argument("--cores", type=int, default=1, help="cores of each job (1)")
    parser.add_argument("--memory", default="2GB", help="memory of each job (2GB)")
    parser.add_argument("--queue", help="queue or partition")
    parser.add_argument("--wait", action="store_true", help="begin when all jobs have started")
    parser.add_argument("--check", action="store_true", help="compare with a plain loop")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
