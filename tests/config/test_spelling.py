"""Names that are misspelt."""

from __future__ import annotations

import pytest

from jobqueue.config.spelling import did_you_mean, nearest, normal

KEYS = ["job_extra_directives", "memory", "walltime"]


@pytest.mark.parametrize("name", ["walltime", "wall-time", "WALLTIME", " walltim", "walltme"])
def test_what_is_meant(name):
    """Neither case, dashes nor a letter too few keep a name from being found."""
    assert nearest(name, KEYS) == "walltime"
    assert did_you_mean(name, KEYS) == "; did you mean 'walltime'?"


def test_nothing_like_it():
    """A name that is like no other gets no suggestion."""
    assert nearest("colour", KEYS) is None
    assert did_you_mean("colour", KEYS) == ""


def test_how_alike():
    """How many letters may be off is the caller's to say."""
    assert nearest("slum", ["slurm"], 0.8) == "slurm"
    assert nearest("alarm", ["slurm"]) == "slurm"
    assert nearest("alarm", ["slurm"], 0.8) is None


def test_one_spelling():
    """YAML is often written with dashes."""
    assert normal(" job-extra-directives ") == "job_extra_directives"
