"""What clusters are told by keywords, ``jobqueue.yaml`` files, variables and code.

`set` and `explain` are for users; `resolve` in its room is what clusters call. The rooms, each
built on the ones before it: `units` (amounts and times), `values` (types), `rows` and `keywords`
(the table), `spelling`, `nodes` (YAML with lines), `hosts` (which machine this is), `sections` (the
shape of a file), `overlay` and `load` (the places), `merge` (who wins), `pools`, `checks`,
`resolve`, `assign` (`set`), `origins` (`explain`).

Both are imported when they are first used: clusters that read no files, such as a `LocalCluster`,
need only amounts and names of what is here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobqueue.config.assign import set
    from jobqueue.config.origins import explain

_HOMES = {"explain": "jobqueue.config.origins", "set": "jobqueue.config.assign"}

__all__ = ["explain", "set"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jobqueue.config' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
