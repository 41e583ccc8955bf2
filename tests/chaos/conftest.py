"""A place where workers can be lost in every way, from `ci/chaos`."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHAOS = Path(__file__).resolve().parents[2] / "ci" / "chaos"


@pytest.fixture(scope="module")
def place() -> Iterator[Any]:
    """Two workers of one agent, behind a proxy; a worker may be silent for two seconds."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.syspath_prepend(CHAOS)
        patch.setenv("JOBQUEUE_STATE_DIRECTORY", folder)
        module = importlib.import_module("place")
        made = module.Place("tls", 2, Path(folder), worker_ttl=2.0, allowed_failures=3)
        try:
            yield made
        finally:
            made.close()
            assert made.complaints() == []
            for name in ("place", "proxy"):
                sys.modules.pop(name, None)
