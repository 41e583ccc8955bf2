"""Which batch system answers, with commands on PATH that fail as real ones do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.batch.systems import adapter_for
from jobqueue.cli.answering import choose, silence
from jobqueue.cli.main import main
from jobqueue.cli.systems import SYSTEMS, candidates

NO_CONFIGURATION = """
echo "squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host" >&2
echo "squeue: error: fetch_config: DNS SRV lookup failed" >&2
echo "squeue: error: _establish_config_source: failed to fetch config" >&2
echo "squeue: fatal: Could not establish a configuration source" >&2
exit 1
"""
NO_CONTROLLER = """
echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2
exit 1
"""
NO_SERVER = """
echo "Connection refused" >&2
echo "qstat: cannot connect to server pbs (errno=15010)" >&2
exit 255
"""
UNKNOWN_JOB = 'echo "qstat: Unknown Job Id ${@: -1}.pbs" >&2; exit 153'
WRAPPER = """
case " $* " in
    *" -F "*) echo "Unknown option: F" >&2; exit 2 ;;
esac
exit 0
"""
HANGS = 'echo "squeue: error: trying again" >&2; sleep 600'

Install = Callable[..., None]


@pytest.fixture
def install(places: Path) -> Install:
    """Put commands on PATH, each a few lines of shell."""

    def write(**commands: str) -> None:
        for name, text in commands.items():
            path = places / "bin" / name
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)

    return write


@pytest.mark.parametrize(
    ("name", "command", "text", "why"),
    [
        ("slurm", "squeue", "exit 0", ""),
        ("slurm", "squeue", 'echo "7|RUNNING|None|N/A|n1|"', ""),
        (
            "slurm",
            "squeue",
            NO_CONFIGURATION,
            "squeue: fatal: Could not establish a configuration source",
        ),
        (
            "slurm",
            "squeue",
            NO_CONTROLLER,
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        ),
        ("slurm", "squeue", "exit 3", "squeue failed (exit status 3): it said nothing"),
        ("pbs", "qstat", UNKNOWN_JOB, ""),
        ("pbs", "qstat", WRAPPER, ""),
        ("pbs", "qstat", NO_SERVER, "qstat: cannot connect to server pbs (errno=15010)"),
    ],
)
def test_what_a_batch_system_answers(
    install: Install, name: str, command: str, text: str, why: str
) -> None:
    """Any answer will do, that a job is unknown as well; else what it came to, in its words."""
    install(**{command: text})
    assert silence(adapter_for(name)) == why


def test_a_batch_system_that_hangs(install: Install) -> None:
    """It is not waited for, and what it said on the way is not taken for its answer."""
    install(squeue=HANGS)
    assert silence(adapter_for("slurm"), patience=0.2) == "squeue did not answer within 0.2 s"


def test_a_batch_system_without_its_question(places: Path) -> None:
    """There is `sbatch`, and no `squeue`."""
    assert silence(adapter_for("slurm")) == "squeue is not on PATH (1 folders searched)"


@pytest.mark.parametrize(
    ("present", "silent", "taken", "notes"),
    [
        (["sbatch"], {}, "slurm", []),
        (["sbatch"], {"slurm": "down"}, "embedded", ["slurm"]),
        (["sbatch", "qsub"], {"slurm": "down"}, "pbs", ["slurm"]),
        (["sbatch", "qsub"], {"slurm": "down", "pbs": "gone"}, "embedded", ["slurm", "pbs"]),
        (["qsub"], {"pbs": "gone"}, "embedded", ["pbs"]),
        ([], {}, "embedded", []),
    ],
)
def test_the_first_that_answers_is_taken(
    present: list[str], silent: dict[str, str], taken: str, notes: list[str]
) -> None:
    """Of each before it one line says why not, what is used instead, and how to insist."""
    found = candidates(which=dict.fromkeys(present, "/x").get, environment={})
    system, said = choose(found, silence=lambda adapter: silent.get(adapter.name, ""))
    assert system.name == taken
    assert said == tuple(
        f"{SYSTEMS[name].title} is installed here but does not answer ({silent[name]}), so "
        f"{SYSTEMS[taken].title} is used. To insist: jobqueue demo --cluster {name}"
        for name in notes
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_was_asked_for_is_not_doubted(name: str) -> None:
    """No question is asked where there is no choice."""

    def never(adapter: object) -> str:
        raise AssertionError(f"{adapter} was asked")

    assert choose(candidates(name), silence=never) == (SYSTEMS[name], ())


def test_the_demonstration_goes_on_without_slurm(install: Install) -> None:
    """Commands of Slurm without a Slurm are no obstacle either."""
    install(squeue=NO_CONFIGURATION, sbatch=NO_CONFIGURATION)
    command = [sys.executable, "-m", "jobqueue.cli.main", "demo", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    assert "Slurm is installed here but does not answer (squeue: fatal: Could not" in done.stdout
    assert "To insist: jobqueue demo --cluster slurm\n" in done.stdout
    assert "5,761,455 primes below 100,000,000, as it should be." in done.stdout


@pytest.mark.usefixtures("without_pauses")
def test_whoever_insists_is_told_what_slurm_says(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--cluster slurm` uses Slurm or nothing."""
    install(squeue=NO_CONFIGURATION, sbatch=NO_CONFIGURATION.replace("squeue", "sbatch"))
    assert main(["demo", "--jobs", "1", "--cluster", "slurm"]) == 1
    said = capsys.readouterr().out
    assert "fatal: Could not establish a configuration source" in said
    assert "is used" not in said
    assert "jobqueue demo --cluster embedded" in said
