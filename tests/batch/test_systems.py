"""Finding an adapter by its batch system's name."""

from __future__ import annotations

import pytest

from jobqueue.batch.systems import ADAPTERS, adapter_for
from jobqueue.errors import ConfigError


def test_adapters_by_name() -> None:
    """Each batch system's adapter is found by its name, fitted to the job's directives."""
    assert all(adapter_for(name) == adapter for name, adapter in ADAPTERS.items())
    assert "--clusters=galaxy" in adapter_for("slurm", ["-M galaxy"]).cancel_argv(["5"])


def test_no_such_batch_system() -> None:
    """An unknown name is one error that lists the known ones."""
    with pytest.raises(ConfigError, match="no batch system 'slrum'; known are slurm, pbs"):
        adapter_for("slrum")
