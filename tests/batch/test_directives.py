"""Leaving directives out, and reading them."""

from __future__ import annotations

import pytest

from jobqueue.batch.directives import option_value, split, without
from jobqueue.batch.slurm import SlurmAdapter

LINES = [
    "#SBATCH -J dask-worker",
    "#SBATCH -o /logs/run-n/x-%J.out",
    "#SBATCH -n 1",
    "#SBATCH -N 1",
    "#SBATCH --cpus-per-task=24",
    "#SBATCH --mem=94G",
    "#SBATCH --mem-per-cpu=4G",
    "#SBATCH -t 00:30:00",
]
PBS_LINES = [
    "#PBS -N dask-worker",
    "#PBS -l select=1:ncpus=24:mem=94GB",
    "#PBS -l walltime=00:30:00",
]


def dropped(lines: list[str], skip: list[str], prefix: str = "#SBATCH") -> list[str]:
    aliases = SlurmAdapter.option_aliases if prefix == "#SBATCH" else {}
    kept = without(lines, skip, prefix=prefix, aliases=aliases)
    return [line.removeprefix(f"{prefix} ") for line in lines if line not in kept]


@pytest.mark.parametrize(
    ("entry", "gone"),
    [
        ("-n", ["-n 1"]),  # and not the path with -n in it, nor -N
        ("-N", ["-N 1"]),
        ("--mem", ["--mem=94G"]),  # and not --mem-per-cpu
        ("--mem=", ["--mem=94G"]),
        ("--mem=94G", ["--mem=94G"]),
        ("--mem=1G", []),
        ("-n 1", ["-n 1"]),
        ("-n  1 ", ["-n 1"]),
        ("-n 2", []),
        ("#SBATCH -n 1", ["-n 1"]),
        ("#SBATCH -n", ["-n 1"]),
        ("--time", ["-t 00:30:00"]),  # the long name of what we write short
        ("-c", ["--cpus-per-task=24"]),  # and the other way round
        ("-x", []),
        ("", []),
    ],
)
def test_whole_directives_are_left_out(entry: str, gone: list[str]) -> None:
    """An entry drops the directives with that option, or that directive: nothing by part of it."""
    assert dropped(LINES, [entry]) == gone


@pytest.mark.parametrize(
    ("entry", "gone"),
    [
        ("-l", ["-l select=1:ncpus=24:mem=94GB", "-l walltime=00:30:00"]),
        ("-l walltime", ["-l walltime=00:30:00"]),
        ("-l select", ["-l select=1:ncpus=24:mem=94GB"]),
        ("-l walltime=00:30:00", ["-l walltime=00:30:00"]),
        ("-l wall", []),
    ],
)
def test_one_resource_of_pbs(entry: str, gone: list[str]) -> None:
    """PBS has one option for all resources: its resource's name tells them apart."""
    assert dropped(PBS_LINES, [entry], "#PBS") == gone


def test_several_entries_and_other_lines() -> None:
    """Entries add up; what is no directive stays."""
    lines = ["#!/bin/sh", *LINES, "echo -n"]
    assert dropped(lines, ["-n", "-N", "-J"]) == ["-J dask-worker", "-n 1", "-N 1"]


@pytest.mark.parametrize(
    ("directive", "parts"),
    [
        ("-n 1", ("-n", "1")),
        ("-n1", ("-n", "1")),
        ("--mem=27G", ("--mem", "27G")),
        ("--mem 27G", ("--mem", "27G")),
        ("--exclusive", ("--exclusive", "")),
        ("-L project, SCRATCH", ("-L", "project, SCRATCH")),
        ("no option", ("no option", "")),
    ],
)
def test_split(directive: str, parts: tuple[str, str]) -> None:
    """Option and value, however they are put together."""
    assert split(directive) == parts


def test_the_last_value_of_an_option_counts() -> None:
    """As for the submit command itself, under either name."""
    aliases = SlurmAdapter.option_aliases
    assert option_value(["-M a", "--clusters='b'"], "--clusters", aliases) == "b"
    assert option_value(["-n 1"], "--clusters", aliases) == ""
