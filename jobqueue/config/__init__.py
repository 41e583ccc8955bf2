"""What clusters are told by keywords, ``jobqueue.yaml`` files, variables and code.

`resolve` is what clusters call; `set` and `explain` are for users. The rooms below, each built on
the ones before it: `units` (amounts and times), `values` (types), `rows` and `keywords` (the
table), `nodes` (YAML with lines), `hosts` (which machine this is), `sections` (the shape of a
file), `overlay` and `load` (the places), `merge` (who wins), `pools`, `checks`, `resolve`, `assign`
(`set`), `explain`.
"""

from __future__ import annotations

from jobqueue.config.assign import set
from jobqueue.config.explain import explain
from jobqueue.config.load import Config, Places, load
from jobqueue.config.resolve import Resolved, resolve, resolve_pool

__all__ = ["Config", "Places", "Resolved", "explain", "load", "resolve", "resolve_pool", "set"]
