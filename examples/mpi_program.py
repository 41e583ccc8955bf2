"""Run a parallel program again and again, on all nodes of a job: as tasks, with futures.

    python examples/mpi_program.py --queue debug
    python examples/mpi_program.py --queue debug --nodes 4 -- ./simulate --steps

The program is run once for each of several numbers, its last argument. Each run has all nodes of a
job for itself; with several jobs there are as many runs at a time. The program that is run if you
give none is this file: each of its processes does its share of a sum, and needs no MPI for that.
"""

from __future__ import annotations

import argparse
import math
import os
import sys

from jobqueue import Client, SLURMCluster, as_completed

STEPS = [1_000, 10_000, 100_000]


def process(steps):
    """Be one process of the program: add up every n-th slice of a quarter of a circle."""
    # As Slurm's, MPICH's and Open MPI's launchers call them; mpi4py knows them by itself.
    names = [("SLURM_PROCID", "SLURM_NTASKS"), ("PMI_RANK", "PMI_SIZE")]
    names += [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")]
    rank, size = next((int(os.environ[r]), int(os.environ[s])) for r, s in names if s in os.environ)
    slices = range(rank, steps, size)
    print(sum(4 / (1 + ((n + 0.5) / steps) ** 2) for n in slices) / steps)


def main():
    """Run the program for each number of steps, and print what it prints."""
    options = parse_arguments()
    program = options.program or [sys.executable, os.path.abspath(__file__), "--process"]
    # What is not given here comes from jobqueue.yaml.
    cluster = SLURMCluster(
        nodes=options.nodes,
        cores=2 * options.nodes,
        memory=f"{options.nodes}GB",
        queue=options.queue,
        walltime="00:10:00",
    )
    with cluster, Client(cluster) as client:
        cluster.scale(jobs=options.jobs)
        runs = {
            client.submit_mpi([*program, str(steps)], processes_per_node=2): steps
            for steps in STEPS
        }
        for future, result in as_completed(runs, with_results=True):
            print(f"{runs[future]} steps on {' '.join(result.hosts)}:")
            if options.program:
                print(result.stdout, end="")
            else:
                shares = [float(line) for line in result.stdout.split()]
                pi = math.fsum(shares)
                print(f"  {len(shares)} shares make {pi:.9f}, which is {pi - math.pi:.1e} off")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="jobs to submit (1)")
    parser.add_argument("--nodes", type=int, default=2, help="nodes of each (2)")
    parser.add_argument("--queue", help="queue or partition")
    parser.add_argument("program", nargs="*", help="program to run, and its arguments, after --")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        process(int(sys.argv[2]))
    else:
        main()
