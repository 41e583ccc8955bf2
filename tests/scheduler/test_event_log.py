"""The event log of a scheduler."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import ConfigError
from jobqueue.protocol import messages as m
from jobqueue.scheduler.event_log import EventLog
from jobqueue.scheduler.state import SchedulerState

FAILURE = (b"", "ZeroDivisionError: division by zero", "Traceback ...")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "event-log.md"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path):
    """A log of a scheduler's core, with a clock that ticks once an event."""
    clock = itertools.count(1000.0).__next__
    log = EventLog(tmp_path / "events", SchedulerState(), clock)
    log.open()
    yield log
    log.close()


def documented() -> dict[str, set[str]]:
    """The table of docs/event-log.md: events and their fields."""
    rows = re.findall(r"^\| `([\w-]+)` \|[^|]*\|([^|]*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    return {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}


def test_a_session_is_told_from_its_beginning_to_its_end(site, run, tmp_path):
    """Each event with its time; and with the fields, no more and no less, that the page names."""

    async def main() -> None:
        async with site(event_log=tmp_path / "events", allowed_failures=1) as here:
            client = await here.client()
            worker = await here.worker("w1", host="node1", pid=7, agent=True)
            client.say(m.FUNCTIONS, [(b"f", "inc", b"pickle")])
            options = {"retries": 1, "tags": {"study": "A"}, "digest": b"1234"}
            client.say(m.SUBMIT, b"f", options, [("a", b"arguments", None)])
            client.say(m.SUBMIT, b"f", None, [("b", b"arguments", ["a"])])
            await worker.hears(m.RUN)
            worker.say(m.FAILED, [("a", FAILURE, 0.25)])
            await worker.hears(m.RUN)
            worker.say(m.DONE, [("a", b"1", 1, 0.5), ("unheard-of", b"2", 1, 0.5)])
            await worker.hears(m.RUN)
            client.say(m.SCATTER, None, [("data", b"small")])
            client.say(m.CALL, 1, ["w1"], b"call", None)
            client.say(m.CANCEL, False, ["data"])
            await client.hears(m.CANCELLED)
            worker.comm.abort()
            await worker.comm.wait_closed()
            agent = await here.agent()
            words = ["last words"]
            agent.say(m.WORKER_ENDED, "w1", "killed by SIGSEGV", True, words, ["b"], 7)
            await client.hears(m.FAILED)
            client.comm.close()
            await client.comm.wait_closed()
            await here.check_works()

    run(main())
    events = read(tmp_path / "events")
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    fields = documented()
    for event in events:
        assert set(event) - {"time", "event"} == fields[event["event"]], event

    def told(name: str) -> list[dict[str, Any]]:
        keep = fields[name]
        return [{k: e[k] for k in keep} for e in events if e["event"] == name]

    assert events[0]["event"] == "scheduler-started"
    assert events[-1]["event"] == "scheduler-closed"
    assert told("worker-joined")[0]["host"] == "node1"
    assert told("worker-left")[0]["worker"] == "w1"
    submitted = told("submitted")
    assert submitted[0]["function"] == "inc"
    assert submitted[0]["keys"] == ["a"]
    assert submitted[0]["options"] == {"retries": 1, "tags": {"study": "A"}}
    assert [event["keys"] for event in told("placed")][:3] == [["a"], ["a"], ["b"]]
    assert told("raised") == [
        {
            "key": "a",
            "worker": "w1",
            "seconds": 0.25,
            "error": "ZeroDivisionError: division by zero",
            "retried": True,
        }
    ]
    assert told("done")[0] == {"key": "a", "worker": "w1", "seconds": 0.5, "bytes": 1}
    assert told("scattered")[0]["keys"] == ["data"]
    assert told("called")[0]["workers"] == ["w1"]
    assert told("cancelled")[0]["keys"] == ["data"]
    assert told("worker-ended") == [
        {
            "worker": "w1",
            "cause": "killed by SIGSEGV",
            "blame": True,
            "lines": ["last words"],
            "running": ["b"],
            "pid": 7,
        }
    ]
    assert told("death-charged") == [{"key": "b", "worker": "w1", "deaths": 1}]
    assert told("failed")[0]["key"] == "b"
    assert told("failed")[0]["error"].startswith("KilledWorker")
    assert len(told("client-left")) == 2


def test_a_scheduler_without_a_log_is_not_slowed_down_by_one(site, run):
    """Its handlers are the core's own."""

    async def main() -> None:
        async with site() as here:
            handlers = here.scheduler.connections._worker_handlers
            assert handlers[m.DONE] == here.scheduler.state.done

    run(main())


def test_lines_are_written_together_and_appended_to_what_is_there(log):
    """The file is nobody else's to read: keys and tags may tell more than they should."""
    path = Path(log.path)
    log.write("one", keys=["a"])
    assert path.read_text() == ""
    log.flush()
    assert read(path) == [{"time": 1000.0, "event": "one", "keys": ["a"]}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log.write("two")
    log.close()
    log.write("three")
    log.open()
    log.write("four")
    log.flush()
    assert [event["event"] for event in read(path)] == ["one", "two", "four"]


def test_whatever_a_tag_is_it_stays_one_line(log):
    """What JSON cannot say is shown as Python would show it."""
    nested: list[Any] = []
    nested.append(nested)
    for tags in ({"b": b"\x00"}, {("no", "text"): 1}, {"x": nested}, {"x": "\ud800\n"}):
        log.write("submitted", options=tags)
    log.flush()
    assert len(read(Path(log.path))) == 4


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_ends_the_log_and_nothing_else(site, run, caplog):
    """One line says so; tasks go on."""

    async def main() -> None:
        async with site(event_log="/dev/full") as here:
            await here.check_works()
            await here.check_works()

    with caplog.at_level(logging.WARNING):
        run(main())
    assert caplog.text.count("event log ends") == 1
    assert "No space left" in caplog.text


def test_a_log_that_cannot_be_begun_is_an_error(site, run, tmp_path):
    """Whoever asked for it reads why at once, and nothing is left behind."""

    async def main() -> None:
        with pytest.raises(ConfigError, match="No such file or directory; name a file"):
            async with site(event_log=tmp_path / "nowhere" / "events"):
                pass

    run(main())


def test_a_worker_that_pauses_is_told_of_once(log, core):
    """Not once a second; and again when it goes on."""
    worker = core.worker("w")
    log._state.workers["w"] = worker
    worker.retiring = True
    log.look()
    log.look()
    worker.retiring = False
    log.look()
    log.flush()
    assert [(event["status"], event["was"]) for event in read(Path(log.path))] == [
        ("retiring", "running"),
        ("running", "retiring"),
    ]
