"""YAML and JSON with lines, and scalars as they were written."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config.nodes import parse_json, parse_yaml
from jobqueue.errors import ConfigError


def test_scalars_as_written_and_as_typed() -> None:
    """Base 60 is never read; all else has YAML's own type beside its text."""
    node = parse_yaml(
        "{a: 12:00:00, b: 007, c: on, d: ~, e: 1.5, f: '5', g: 2020-01-01, h: 0x1F}", "x"
    )
    assert node.written == {
        "a": "12:00:00", "b": "007", "c": "on", "d": None,
        "e": "1.5", "f": "5", "g": "2020-01-01", "h": "0x1F",
    }  # fmt: skip
    assert node.typed == {
        "a": "12:00:00", "b": 7, "c": True, "d": None,
        "e": 1.5, "f": "5", "g": "2020-01-01", "h": 31,
    }  # fmt: skip


def test_lines_are_those_of_the_file() -> None:
    """Each key knows its line, counted from 1."""
    node = parse_yaml("# note\na: 1\n\nb:\n  c: 2\n", "x")
    assert node.items is not None
    assert [(item.key, item.line) for item in node.items] == [("a", 2), ("b", 4)]
    inner = node.items[1].node.items
    assert inner is not None
    assert (inner[0].key, inner[0].line) == ("c", 5)


def test_anchors_and_merge_keys() -> None:
    """``<<`` brings in what the mapping does not have itself."""
    text = "base: &b {cores: 1, queue: q}\ngpu:\n  <<: *b\n  cores: 2\n"
    assert parse_yaml(text, "x").written["gpu"] == {"queue": "q", "cores": "2"}
    assert parse_yaml("a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}\n", "x").written[
        "c"
    ] == {
        "x": "1",
        "y": "3",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  b: 1\n c: 2\n", "x.yaml:3: not valid YAML"),
        ("a: 'open\n", "x.yaml:"),
        ("a:\n\tb: 1\n", "x.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: not valid YAML"),
        ("a: !python/object:os.system {}\n", "x.yaml:1: the tag"),
        ("a: &a [*a]\n", "x.yaml:1: an alias (*) that contains itself"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be a plain text"),
        ("a:\n  <<: 5\n", "x.yaml:2: << needs a mapping"),
        ("a: \x01\n", "x.yaml: not valid YAML"),
    ],
)
def test_broken_yaml_is_told_with_its_line(text: str, message: str) -> None:
    """The parser's own words follow."""
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x.yaml")
    assert message in str(caught.value)


def test_json_with_tabs_and_lines() -> None:
    """JSON files may be indented by tabs, and their lines are known too."""
    node = parse_json('{\n\t"jobqueue": {\n\t\t"slurm": {"cores": 24, "x": null}\n\t}\n}', "x")
    assert node.written == {"jobqueue": {"slurm": {"cores": "24", "x": None}}}
    assert node.items is not None
    assert node.items[0].line == 2
    with pytest.raises(ConfigError, match=r"x\.json:2: not valid JSON"):
        parse_json('{\n"a": }', "x.json")


_PLAIN = st.text("abcxyz -_.0123456789", max_size=8)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_PLAIN, inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    """The typed form is PyYAML's; JSON gives the same."""
    assert parse_yaml(yaml.safe_dump(value), "x").typed == value
    assert parse_json(json.dumps(value), "x").typed == value
