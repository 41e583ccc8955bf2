"""Which software a process runs on."""

from __future__ import annotations

import sys

from jobqueue import __version__
from jobqueue.protocol.versions import versions


def test_versions():
    """Of Python, of this package and of those that were asked for; None for what is not there."""
    found = versions(["pytest", "no-such-package"])
    assert found["packages"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["jobqueue"] == __version__
    assert found["packages"]["pytest"]
    assert found["packages"]["no-such-package"] is None
    assert found["host"]["OS"]
