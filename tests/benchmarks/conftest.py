"""Makes `benchmarks` importable, which isn't installed, and gives outcomes to judge.

The package is loaded from its folder. The checkout itself stays off ``sys.path``, or the
top-level ``scheduler/`` and ``worker/`` would become importable in all other tests.
"""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load() -> None:
    """Import the package ``benchmarks`` from its folder."""
    if "benchmarks" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "benchmarks", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["benchmarks"] = package
    spec.loader.exec_module(package)


load()
