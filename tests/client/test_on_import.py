"""What is done when a module of another library is imported."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jobqueue.client.on_import import on_import


def test_at_once_if_it_is_there_and_later_if_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Once in either case, with the module complete, and as if nobody had looked."""
    (tmp_path / "some_library.py").write_text("complete = False\ncomplete = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[tuple[str, bool]] = []

    def look(module: ModuleType) -> None:
        seen.append((module.__name__, module.complete))

    on_import("some_library", look)
    on_import("some_library", look)
    assert seen == []
    try:
        module = importlib.import_module("some_library")
        assert seen == [("some_library", True)]
        assert type(module.__loader__).__name__ == "SourceFileLoader"
        assert module.__spec__ is not None
        assert module.__spec__.loader is module.__loader__
        on_import("some_library", look)
        assert len(seen) == 2
    finally:
        del sys.modules["some_library"]


def test_a_module_that_does_not_exist():
    """Is missing as ever."""
    on_import("no_such_library", lambda module: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_library")
