"""Try an installed wheel: it is whole, light to import, and computes.

Run by `ci/check-wheel` in a bare virtual environment in an empty folder, so nothing here may need
the checkout, its tests or the development tools.
"""

from __future__ import annotations

import operator
import subprocess
import sys
import sysconfig
from importlib import metadata, resources
from pathlib import Path

HEAVY = ("cryptography", "dask", "jinja2", "msgpack", "numpy", "rich", "tornado", "yaml")


def comes_from_the_wheel() -> None:
    """The package lies in this environment, and nothing of it leaks to the top level."""
    import jobqueue

    assert jobqueue.__file__ is not None
    installed = Path(sysconfig.get_path("purelib")).resolve()
    assert Path(jobqueue.__file__).resolve().is_relative_to(installed), jobqueue.__file__
    tops = {file.parts[0] for file in metadata.files("jobqueue") or ()}
    strays = {top for top in tops if top != "jobqueue" and not top.endswith((".dist-info", ".."))}
    assert not strays, f"the wheel also installs {strays}"


def imports_light() -> None:
    """Importing the package brings in nothing that takes long."""
    loaded = _python("import jobqueue, sys; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded), set(HEAVY) & set(loaded)


def brings_its_data() -> None:
    """What is not Python travels too."""
    for package, name in (
        ("jobqueue", "py.typed"),
        ("jobqueue.templates", "base.sh.j2"),
        ("jobqueue.templates", "slurm.sh.j2"),
        ("jobqueue.templates", "pbs.sh.j2"),
    ):
        assert resources.files(package).joinpath(name).is_file(), f"{package} lacks {name}"


def has_a_command() -> None:
    """`jobqueue --help` explains itself."""
    command = Path(sysconfig.get_path("scripts"), "jobqueue")
    help_text = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert "demo" in help_text.stdout, help_text.stdout


def renders_a_job_script() -> None:
    """A cluster's job script has its directives and ends by becoming the job agent."""
    from jobqueue import SLURMCluster

    with SLURMCluster(cores=4, memory="8GB", walltime="01:00:00") as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=4" in script, script
    assert "exec " in script, script


def computes() -> None:
    """Two workers in processes of their own compute a sum."""
    from jobqueue import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        assert client.submit(operator.add, 2, 2).result(timeout=60) == 4


def _python(code: str) -> str:
    argv = [sys.executable, "-P", "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    for check in (
        comes_from_the_wheel,
        imports_light,
        brings_its_data,
        has_a_command,
        renders_a_job_script,
        computes,
    ):
        check()
        print(f"the wheel {check.__name__.replace('_', ' ')}")
