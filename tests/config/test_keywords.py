"""The table of keywords holds together, and the user's page says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jobqueue.config.keywords import (
    ALIASES,
    ALL_NAMES,
    EVERY,
    KEYWORDS,
    SYSTEMS,
    Keyword,
    aliases_of,
    default_of,
    keywords_of,
)
from jobqueue.config.units import format_walltime

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_keyword_has_one_row_per_batch_system(system: str) -> None:
    """Rows of the same name never overlap."""
    names = [row.name for row in KEYWORDS if system in row.systems]
    assert sorted(names) == sorted(set(names))
    assert list(keywords_of(system)) == names


@pytest.mark.parametrize("row", KEYWORDS, ids=lambda row: f"{row.name}-{'+'.join(row.systems)}")
def test_a_default_is_what_its_parser_would_give(row: Keyword) -> None:
    """A default written by a user changes nothing, and nobody can change it for others."""
    default = default_of(row)
    if default is not None and row.parse.__module__ == "jobqueue.config.values":
        assert row.parse(default) == default
    if isinstance(default, list | dict):
        assert default_of(row) is not default


@pytest.mark.parametrize("row", KEYWORDS, ids=lambda row: f"{row.name}-{'+'.join(row.systems)}")
def test_every_parser_takes_the_unset_values(row: Keyword) -> None:
    """Null and an empty text are never an error."""
    for unset in (None, ""):
        assert not row.parse(unset)


@pytest.mark.parametrize("system", SYSTEMS)
def test_aliases_lead_to_keywords(system: str) -> None:
    """An old name means a keyword that the batch system has, and is none itself."""
    for old, alias in aliases_of(system, yaml=True).items():
        assert alias.new in keywords_of(system)
        assert old not in keywords_of(system) or alias.place == "yaml"
    assert {alias.old for alias in ALIASES} <= ALL_NAMES


def test_project_is_an_old_name_only_where_account_is_the_new_one() -> None:
    """SGE, LSF and OAR charge projects."""
    assert [s for s in EVERY if "project" in aliases_of(s, yaml=False)] == ["pbs", "moab", "slurm"]
    assert [s for s in EVERY if "project" in keywords_of(s)] == ["sge", "lsf", "oar"]


def _shown(row: Keyword) -> str:
    if row.required:
        return "required"
    if row.name == "walltime" and row.default:
        return format_walltime(row.default)
    value: Any = {True: "true", False: "false", None: ""}.get(
        row.default if isinstance(row.default, bool | None) else "", row.default
    )
    return f"`{value}`" if isinstance(value, list | dict) else str(value)


def test_the_page_lists_every_keyword_with_its_default() -> None:
    """docs/configuration.md is written by hand, and held to the table line by line."""
    page = PAGE.read_text()
    wanted = []
    for row in KEYWORDS:
        if row.place == "code":
            continue
        systems = "all" if row.systems == EVERY else ", ".join(row.systems)
        wanted.append(
            f"| `{row.spelling}` | {row.kind} | {_shown(row)} | {systems} | {row.meaning} |"
        )
    missing = [line for line in wanted if line not in page]
    assert not missing, "not in docs/configuration.md:\n" + "\n".join(missing)


def test_the_pages_examples_work(site: Any) -> None:
    """Each file that the page shows is read without a complaint."""
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) >= 2
    for text in examples:
        path = site.ours(text)
        sections = re.findall(r"^  ([\w-]+):(?:  .*)?$", text, re.MULTILINE)
        for section in sections:
            if section == "sites":
                continue
            assert site.resolve(section).values["cores"] == 24
        path.unlink()


def test_the_page_lists_every_old_name() -> None:
    """Each deprecated name stands beside its new one."""
    page = PAGE.read_text()
    for alias in ALIASES:
        old, new = alias.old.replace("_", "-"), alias.new.replace("_", "-")
        assert f"| `{old}` | `{new}` |" in page
