"""Where configuration is found, and which place wins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import ConfigError, JobQueueWarning

QUEUE = "jobqueue:\n  slurm:\n    queue: {}\n"

# Low to high, each a folder below the site's root.
FOLDERS = [
    "etc/dask",
    "prefix/etc/dask",
    "home/.config/dask",
    "named-dask",
    "DASK_JOBQUEUE__SLURM__QUEUE",
    "etc/jobqueue",
    "prefix/etc/jobqueue",
    "home/.config/jobqueue",
    "named-ours",
    "JOBQUEUE__SLURM__QUEUE",
]


@pytest.mark.parametrize("highest", range(len(FOLDERS)))
def test_each_place_wins_over_all_below(site: Any, tmp_path: Path, highest: int) -> None:
    """All places up to one hold a queue; the last one's is used, and its place is told."""
    site.environ |= {
        "DASK_CONFIG": str(tmp_path / "named-dask"),
        "JOBQUEUE_CONFIG": str(tmp_path / "named-ours"),
    }
    for folder in ("named-dask", "named-ours"):
        (tmp_path / folder).mkdir()
    for number, place in enumerate(FOLDERS[: highest + 1]):
        if "__" in place:
            site.environ[place] = f"queue-{number}"
        else:
            site.write(place, QUEUE.format(f"queue-{number}"))
    resolved = site.resolve(cores=1, memory="1GB")
    assert resolved.values["queue"] == f"queue-{highest}"
    where = FOLDERS[highest]
    assert str(resolved.origins["queue"]) == (
        f"variable {where}" if "__" in where else f"{tmp_path / where}/jobqueue.yaml:3"
    )


def test_keys_from_several_files_join(site: Any) -> None:
    """Files of a folder are read alphabetically, .yml and .json too; others are left alone."""
    site.ours(QUEUE.format("a"), "10.yaml")
    site.ours(QUEUE.format("b"), "20.yml")
    site.ours(json.dumps({"jobqueue": {"slurm": {"account": "phys", "queue": "c"}}}), "30.json")
    site.ours(QUEUE.format("x"), "40.yaml.bak")
    site.ours(": broken", ".50.yaml")
    found = site.values()
    assert (found["queue"], found["account"]) == ("c", "phys")


def test_a_null_unsets_what_lower_places_set(site: Any) -> None:
    """A user can undo what the site chose."""
    site.write(
        "etc/jobqueue", "jobqueue:\n  slurm: {interface: ib0, python: /x, walltime: '1:0:0'}\n"
    )
    site.ours("jobqueue:\n  slurm: {interface: null, python: , walltime: ''}\n")
    found = site.values()
    assert (found["interface"], found["python"], found["walltime"]) == (None, sys.executable, None)


def test_variables_hold_text_lists_and_nothing(site: Any) -> None:
    """A list is written as in YAML or Python; hyphens of a section's name are underscores."""
    site.ours("jobqueue:\n  my-GPU: {queue: gpu, account: a}\n")
    site.environ |= {
        "JOBQUEUE__MY_GPU__WALLTIME": "12:00:00",
        "JOBQUEUE__MY_GPU__JOB_SCRIPT_PROLOGUE": "['module load x', 'a: b']",
        "JOBQUEUE__MY_GPU__ACCOUNT": "",
        "DASK_JOBQUEUE__MY_GPU__CORES": "24",
        "JOBQUEUE_MY_GPU__INTERFACE": "ib0",
    }
    found = site.resolve("my-gpu", memory="1GB").values
    assert found["walltime"] == 43200
    assert found["job_script_prologue"] == ["module load x", "a: b"]
    assert (found["account"], found["queue"], found["cores"]) == (None, "gpu", 24)
    assert found["interface"] == "ib0"


def test_a_variable_for_a_section_that_is_nowhere(site: Any) -> None:
    """It would be lost without a word."""
    site.environ["JOBQUEUE__SLRUM__CORES"] = "4"
    with pytest.raises(ConfigError, match=r"JOBQUEUE__SLRUM__CORES.*'slrum'; did you mean 'slurm'"):
        site.values()


def test_a_variable_with_a_wrong_key(site: Any) -> None:
    """The variable is named, and the nearest key."""
    site.environ["JOBQUEUE__SLURM__CORS"] = "4"
    with pytest.raises(ConfigError, match=r"variable JOBQUEUE__SLURM__CORS.*did you mean 'cores'"):
        site.values()


def test_a_wrong_value_in_a_variable(site: Any) -> None:
    """The variable is named."""
    site.environ["JOBQUEUE__SLURM__CORES"] = "many"
    with pytest.raises(ConfigError, match="variable JOBQUEUE__SLURM__CORES: cores: 'many' is not"):
        site.resolve(memory="1GB")


def test_config_variable_names_a_file_or_a_folder(site: Any, tmp_path: Path) -> None:
    """A path that does not exist is an error: somebody meant it."""
    path = site.write("elsewhere", QUEUE.format("file"), "mine.yaml")
    site.environ["JOBQUEUE_CONFIG"] = str(path)
    assert site.values()["queue"] == "file"
    site.environ["JOBQUEUE_CONFIG"] = str(path.parent)
    assert site.values()["queue"] == "file"
    site.environ["JOBQUEUE_CONFIG"] = str(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nowhere does not exist, though \$JOBQUEUE_CONFIG"):
        site.values()


def test_dask_can_be_left_out(site: Any) -> None:
    """Whoever can't change a site's faulty file can still work."""
    site.write("etc/dask", "jobqueue:\n  slurm:\n  cores: 4\n")
    site.environ["DASK_JOBQUEUE__SLURM__QUEUE"] = "x"
    site.environ["JOBQUEUE_IGNORE_DASK"] = "1"
    assert site.values()["queue"] is None


def test_the_root_folder_of_dask_can_be_elsewhere(site: Any, tmp_path: Path) -> None:
    """Some sites set DASK_ROOT_CONFIG."""
    site.write("opt/dask", QUEUE.format("opt"))
    site.environ["DASK_ROOT_CONFIG"] = str(tmp_path / "opt" / "dask")
    assert site.values()["queue"] == "opt"


def test_empty_and_commented_files_hold_nothing(site: Any) -> None:
    """dask writes its defaults into ~/.config/dask with each line commented out."""
    site.dask("# jobqueue:\n#   slurm:\n#     cores: 4\n")
    site.ours("")
    site.ours("jobqueue:\n", "b.yaml")
    assert site.values()["queue"] is None


def test_broken_files_are_told_with_path_and_line(site: Any) -> None:
    """YAML that no program can read is an error everywhere."""
    path = site.dask("jobqueue:\n  slurm:\n    cores: 4\n   memory: 1GB\n")
    with pytest.raises(ConfigError) as caught:
        site.values()
    assert str(caught.value).startswith(f"{path}:4: not valid YAML: ")


def test_unreadable_files(site: Any) -> None:
    """An error where the file is ours, a warning where it is dask's."""
    path = site.ours("x")
    path.write_bytes(b"jobqueue: \xff\xfe")
    with pytest.raises(ConfigError, match=r"jobqueue\.yaml is not UTF-8 text"):
        site.values()
    path.unlink()
    os.symlink("nowhere", path)
    with pytest.raises(ConfigError, match=r"jobqueue\.yaml can't be read: No such file"):
        site.values()
    path.unlink()
    dask = site.dask("x")
    dask.unlink()
    dask.symlink_to("nowhere")
    with pytest.warns(JobQueueWarning, match=r"jobqueue\.yaml can't be read: No such file"):
        site.values()


def test_yaml_is_imported_only_when_there_is_a_file() -> None:
    """`import jobqueue` must stay light."""
    code = "import sys, jobqueue.config; sys.exit('yaml' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
