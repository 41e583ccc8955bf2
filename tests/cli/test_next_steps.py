"""What is said at the end is right: it runs, and it is read."""

from __future__ import annotations

import pytest
import yaml

import jobqueue
from jobqueue.cli.next_steps import next_steps, way_out
from jobqueue.cli.systems import SYSTEMS
from jobqueue.config.resolve import resolve

KEYWORDS = {"cores": 1, "memory": "1GB", "queue": "debug", "walltime": "00:10:00"}


def block(text: str, first: str) -> list[str]:
    """The indented lines from one that begins so."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith(first))
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith("    ")), len(lines))
    return [line.removeprefix("    ") for line in lines[start:end]]


@pytest.mark.parametrize("choice", SYSTEMS)
def test_the_python_is_three_lines_of_names_that_exist(choice):
    """What is to be typed compiles, and what it imports can be imported."""
    code = block(next_steps(SYSTEMS[choice], KEYWORDS, 4), "from jobqueue import")
    assert len(code) == 3
    compile("\n".join(code), "next steps", "exec")
    for name in code[0].removeprefix("from jobqueue import ").split(", "):
        assert hasattr(jobqueue, name)


@pytest.mark.parametrize("choice", ["slurm", "pbs"])
def test_the_yaml_says_the_same(choice, tmp_path, monkeypatch):
    """Written where it belongs, it makes the section that was demonstrated."""
    text = "\n".join(block(next_steps(SYSTEMS[choice], KEYWORDS, 4), "jobqueue:"))
    assert yaml.load(text, yaml.BaseLoader) == {
        "jobqueue": {choice: {name: str(value) for name, value in KEYWORDS.items()}}
    }
    (tmp_path / "jobqueue.yaml").write_text(text)
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(tmp_path))
    resolved = resolve(None, {}, system=choice)
    assert resolved.values["queue"] == "debug"
    assert resolved.values["cores"] == 1


def test_a_section_of_ones_own_is_named():
    """As it was with --config-name."""
    text = next_steps(SYSTEMS["slurm"], {**KEYWORDS, "config_name": "gpu"}, 1)
    assert 'config_name="gpu"' in text
    assert "      gpu:" in text
    assert "jobqueue config gpu" in text


@pytest.mark.parametrize("choice", SYSTEMS)
def test_there_is_always_a_way_out(choice):
    """Another choice than the one that failed."""
    assert f"--cluster {choice}" not in way_out(SYSTEMS[choice]) or choice == "local"
    assert "--cluster" in way_out(SYSTEMS[choice])
