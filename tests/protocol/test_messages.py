"""The table of messages."""

from __future__ import annotations

import ast
from pathlib import Path

from jobqueue.protocol import messages

TREE = ast.parse(Path(messages.__file__).read_text())
OPERATIONS = {
    name: value
    for name, value in vars(messages).items()
    if name.isupper() and isinstance(value, str)
}


def documented() -> dict[str, str]:
    """The text below each operation."""
    texts = {}
    for here, below in zip(TREE.body, TREE.body[1:], strict=False):
        if isinstance(here, ast.Assign) and isinstance(below, ast.Expr):
            (target,) = here.targets
            assert isinstance(target, ast.Name)
            assert isinstance(below.value, ast.Constant)
            texts[target.id] = str(below.value.value)
    return texts


def test_every_operation_is_its_own():
    """Two with one value would be taken for each other."""
    assert len(OPERATIONS) > 20
    assert len(set(OPERATIONS.values())) == len(OPERATIONS)


def test_every_operation_says_what_its_fields_are():
    """The text below it begins with the whole message, as it is sent."""
    texts = documented()
    assert texts.keys() >= OPERATIONS.keys() - {"Message"}
    for name in OPERATIONS:
        assert texts[name].startswith(f"({name}"), name
