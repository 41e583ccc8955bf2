"""Text of a YAML or JSON file → a small tree that remembers lines and how each scalar was written.

YAML 1.1 would turn ``12:00:00`` into 43200, ``007`` into 7 and ``on`` into true before anybody knew
what the key wants. So each node has the value both ways: `written` (scalars as the text that stands
in the file) and `typed` (by YAML's rules, without the base-60 numbers). A null is None in both.

The one module that imports yaml, and only when there is a file to read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobqueue.errors import ConfigError

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a configuration file.

    Parameters
    ----------
    written, typed
        The value, see the module's docstring.
    line
        Where it begins, from 1; None for values that came from Python.
    items
        The entries of a mapping in the order of the file, repeated keys included; None for other
        values.
    """

    written: Any
    typed: Any
    line: int | None = None
    items: tuple[Item, ...] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a mapping: the key as written, its line, and its value."""

    key: str
    line: int | None
    node: Node


def parse_yaml(text: str, where: str) -> Node:
    """Parse a YAML document.

    Parameters
    ----------
    text
        Its text; an empty one is null.
    where
        Its path, for messages.

    Raises
    ------
    ConfigError
        With file, line and the parser's words.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{where}{line}: not valid YAML: {words}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    return Node(None, None) if root is None else _Builder(where).build(root)


def parse_json(text: str, where: str) -> Node:
    """Parse a JSON document; see `parse_yaml`."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}:{error.lineno}: not valid JSON: {error.msg}") from None
    # JSON is YAML but for its tabs, which stand between tokens only; YAML's parser knows the lines.
    return parse_yaml(text.replace("\t", " "), where)


def from_python(value: Any) -> Node:
    """Make the tree of a Python value, whose two forms are the same."""
    items = None
    if isinstance(value, Mapping):
        items = tuple(Item(str(key), None, from_python(item)) for key, item in value.items())
    return Node(value, value, items=items)


class _Builder:
    """Builds `Node`s from PyYAML's; each anchored node once."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._built: dict[int, Node | None] = {}

    def build(self, node: Any) -> Node:
        done = self._built.get(id(node), self)
        if done is None:
            self._fail(node, "an alias (*) that contains itself")
        if not isinstance(done, Node):
            self._built[id(node)] = None
            done = self._built[id(node)] = self._make(node)
        return done

    def _make(self, node: Any) -> Node:
        line = node.start_mark.line + 1
        if not node.tag.startswith(_TAG):
            self._fail(node, f"the tag {node.tag} is not known")
        if node.id == "scalar":
            return Node(*self._scalar(node), line)
        if node.id == "sequence":
            members = [self.build(member) for member in node.value]
            return Node([m.written for m in members], [m.typed for m in members], line)
        items = self._items(node)
        return Node(
            {item.key: item.node.written for item in items},
            {item.key: item.node.typed for item in items},
            line,
            items,
        )

    def _items(self, node: Any) -> tuple[Item, ...]:
        own: list[Item] = []
        merged: dict[str, Item] = {}
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                for base in value.value if value.id == "sequence" else [value]:
                    for item in self.build(base).items or self._fail(value, "<< needs a mapping"):
                        merged.setdefault(item.key, item)
            elif key.id != "scalar":
                self._fail(key, "a key must be a plain text")
            else:
                own.append(Item(key.value, key.start_mark.line + 1, self.build(value)))
        taken = {item.key for item in own}
        return (*(item for item in merged.values() if item.key not in taken), *own)

    def _scalar(self, node: Any) -> tuple[Any, Any]:
        import yaml

        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None, None
        if kind in ("int", "float", "bool") and ":" not in node.value:
            try:
                return node.value, yaml.SafeLoader("").construct_object(node)
            except (ValueError, yaml.YAMLError):
                return node.value, node.value
        return node.value, node.value

    def _fail(self, node: Any, fact: str) -> Any:
        raise ConfigError(f"{self._where}:{node.start_mark.line + 1}: {fact}")
