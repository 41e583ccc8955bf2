"""`BatchCluster`: what the clusters on batch systems share; slurm.py, pbs.py, ... name the system.

Keywords, defaults and documentation come from one table, jobqueue/config/keywords.py.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, ClassVar

from jobqueue.batch.answers import Argv
from jobqueue.batch.systems import adapter_for
from jobqueue.cluster.batch_plan import BatchPlan
from jobqueue.cluster.cluster import Cluster
from jobqueue.config.keywords import ALIASES, Keyword, keywords_of
from jobqueue.config.resolve import resolve, resolve_pool


class BatchCluster(Cluster):
    """A cluster whose jobs a batch system runs.

    Parameters
    ----------
    config_name
        Section of jobqueue.yaml to read; by default the batch system's.
    **keywords
        See the subclasses.
    """

    system: ClassVar[str]
    command_prefix: ClassVar[Argv] = ()
    """Words before each command of the batch system: a program that stands in for it."""

    def __init_subclass__(cls) -> None:
        """Give a class for a batch system its documentation and its signature."""
        super().__init_subclass__()
        if "system" in vars(cls):
            rows = keywords_of(cls.system)
            cls.__doc__ = f"{inspect.getdoc(cls)}\n\n{_parameters(rows.values())}"
            cls.__signature__ = _signature(rows)  # type: ignore[attr-defined]

    def __init__(self, *, config_name: str | None = None, **keywords: Any) -> None:
        resolved = resolve(config_name, keywords, system=self.system)
        completed = type(self).completed  # not of this object, which is to be collected
        values = completed(resolved.values)
        values["pools"] = {name: completed(own) for name, own in values["pools"].items()}

        def pool_values(name: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
            return completed(resolve_pool(resolved, name, own).values)

        plan = BatchPlan(
            values,
            adapter_for(self.system),
            pool_values,
            prefix=self.command_prefix,
            place=resolved.place,
        )
        super().__init__(
            plan,
            asynchronous=bool(values["asynchronous"]),
            n_workers=values["n_workers"] or 0,
            scheduler_class=values["scheduler_cls"],
        )

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords, with what this machine tells about those that are not set."""
        return values


def _parameters(rows: Any) -> str:
    lines = ["Parameters", "----------"]
    for row in rows:
        lines.append(f"{row.name} : {row.kind}{_default(row)}")
        lines += textwrap.wrap(_sentence(row.meaning), 90, initial_indent="    ",
                               subsequent_indent="    ")  # fmt: skip
    lines += [
        "config_name : text",
        "    Section of jobqueue.yaml to read; by default the batch system's.",
        "",
        "Raises",
        "------",
        "ConfigError",
        "    A keyword, or a key of a configuration file, cannot be used.",
        "",
        "Notes",
        "-----",
        "Deprecated names: "
        + ", ".join(f"{alias.old} → {alias.new}" for alias in ALIASES if alias.deprecated)
        + ".",
    ]
    return "\n".join(lines)


def _default(row: Keyword) -> str:
    if row.required:
        return ", required (here or in jobqueue.yaml)"
    return "" if row.default in (None, [], {}) else f", default {row.default}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _signature(rows: Any) -> inspect.Signature:
    only = inspect.Parameter.KEYWORD_ONLY
    names = [*rows, "config_name"]
    return inspect.Signature([inspect.Parameter(name, only, default=None) for name in names])
