"""Search the best parameters of a classifier of handwritten digits, on the nodes of a cluster.

    python examples/grid_search.py --cluster slurm --jobs 4 --queue debug
    python examples/grid_search.py --cluster local

It is scikit-learn's own search: `joblib.parallel_backend("jobqueue")` is all that has it run on the
workers, one task for each fit or for a few short ones, and the images travel once. Needs
scikit-learn, here and on the nodes: pip install 'jobqueue[examples]'.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections import Counter

from jobqueue import Client, LocalCluster, PBSCluster, SLURMCluster, get_worker

try:
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import SVC
except ImportError as missing:
    sys.exit(f"This example needs scikit-learn ({missing}): pip install 'jobqueue[examples]'")

GRID = {"C": [0.3, 1.0, 3.0], "gamma": [0.0003, 0.001, 0.003]}
FOLDS = 5


def make_search(**options):
    """Return the search, which has run nowhere yet."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return GridSearchCV(SVC(), GRID, cv=folds, refit=False, **options)


def counted_accuracy(model, images, digits):
    """Return the accuracy of a fitted model; let the worker count its fits."""
    worker = get_worker()
    worker.fits = getattr(worker, "fits", 0) + 1
    return model.score(images, digits)


def count_fits():
    """Return how many fits the worker has counted, and where it is."""
    return socket.gethostname(), getattr(get_worker(), "fits", 0)


def scores_of(search):
    """Return the accuracies of each candidate, fold by fold."""
    folds = [search.cv_results_[f"split{fold}_test_score"] for fold in range(FOLDS)]
    return [list(row) for row in zip(*folds, strict=True)]


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


def main():
    """Search, and print what was found."""
    options = parse_arguments()
    images, digits = load_digits(return_X_y=True)
    search = make_search(scoring=counted_accuracy)
    with make_cluster(options) as cluster, Client(cluster) as client:
        if options.wait:
            client.wait_for_workers(options.jobs)
        started = time.perf_counter()
        with joblib.parallel_backend("jobqueue"):
            search.fit(images, digits)
        seconds = time.perf_counter() - started
        fits_on = Counter()
        for worker in client.nthreads():
            node, count = client.submit(count_fits, workers=worker).result()
            fits_on[node] += count

    found = ", ".join(f"{name}={value:g}" for name, value in search.best_params_.items())
    nodes = ", ".join(f"{count} on {node}" for node, count in sorted(fits_on.items()) if count)
    print(f"best: {found} with an accuracy of {search.best_score_:.4f}")
    print(f"{fits_on.total()} fits in {seconds:.1f} s: {nodes}")
    return check(search, images, digits) if options.check else 0


def check(search, images, digits):
    """Compare with a search in this process, one fit after the other, to the last bit."""
    started = time.perf_counter()
    plain = make_search(n_jobs=1).fit(images, digits)
    seconds = time.perf_counter() - started
    ours, expected = scores_of(search), scores_of(plain)
    for parameters, one, other in zip(search.cv_results_["params"], ours, expected, strict=True):
        print(f"{parameters}: cluster {sum(one) / FOLDS:.6f}, loop {sum(other) / FOLDS:.6f}")
    same = ours == expected
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
