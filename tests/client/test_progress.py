"""Bars, lines and tables of how far tasks are."""

from __future__ import annotations

import asyncio
import io
import sys
import types
from typing import Any

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.client.progress import Tally, in_notebook, name_of, progress
from jobqueue.client.progress_views import Row
from jobqueue.errors import ConfigError, JobQueueError, WorkersUnavailable


class Terminal(io.StringIO):
    """A file that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def inc(x: int) -> int:
    return x + 1


def fail(x: int) -> int:
    raise ValueError(x)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An IPython in whose kernel this seems to run; the pictures it was given."""
    pictures: list[str] = []

    def display(picture: str, *, display_id: bool) -> Any:
        assert display_id
        pictures.append(picture)
        return types.SimpleNamespace(update=pictures.append)

    package, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: types.SimpleNamespace(kernel="kernel")  # type: ignore[attr-defined]
    module.HTML, module.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return pictures


def test_a_terminal_gets_a_bar_for_each_function(client: Client) -> None:
    """With counts and rate; it returns when all have ended."""
    futures = client.map(inc, range(20)), {"slow": client.submit(sum, [1, 2])}
    terminal = Terminal()
    assert progress(futures, file=terminal) is None
    text = terminal.getvalue()
    assert "inc" in text
    assert "20/20 done" in text
    assert "1/1 done" in text
    assert "━" in text
    assert all(future.done() for future in futures[0])


def test_what_is_no_terminal_gets_lines(client: Client) -> None:
    """The last one says how it ended."""
    file = io.StringIO()
    progress(client.map(inc, range(7)), client.submit(abs, -1), file=file)
    last = file.getvalue().splitlines()[-1]
    assert last.startswith("inc 7/7 done")
    assert "; abs 1/1 done" in last
    assert "\x1b" not in file.getvalue()


def test_functions_may_be_counted_together(client: Client) -> None:
    """One bar for all."""
    file = io.StringIO()
    progress(client.map(inc, range(3)), client.map(abs, range(3)), multi=False, file=file)
    assert file.getvalue().splitlines()[-1].startswith("tasks 6/6 done")


def test_failed_tasks_are_counted_and_not_raised(client: Client) -> None:
    """Whoever asks for their results hears what they raised."""
    futures = client.map(fail, range(3))
    file = io.StringIO()
    progress(futures, file=file)
    assert "fail 3/3 done, 3 failed" in file.getvalue()
    with pytest.raises(ValueError, match="0"):
        futures[0].result()


def test_it_is_awaited_with_an_asynchronous_client(cluster: LocalCluster) -> None:
    """The event loop goes on meanwhile."""

    async def main() -> str:
        async with Client(cluster, asynchronous=True) as client:
            file = io.StringIO()
            await progress(client.map(inc, range(4)), file=file)
            return file.getvalue()

    assert "inc 4/4 done" in asyncio.run(main())


def test_a_notebook_is_found_out_and_gets_a_table(client: Client, notebook, wait_until) -> None:
    """It returns at once, and the picture goes on."""
    assert in_notebook()
    assert progress(client.map(inc, range(4)), interval=0.01) is None
    wait_until(lambda: notebook and "4/4 done" in notebook[-1], message="the last picture")
    assert "<progress value='4' max='4'>" in notebook[-1]


def test_a_notebook_with_an_asynchronous_client(cluster: LocalCluster, notebook) -> None:
    """It goes on by itself, and may be awaited."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            await progress(client.map(inc, range(4)), notebook=True)

    asyncio.run(main())
    assert "4/4 done" in notebook[-1]


def test_without_ipython_this_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is imported to find out."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)  # of other tests
    assert not in_notebook()
    assert "IPython" not in sys.modules


def test_it_ends_with_what_keeps_tasks_from_ending(client: Client) -> None:
    """That no workers will come, here; and the next one may show the same tasks."""
    future = client.submit(inc, 1, resources={"none-has-it": 1})
    error = WorkersUnavailable("no job will start")
    client._loop_thread.run(_set_outage(client, error))
    try:
        with pytest.raises(WorkersUnavailable, match="no job will start"):
            progress(future, file=io.StringIO())
    finally:
        client._loop_thread.run(_set_outage(client, None))
    client.cancel(future)
    progress(future, file=io.StringIO())


async def _set_outage(client: Client, error: JobQueueError | None) -> None:
    client._waits.set_outage(error)


def test_where_it_would_wait_for_ever_it_is_refused(client: Client) -> None:
    """In the client's own event loop."""
    future = client.submit(inc, 1)

    async def show() -> None:
        progress(future, file=io.StringIO())

    with pytest.raises(JobQueueError, match="await"):
        client._loop_thread.run(show())


@pytest.mark.parametrize(
    ("arguments", "keywords"), [(([],), {}), ((), {}), (("future",), {"interval": 0})]
)
def test_what_cannot_be_shown_is_told(client: Client, arguments, keywords) -> None:
    """No futures, no interval."""
    arguments = [client.submit(inc, 1) if each == "future" else each for each in arguments]
    with pytest.raises(ConfigError, match=r"at least one future|more than 0 s"):
        progress(*arguments, **keywords)


def test_futures_of_two_clients_are_refused(cluster: LocalCluster, client: Client) -> None:
    """Each has its own connection to wait on."""
    with Client(cluster) as other, pytest.raises(ConfigError, match="several clients"):
        progress(client.submit(inc, 1), other.submit(inc, 1))


@pytest.mark.parametrize(
    ("key", "name"),
    [("inc-2f", "inc"), ("inc-1-2f", "inc"), ("my-inc-0", "my-inc"), ("result", "result"),
     ("-1", "-1")],
)  # fmt: skip
def test_the_function_is_read_from_the_key(key: str, name: str) -> None:
    """Keys that users chose stand for themselves."""
    assert name_of(key) == name


def test_counting_is_by_name_and_outcome(client: Client) -> None:
    """In the order in which the functions were met."""
    futures = [*client.map(inc, range(3)), client.submit(fail, 1)]
    for future in futures:
        future.exception()
    rows = Tally(futures, multi=True).rows()
    assert rows == [Row("inc", 3, 3, 0), Row("fail", 1, 0, 1)]
