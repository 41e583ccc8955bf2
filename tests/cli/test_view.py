"""What is shown while jobs come up."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from jobqueue.cli.view import (
    QUIET,
    ROWS,
    LiveView,
    LogView,
    Picture,
    Progress,
    duration,
    reason,
    render,
    view_on,
)
from jobqueue.cluster.jobs import JobRecord, JobState


def job(number: int, state: JobState = JobState.PENDING, **fields: Any) -> JobRecord:
    return JobRecord(f"12_{number}", "default", 100.0, state, **fields)


def drawn(picture: Picture) -> str:
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(render(picture))
    return capture.get()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_view_suits_the_console(console, terminal):
    """A table that changes in place needs a terminal."""
    assert isinstance(view_on(console), LogView)
    assert isinstance(view_on(terminal), LiveView)


def test_the_table_tells_of_every_job(terminal):
    """Id, state, reason, node, workers and for how long."""
    picture = Picture(
        jobs=[
            job(0, JobState.CONNECTED, node="node03"),
            job(1, reason="PENDING Priority", estimated_start="14:05"),
            job(2, JobState.ENDED, cause="crashed", exit_code=1),
        ],
        workers={"12_0": 6},
        now=175.0,
        situation="6 workers; 1 job pending",
        hint="Something else can be tried.",
    )
    lines = [line.split() for line in drawn(picture).splitlines()]
    assert lines[1] == ["12_0", "connected", "node03", "6", "1:15"]
    assert lines[2] == ["12_1", "pending", "Priority,", "estimated", "start", "14:05", "1:15"]
    assert lines[3] == ["12_2", "ended", "crashed,", "exit", "code", "1"]
    assert "6 workers; 1 job pending" in drawn(picture)
    assert "Something else" in drawn(picture)


def test_progress_takes_the_place_of_the_situation():
    """A bar, how many of how many, and how fast."""
    picture = Picture(jobs=[job(0)], situation="4 workers", progress=Progress(500, 2000, 2.0))
    assert "500/2,000 tasks" in drawn(picture)
    assert "250 tasks/s" in drawn(picture)
    assert "4 workers" not in drawn(picture)


def test_of_many_jobs_most_are_counted():
    """The table stays on one screen."""
    jobs = [job(number) for number in range(200)]
    text = drawn(Picture(jobs=jobs))
    assert len(text.splitlines()) == ROWS + 2
    assert f"and {200 - ROWS} more: {200 - ROWS} pending" in text
    assert "12_199" in text


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (job(0, JobState.SUBMITTED), ""),
        (job(0, reason="PENDING None"), ""),
        (job(0, JobState.RUNNING, reason="CONFIGURING"), "CONFIGURING"),
        (job(0, JobState.RUNNING, reason="RUNNING None", estimated_start="now"), ""),
        (job(0, JobState.CONNECTED, reason="PENDING Resources"), ""),
        (job(0, JobState.ENDED, cause="walltime"), "walltime"),
    ],
)
def test_reasons_do_not_repeat_the_state(record, expected):
    """And nothing is said where there is nothing to say."""
    assert reason(record) == expected


def test_times_are_written_as_people_do():
    """Seconds, minutes, hours; never less than nothing."""
    assert [duration(s) for s in (-1, 59.9, 60, 3600)] == ["0 s", "59 s", "1:00", "1:00:00"]


def test_a_log_gets_a_line_for_news_only(console):
    """The same picture again is no news; the reason of a wait is."""
    clock = Clock()
    view = LogView(console, clock)
    with view:
        for second in range(5):
            clock.now = second
            view.show(Picture(jobs=[job(0), job(1)]))
        view.show(Picture(jobs=[job(0, reason="PENDING Resources"), job(1)], hint="Try this."))
        view.show(Picture(jobs=[job(0, reason="PENDING Resources"), job(1)], hint="Try this."))
    assert console.file.getvalue().splitlines() == [
        "[  0.0 s] jobs: 2 pending",
        "[  4.0 s] jobs: 2 pending (Resources)",
        "[  4.0 s] Try this.",
    ]


def test_a_log_is_never_silent_for_long(console):
    """Without news, the situation is told again."""
    clock = Clock()
    view = LogView(console, clock)
    view.show(Picture(jobs=[job(0)]))
    clock.now = QUIET + 1
    view.show(Picture(jobs=[job(0)], situation="0 workers; 1 job pending"))
    assert "0 workers; 1 job pending" in console.file.getvalue()


def test_a_log_tells_of_refusals_at_once(console):
    """While there are no jobs, why there are none."""
    view = LogView(console, Clock())
    for _ in range(3):
        view.show(Picture(situation="0 workers; last submission failed: no such partition"))
    assert console.file.getvalue().count("no such partition") == 1


def test_a_log_gets_four_lines_of_progress(console):
    """However often it is shown."""
    view = LogView(console, Clock())
    for done in range(101):
        view.show(Picture(progress=Progress(done, 100, 1.0)))
    lines = [line.partition("] ")[2] for line in console.file.getvalue().splitlines()]
    assert [line.split()[0] for line in lines] == ["25/100", "50/100", "75/100", "100/100"]


def test_what_was_shown_last_stays(terminal):
    """After the live table has ended, its last picture is on the terminal."""
    with LiveView(terminal) as view:
        view.show(Picture(jobs=[job(0)]))
        view.show(Picture(jobs=[job(7, JobState.CONNECTED)]))
    assert "12_7" in "".join(terminal.file.getvalue().splitlines()[-3:])
