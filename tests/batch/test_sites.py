"""Sites' files, made up, each with one of the peculiarities that real ones have: file → job script.

Whatever works today under dask-jobqueue gives a script that the site would accept; the rest gives
one error with file, line and remedy.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from textwrap import dedent

import pytest

from jobqueue.batch.systems import adapter_for
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.config import warn as config_warn
from jobqueue.config.hosts import Host
from jobqueue.config.load import Places, load
from jobqueue.config.resolve import resolve
from jobqueue.errors import ConfigError, JobQueueDeprecationWarning, JobQueueWarning


class Machine:
    """A login node whose user has one file in dask's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        config_warn.forget()

    def script(self, text: str, system: str, section: str | None = None, host: str = "oak1") -> str:
        """The job script of a cluster that knows nothing but this file."""
        folder = self.root / ".config" / "dask"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "jobqueue.yaml").write_text(dedent(text))
        places = Places({"USER": "ada"}, self.root, Path("/none"), Path("/none"), Host(host))
        values = resolve(section, {}, system=system, config=load(places)).values
        adapter = adapter_for(system)
        spec = JobSpec.from_values(adapter.job_values(values))
        adapter = adapter.with_directives(spec.job_extra_directives).with_keywords(values)
        return spec.render(adapter, ["tls://10.0.0.1:4000"], credentials="/c", exit_records="/r")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A login node."""
    return Machine(tmp_path)


def section(system: str, *lines: str) -> str:
    """A file with one section, which has cores and memory."""
    own = "".join(f"    {line}\n" for line in lines)
    return f"jobqueue:\n  {system}:\n    cores: 8\n    memory: 36gb\n{own}"


PECULIARITIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    # what it is: batch system, lines of the section, lines of the script
    "a directive as a mapping": (
        "slurm", ("job-extra: {-C birch}",), ("#SBATCH -C birch",),
    ),
    "a directive as one text": (
        "slurm", ("job-extra-directives: -M galaxy",), ("#SBATCH -M galaxy",),
    ),
    "a list with blanks in a directive": (
        "slurm", ("job-extra: ['-L project, scratch']",), ("#SBATCH -L project,scratch",),
    ),
    "arguments as one text": (
        "slurm", ("worker-extra-args: --lifetime 18m",), ("    --lifetime 18m",),
    ),
    "an option and its value as one item": (
        "slurm", ('worker-extra-args: ["--worker-port 10000:10070", "--no-dashboard"]',),
        ("    --worker-port 10000:10070 \\", "    --no-dashboard"),
    ),
    "two queues": ("slurm", ("queue: geo,compute",), ("#SBATCH -p geo,compute",)),
    "days in a walltime": ("slurm", ("walltime: 0-2:00:00",), ("#SBATCH -t 02:00:00",)),
    "a walltime that YAML 1.1 takes for a number": (
        "pbs", ("walltime: 12:00:00",), ("#PBS -l walltime=12:00:00", "    --walltime 43200 \\"),
    ),
    "a walltime without seconds": ("lsf", ("walltime: 01:00",), ("#BSUB -W 01:00",)),
    "memory in the batch system's own words": (
        "slurm", ("job-mem: 36gb", "job-cpu: 4"),
        ("#SBATCH --mem=36gb", "#SBATCH --cpus-per-task=4"),
    ),
    "bytes as a number": ("lsf", ("mem: 165000000000", "ncpus: 11"),
                          ("#BSUB -M 165000000", "#BSUB -n 11")),
    "empty texts for what is not set": (
        "pbs", ('queue: ""', "account: ''", "log-directory: ''", "interface: ''"),
        ("#PBS -l select=1:ncpus=8:mem=34GB",),
    ),
    "nulls for what is not set": (
        "slurm", ("python: null", "processes: null", "env-extra: null", "job-extra: null"),
        ("    --nworkers 4 \\",),
    ),
    "variables of the job in a folder": (
        "slurm", ("local-directory: $TMPDIR/$USER",), ('    --local-directory "$TMPDIR/$USER" \\',),
    ),
    "old names": (
        "pbs", ("project: P1", "env-extra: [module load x]", "header-skip: [-N]", "name: x"),
        ("#PBS -A P1", "module load x"),
    ),
    "dask's own worker command": (
        "slurm", ("worker-command: distributed.cli.dask_worker",), ("    --nworkers 4 \\",),
    ),
    "a first line that HTCondor's scripts need elsewhere": (
        "htcondor", ('shebang: "#!/usr/bin/env condor_submit"', "disk: 200MB"),
        ("#!/usr/bin/env bash", "#CONDOR RequestDisk = 195313"),
    ),
    "attributes as a mapping": (
        "htcondor", ("job-extra: {accounting_group: physics.sim}",),
        ("#CONDOR accounting_group = physics.sim",),
    ),
    "resources in the batch system's own words": (
        "pbs", ("resource-spec: nodes=1:ppn=48", "job-extra: ['-r n', '-l job_priority=economy']"),
        ("#PBS -l nodes=1:ppn=48", "#PBS -r n", "#PBS -l job_priority=economy"),
    ),
    "a launcher before Python": (
        "slurm", ("python: srun -n 1 -c 8 python",),
        ("exec srun -n 1 -c 8 python -m jobqueue.worker \\",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PECULIARITIES)
@pytest.mark.filterwarnings("ignore::jobqueue.errors.JobQueueDeprecationWarning")
def test_a_file_works_as_it_is(machine: Machine, what: str) -> None:
    """The script holds what was meant."""
    system, lines, wanted = PECULIARITIES[what]
    script = machine.script(section(system, *lines), system).splitlines()
    assert [line for line in wanted if line not in script] == []


def test_old_names_are_told(machine: Machine) -> None:
    """Each once, with the new one."""
    with pytest.warns(
        JobQueueDeprecationWarning, match="'project' is an old name; write 'account'"
    ):
        machine.script(section("slurm", "project: P1"), "slurm")


def test_keys_that_nobody_ever_read(machine: Machine) -> None:
    """They do no harm in dask's folders, and are told."""
    text = section("slurm", "worker-extra: [--x]")
    with pytest.warns(JobQueueWarning, match="worker-extra"):
        assert "--x" not in machine.script(text, "slurm")


def test_what_other_programs_have_in_the_file(machine: Machine) -> None:
    """It is passed over without a word."""
    text = "distributed:\n  worker: {memory: {spill: false}}\nlogging: {bokeh: critical}\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "#SBATCH" in machine.script(text + section("slurm"), "slurm")


def test_a_section_of_ones_own(machine: Machine) -> None:
    """It is chosen by name, for the cluster of its batch system."""
    script = machine.script(section("mrs", "queue: interactive"), "slurm", "mrs")
    assert "#SBATCH -p interactive" in script


MACHINES = """
birch:
  pbs: {cores: 36, memory: 109GiB, queue: regular}
oak:
  pbs: {cores: 1, memory: 4GiB, queue: develop, resource-spec: 'select=1:ncpus=1:mem=4GB'}
"""


def test_machines_at_the_top(machine: Machine) -> None:
    """On one of them its own section counts; elsewhere, the error tells where they are."""
    assert "#PBS -q develop" in machine.script(MACHINES, "pbs")
    assert "ncpus=36:mem=109GB" in machine.script(MACHINES, "pbs", host="birch-login2")
    with pytest.raises(ConfigError, match=r"`birch.pbs:` at .*jobqueue.yaml:3, `oak.pbs:`"):
        machine.script(MACHINES, "pbs", host="laptop")


ERRORS: dict[str, tuple[str, str]] = {
    "no jobqueue level": (
        "slurm:\n  cores: 4\n  memory: 8GB\n",
        r"SLURMCluster needs cores and memory.*`slurm:` at .*:1",
    ),
    "keys beside their section": (
        "jobqueue:\n  slurm:\n  cores: 4\n  memory: 8GB\n",
        r":3: 'cores' and 1 more keys below 'jobqueue:' stand beside 'slurm:', which is empty",
    ),
    "values left empty": (
        "jobqueue:\n  slurm:\n    cores: null\n    memory: ''\n",
        r"needs cores and memory \(left empty at .*:3, .*:4\)",
    ),
    "a tab": ("jobqueue:\n\tslurm:\n", r"jobqueue.yaml:2: not valid YAML"),
    "memory without a unit": (section("slurm", "memory: 64"), r"memory: '64' is 64 bytes; was a"),
    "another program's clusters": (
        "oak-seq:\n  cluster: {type: pbs, cores: 1, memory: 115GB, queue: seq}\n",
        r"needs cores and memory.*Found, but not read where it stands: `oak-seq.cluster:` at .*:2",
    ),
}


@pytest.mark.parametrize("what", ERRORS)
@pytest.mark.filterwarnings("ignore::jobqueue.errors.JobQueueWarning")
def test_what_cannot_be_meant_is_one_error(machine: Machine, what: str) -> None:
    """With file, line and what to write."""
    text, says = ERRORS[what]
    with pytest.raises(ConfigError, match=says) as caught:
        machine.script(text, "slurm")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("batch", "log"),
    [("slurm", "-o /logs/w-%j.out"), ("lsf", "-o worker.%J.o"), ("lsf", "-e worker.%J.e")],
)
def test_a_log_of_the_sites_own(machine: Machine, batch: str, log: str) -> None:
    """There is one such directive, so that it is known where the log is."""
    text = section(batch, f"job-extra-directives: ['{log}']", "log-directory: ~/logs")
    option, path = log.split()
    lines = machine.script(text, batch).splitlines()
    adapter = adapter_for(batch)
    own = f"{adapter.directive_prefix} {log}"
    assert [line for line in lines if line.startswith(f"{own[: -len(path)]}")] == [own]
    found = adapter.with_directives([log]).log_paths("7", job_name="w", log_directory="/l")
    assert found[option == "-e"] == path.replace("%j", "7").replace("%J", "7")
    assert found[option == "-o"].startswith("/l/")
