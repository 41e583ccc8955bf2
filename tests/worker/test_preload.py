"""The user's code that runs before the first task."""

from __future__ import annotations

import asyncio
import sys

import pytest

from jobqueue.errors import ConfigError
from jobqueue.worker.preload import preload


def test_modules_and_files_run_in_order(tmp_path, monkeypatch):
    """Modules are imported, files executed."""
    order: list[str] = []
    monkeypatch.setattr(sys, "preload_order", order, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_preload_module", raising=False)
    for name in ("my_preload_module", "my_file"):
        (tmp_path / f"{name}.py").write_text(f"import sys; sys.preload_order.append({name!r})")
    preload([str(tmp_path / "my_file.py"), "my_preload_module"])
    assert order == ["my_file", "my_preload_module"]
    del sys.modules["my_preload_module"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("missing_module_xyz", None, "missing_module_xyz: ModuleNotFoundError"),
        ("missing.py", None, "missing.py: FileNotFoundError"),
        ("broken.py", "1 / 0", "broken.py: ZeroDivisionError"),
        ("garbled.py", "def", "garbled.py: SyntaxError"),
        ("leaves.py", "raise SystemExit(3)", "leaves.py: SystemExit"),
    ],
)
def test_what_fails_is_named(tmp_path, monkeypatch, name, text, words):
    """With its own error."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        preload([name])
    assert "--preload" in str(caught.value)


@pytest.mark.parametrize("definition", ["def", "async def"])
def test_functions_that_want_the_worker_get_it(tmp_path, monkeypatch, definition):
    """Files made for dask's workers have them, perhaps coroutine functions."""
    monkeypatch.setattr(sys, "preload_order", [], raising=False)
    (tmp_path / "wants.py").write_text(
        "import sys\n"
        f"{definition} dask_setup(worker): sys.preload_order.append((worker, 'comes'))\n"
        f"{definition} dask_teardown(worker): sys.preload_order.append((worker, 'goes'))\n"
    )
    (tmp_path / "plain.py").write_text("dask_setup = None")
    preloaded = preload([str(tmp_path / "plain.py"), str(tmp_path / "wants.py")])
    for one in preloaded:
        asyncio.run(one.set_up("the worker"))
    assert sys.preload_order == [("the worker", "comes")]
    for one in preloaded:
        asyncio.run(one.tear_down("the worker"))
    assert sys.preload_order == [("the worker", "comes"), ("the worker", "goes")]


def test_a_setup_that_fails_is_named(tmp_path):
    """With its own error: the worker does not start half prepared."""
    (tmp_path / "fails.py").write_text("def dask_setup(worker): 1 / 0")
    (one,) = preload([str(tmp_path / "fails.py")])
    with pytest.raises(ConfigError, match=r"fails.py: dask_setup\(worker\) raised ZeroDivision"):
        asyncio.run(one.set_up(None))


def test_a_teardown_that_fails_is_named(tmp_path, caplog):
    """In the worker's log; the worker ends as it would have."""
    (tmp_path / "fails.py").write_text("def dask_teardown(worker): 1 / 0")
    (one,) = preload([str(tmp_path / "fails.py")])
    asyncio.run(one.tear_down(None))
    assert "fails.py: dask_teardown(worker) failed error=ZeroDivisionError" in caplog.text
