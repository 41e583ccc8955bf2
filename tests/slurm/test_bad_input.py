"""Mistakes on the real Slurm: one clear error to whoever waits, or a state that explains itself."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.errors import CommandNotFound, WorkersUnavailable

JOB: dict[str, Any] = {"cores": 1, "memory": "512MB", "walltime": "00:10:00"}

pytestmark = pytest.mark.usefixtures("places")


def told(wait: Callable[[], object]) -> str:
    """Give what somebody is told who waits in vain."""
    with pytest.raises(WorkersUnavailable) as error:
        wait()
    return str(error.value)


def script_in(text: str) -> Path:
    """Give the job script that a message names."""
    found = re.search(r"^ +script: (.+)$", text, re.MULTILINE)
    assert found, text
    return Path(found[1])


def test_what_slurm_refuses_is_told_in_its_own_words(slurm: Any) -> None:
    """The script it refused is named, and still there when the cluster has been closed."""
    wrong = {
        "invalid partition specified: nosuch": {"queue": "nosuch"},
        "Memory specification can not be satisfied": {"memory": "100TB"},
    }

    def refusal(keywords: dict[str, Any]) -> str:
        with SLURMCluster(**{**JOB, **keywords}) as cluster, Client(cluster) as client:
            cluster.scale(jobs=1)
            return told(lambda: client.wait_for_workers(1, timeout=60))

    with ThreadPoolExecutor() as threads:
        texts = list(threads.map(refusal, wrong.values()))
    for words, text in zip(wrong, texts, strict=True):
        assert words in text
        assert "submission to slurm failed 3 times in a row" in text
        assert "exec " in script_in(text).read_text()
    assert slurm.squeue() == []


def test_a_job_that_dies_at_once_is_told_with_its_log_and_can_be_mended(
    slurm: Any, places: Path, wait_until: Any
) -> None:
    """After three, each kind of wait ends with the reason; what was submitted runs once mended."""
    python = places / "python"
    python.write_text("#!/bin/sh\necho there is no license for you >&2\nexit 1\n")
    python.chmod(0o755)
    with SLURMCluster(**JOB, python=str(python)) as cluster, Client(cluster) as client:
        future = client.submit(sum, [1, 2, 3])
        cluster.scale(jobs=3)
        waits = (
            lambda: future.result(timeout=60),
            lambda: client.gather([future]),
            lambda: client.wait_for_workers(1, timeout=60),
        )
        with ThreadPoolExecutor() as threads:
            texts = list(threads.map(told, waits))
        for text in texts:
            assert "3 jobs in a row ended without a worker connecting" in text
            assert "exit code 1" in text
            assert "there is no license for you" in text
            assert "cluster.scale" in text
            assert script_in(text).exists()
        assert len(cluster.jobs) == 3
        assert "paused after 3 jobs ended without a worker" in cluster.describe()
        assert "no license" in told(lambda: future.result(timeout=60)), "later waits are told too"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        cluster.scale(jobs=1)
        assert future.result(timeout=60) == 6
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")


def test_a_python_that_is_not_there_is_named(slurm: Any) -> None:
    """In the shell's words, from the log of the last job."""
    with (
        SLURMCluster(**JOB, python="/nonexistent/python", n_workers=3) as cluster,
        Client(cluster) as client,
    ):
        text = told(lambda: client.submit(sum, [1]).result(timeout=60))
        assert "/nonexistent/python" in text.partition("end of its log")[2]
        assert "exit code 12" in text  # 126 or 127, by the shell


def test_a_job_that_never_starts_is_explained_while_one_waits(
    slurm: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    """The log tells the job's id and Slurm's reason; the wait goes on."""
    monkeypatch.setattr("jobqueue.client.waits.EXPLAIN_AFTER", 2.0)
    monkeypatch.setattr("jobqueue.client.waits.EXPLAIN_AGAIN", 0.5)
    caplog.set_level(logging.WARNING, "jobqueue.client")
    keywords = {**JOB, "job_extra_directives": ["--hold"]}
    with SLURMCluster(**keywords) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        future = client.submit(sum, [1, 2])
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(future.result, 60)
            wait_until(lambda: caplog.messages, message="an explanation")
            [job] = slurm.squeue()
            wait_until(
                lambda: f"1 job pending: slurm {job} PENDING (JobHeldUser)" in caplog.text,
                message="Slurm's reason",
            )
            assert "waiting for 1 task: 0 workers" in caplog.text
            assert not waiting.done()
            slurm.run("scontrol", "release", job)
            assert waiting.result() == 3


def test_without_slurm_on_path_nothing_can_be_scaled(
    slurm: Any, monkeypatch: pytest.MonkeyPatch, places: Path
) -> None:
    """The error comes from the call itself, and names command and remedy."""
    monkeypatch.setenv("PATH", str(places))
    with SLURMCluster(**JOB) as cluster:
        with pytest.raises(CommandNotFound, match="sbatch"):
            cluster.scale(jobs=1)
        assert cluster.describe() == "0 workers; no jobs wanted: call scale()"
    with pytest.raises(CommandNotFound, match="sbatch"):
        SLURMCluster(**JOB, n_workers=1)
    monkeypatch.undo()
    assert os.environ["PATH"] != str(places)
