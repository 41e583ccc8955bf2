"""`jobqueue logs ID`: what a job has printed, of whichever cluster it is."""

from __future__ import annotations

import io
import threading

import pytest

from jobqueue.cli import logs
from jobqueue.cli.logs import Life, start_of_tail
from jobqueue.cli.main import main
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.ledger import Owner
from jobqueue.cluster.snapshot import FILE, JobRow, Snapshot
from jobqueue.cluster.survey import look

GONE = Owner(Owner.me().host, "earlier boot", 42, 1)


@pytest.fixture
def log(places):
    """The files of job 5: standard output, then standard error."""
    out, err = places / "5.out", places / "5.err"
    out.write_text("one\ntwo\n")
    err.write_text("three\nfour\n")
    return str(out), str(err)


@pytest.mark.parametrize("state", [JobState.CONNECTED, JobState.ENDED])
def test_all_output_so_far(cluster_files, log, capfd, state):
    """Of jobs that run and that have ended; standard output first."""
    cluster_files(JobRow("5", "default", state, logs=log))
    assert main(["logs", "5"]) == 0
    assert capfd.readouterr().out == "one\ntwo\nthree\nfour\n"


def test_the_last_lines(cluster_files, log, capfd):
    """Of each file."""
    cluster_files(JobRow("5", "default", JobState.ENDED, logs=log))
    assert main(["logs", "5", "--tail", "1"]) == 0
    assert capfd.readouterr().out == "two\nfour\n"


def test_jobs_of_killed_programs_have_logs_too(cluster_files, log, capfd):
    """Without a question to the batch system; and a later cluster's job of that id goes first."""
    cluster_files(JobRow("5", "default", JobState.RUNNING), owner=GONE)
    cluster_files(JobRow("5", "default", JobState.RUNNING, logs=log), owner=GONE)
    assert main(["logs", "5"]) == 0
    assert capfd.readouterr().out.startswith("one\n")


def test_an_unknown_id_names_those_there_are(cluster_files, capsys):
    """In one line, however many they are."""
    ids = [f"12_{n}" for n in range(200)] + ["15.server"]
    cluster_files(*[JobRow(each, "default") for each in ids])
    assert main(["logs", "12"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "jobqueue: no job '12' of yours is known: there are 12_0-199, 15.server;"
    )
    assert "log_directory" in said


def test_no_cluster_at_all(places, capsys):
    """Then there are no ids to be named."""
    assert main(["logs", "12"]) == 1
    assert "there are none; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (JobRow("5", "p", JobState.PENDING, "Priority"), "job 5 is pending (Priority): it has no"),
        (JobRow("5", "p", JobState.ENDED, logs=("/no/5.out",)), "there is no /no/5.out"),
    ],
)
def test_a_job_without_output_says_why(cluster_files, capsys, row, words):
    """It waits, or has left nothing; status 1."""
    cluster_files(row)
    assert main(["logs", "5"]) == 1
    assert words in capsys.readouterr().err


def test_following_ends_with_the_job(cluster_files, log, places, capfd, monkeypatch):
    """What is written meanwhile is printed, also by a file that appears later."""
    later = places / "5.late"
    row = JobRow("5", "default", JobState.RUNNING, logs=(*log, str(later)))
    ledger = cluster_files(row)
    looks = []

    def wait(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            with open(log[0], "a") as file:
                file.write("more\n")
        elif len(looks) == 2:
            later.write_text("the end\n")
            ended = JobRow("5", "default", JobState.ENDED, logs=row.logs)
            told = Snapshot.of(ledger.entry, [ended])
            (ledger.folder / FILE).write_text(told.to_json())

    monkeypatch.setattr(logs.time, "sleep", wait)
    assert main(["logs", "5", "--follow", "--tail", "1"]) == 0
    assert capfd.readouterr().out == "two\nfour\nmore\nthe end\n"
    assert len(looks) == 2


def test_following_a_job_that_was_just_submitted(cluster_files, log, capfd, monkeypatch):
    """The ledger knows it already; where it writes, its cluster will tell in a moment."""
    ledger = cluster_files(JobRow("5", "default"))
    (ledger.folder / FILE).unlink()

    def wait(seconds):
        ended = JobRow("5", "default", JobState.ENDED, logs=log)
        (ledger.folder / FILE).write_text(Snapshot.of(ledger.entry, [ended]).to_json())

    monkeypatch.setattr(logs.time, "sleep", wait)
    assert main(["logs", "5", "--follow"]) == 0
    assert capfd.readouterr().out == "one\ntwo\nthree\nfour\n"


def test_following_a_job_whose_cluster_closes(cluster_files, log, monkeypatch, capfd):
    """The cluster's folder goes, and so did its jobs before."""
    ledger = cluster_files(JobRow("5", "default", JobState.RUNNING, logs=log))
    monkeypatch.setattr(logs.time, "sleep", lambda seconds: ledger.remove())
    assert main(["logs", "5", "--follow"]) == 0
    assert capfd.readouterr().out.endswith("four\n")


def test_of_a_killed_program_the_batch_system_knows_when_its_jobs_end(cluster_files, squeue):
    """It is asked now and then, not at each look."""
    now = [0.0]
    ledger = cluster_files(JobRow("5", "default", JobState.RUNNING), owner=GONE)
    life = Life(look()[0], look()[0].snapshot.jobs[0], clock=lambda: now[0])
    squeue("5|RUNNING|None|N/A|n1|\n")
    assert not life.over()
    squeue("")
    assert not life.over(), "asked again at once"
    now[0] += logs.ASK
    assert life.over()
    assert ledger.folder.exists()


@pytest.mark.parametrize("text", [b"", b"one", b"one\n", b"one\ntwo", b"one\ntwo\n\n", b"a\n" * 70])
@pytest.mark.parametrize("lines", [0, 1, 2, 3, 100])
def test_the_last_lines_are_found_without_reading_all(text, lines, monkeypatch):
    """Whether or not the last of them is complete, and wherever blocks begin."""
    monkeypatch.setattr(logs, "BLOCK", 3)
    whole = text.splitlines(keepends=True)
    tail = b"".join(whole[len(whole) - min(lines, len(whole)) :])
    assert text[start_of_tail(io.BytesIO(text), lines) :] == tail


def test_a_log_that_is_written_anew_is_printed_from_its_beginning(
    cluster_files, log, capfd, monkeypatch
):
    """Its job was requeued, and the batch system has truncated it."""
    ledger = cluster_files(JobRow("5", "default", JobState.RUNNING, logs=log[:1]))
    looks = []

    def wait(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            with open(log[0], "w") as file:
                file.write("anew\n")
        else:
            ledger.remove()

    monkeypatch.setattr(logs.time, "sleep", wait)
    assert main(["logs", "5", "--follow"]) == 0
    assert capfd.readouterr().out == "one\ntwo\nanew\n"


def test_whoever_reads_may_stop(cluster_files, places, monkeypatch):
    """`jobqueue logs 5 | head -1` ends without a traceback."""
    import os

    big = places / "5.big"
    big.write_text("line\n" * 100_000)
    cluster_files(JobRow("5", "default", JobState.ENDED, logs=(str(big),)))
    reading, writing = os.pipe()
    stdout = os.fdopen(writing, "w")
    monkeypatch.setattr("sys.stdout", stdout)
    reader = threading.Thread(target=os.close, args=(reading,))
    reader.start()
    reader.join()
    assert main(["logs", "5"]) == 0
    stdout.close()
