"""`jobqueue jobs`: what it shows of which clusters, on terminals and elsewhere."""

from __future__ import annotations

import json
import time

import pytest

from jobqueue.cli import jobs
from jobqueue.cli.jobs import COLUMNS, SHOWN, Watcher
from jobqueue.cli.main import main
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.ledger import Owner
from jobqueue.cluster.snapshot import JobRow

GONE = Owner(Owner.me().host, "earlier boot", 42, 1)
ELSEWHERE = Owner("another.machine", "boot", 42, 1)

NOW = time.time()
WAITS = JobRow(
    "7_1", "gpu", JobState.PENDING, "PENDING Resources", "2030-05-04T14:05:00", submitted=NOW - 75
)
WORKS = JobRow(
    "7_0", "default", JobState.CONNECTED, "its time is nearly over", node="n1",
    workers=("a", "b"), submitted=NOW,
)  # fmt: skip
ENDED = JobRow(
    "6", "default", JobState.ENDED, cause="walltime", exit_code=143, submitted=0.0, ended=7300.0
)


def test_nothing_there(places, capsys):
    """A friendly line, and no error."""
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out == "No jobs: no cluster of yours is running.\n"


def test_lines_for_a_pipe(cluster_files, capsys):
    """One for each job, those that work first; columns stand below each other, none is empty."""
    cluster_files(ENDED, WAITS, WORKS)
    assert main(["jobs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    title, works, waits, ended = lines
    assert title.lower().split() == [name for name, _ in COLUMNS]
    assert works.split()[:6] == ["grid", "7_0", "default", "connected", "n1", "2"]
    assert works.endswith("its time is nearly over")
    assert waits.split()[:6] == ["grid", "7_1", "gpu", "pending", "-", "-"]
    assert waits.endswith("Resources, estimated start 2030-05-04T14:05:00")
    assert ended.split()[-6:] == ["-", "2:01:40", "walltime,", "exit", "code", "143"]
    columns = zip(lines, ("POOL", "default", "gpu", "default"), strict=True)
    assert len({line.index(word) for line, word in columns}) == 1


def test_a_table_for_a_terminal(cluster_files, terminal):
    """Of many jobs the first are shown, the others counted."""
    rows = [JobRow(f"8_{n}", "default", JobState.PENDING, "Priority") for n in range(50)]
    cluster_files(*rows, WORKS)
    terminal.print(Watcher(False).table())
    text = terminal.file.getvalue()
    assert text.index("7_0") < text.index("8_0")
    assert text.count("Priority") == SHOWN - 1
    assert "grid: 31 more: jobqueue jobs --all" in text
    terminal.print(Watcher(True).table())
    assert "8_49" in terminal.file.getvalue()


def test_what_was_left_behind_is_asked_about(cluster_files, squeue, capsys):
    """Of a killed program's jobs the batch system tells, and it is said who cancels them."""
    cluster_files(WAITS, WORKS, owner=GONE)
    squeue("7_1|PENDING|Priority|N/A||\n")
    assert main(["jobs", "--json"]) == 0
    [cluster] = json.loads(capsys.readouterr().out)
    assert cluster["fate"] == "gone"
    told = {job["job_id"]: (job["state"], job["left_behind"]) for job in cluster["jobs"]}
    assert set(told) == {"7_0", "7_1"}
    assert told["7_0"] == ("ended", False)


def test_a_batch_system_that_does_not_answer_is_named(cluster_files, capsys):
    """The jobs are shown as they were last heard of."""
    cluster_files(WAITS, owner=GONE)
    assert main(["jobs"]) == 0
    said = capsys.readouterr().out
    assert "left behind; Resources, estimated start" in said
    assert "grid: as last heard of, for squeue is not on PATH" in said
    assert f"process 42 on {GONE.host}, which is gone: jobqueue cleanup cancels it" in said


def test_clusters_of_other_machines(cluster_files, capsys):
    """They share the home, so they are shown; whether they run cannot be seen."""
    cluster_files(WORKS, owner=ELSEWHERE)
    assert main(["jobs"]) == 0
    said = capsys.readouterr().out
    assert "7_0" in said
    assert "process 42 on another.machine; whether that still runs cannot be seen" in said


def test_what_is_over_is_shown_on_demand(cluster_files, capsys):
    """Clusters that were closed, and jobs of killed programs that have ended."""
    cluster_files(ENDED, closed=True)
    cluster_files(ENDED, owner=GONE)
    assert main(["jobs"]) == 0
    assert "No jobs" in capsys.readouterr().out
    assert main(["jobs", "--all"]) == 0
    assert capsys.readouterr().out.count("walltime, exit code 143") == 2


def test_watching_says_what_changes(cluster_files, capsys, monkeypatch):
    """Into a pipe all is printed again when something has changed, until Ctrl-C."""
    ledger = cluster_files(WAITS)
    looks = []

    def wait(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            ledger.remove()
        if len(looks) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs.time, "sleep", wait)
    monkeypatch.setattr(jobs, "_since", lambda line: "")
    assert main(["jobs", "--watch"]) == 130
    said = capsys.readouterr().out
    assert said.count("CLUSTER") <= 2
    assert said.count("No jobs") == 1


def test_a_cluster_without_jobs_says_why(cluster_files, capsys):
    """It waits for `scale`, or has paused after failures."""
    cluster_files(situation="0 workers; paused after 3 failed submissions: no such partition")
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out == (
        "grid: 0 workers; paused after 3 failed submissions: no such partition\n"
    )


def test_json_has_everything(cluster_files, capsys):
    """Also the logs, which the table leaves out."""
    cluster_files(JobRow("5", "default", JobState.RUNNING, logs=("/logs/5.out", "/logs/5.err")))
    assert main(["jobs", "--json"]) == 0
    [cluster] = json.loads(capsys.readouterr().out)
    assert (cluster["cluster"], cluster["system"], cluster["fate"]) == ("grid", "slurm", "running")
    assert cluster["pid"] == Owner.me().pid
    [job] = cluster["jobs"]
    assert job["logs"] == ["/logs/5.out", "/logs/5.err"]
    assert (job["state"], job["exit_code"], job["left_behind"]) == ("running", None, False)


def test_one_shape_at_a_time(places, capsys):
    """JSON is a picture of one moment."""
    with pytest.raises(SystemExit):
        main(["jobs", "--json", "--watch"])
    assert "not allowed with" in capsys.readouterr().err
