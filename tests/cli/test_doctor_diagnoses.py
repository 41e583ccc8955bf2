"""What the doctor concludes from a job that did not come up."""

from __future__ import annotations

import pytest

from jobqueue.cli.doctor_checks import Verdict
from jobqueue.cli.doctor_diagnoses import diagnose, died, disturbed, late, refused, tried
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.errors import CommandNotFound, WorkersUnavailable

# As they stood in the logs of real jobs
NO_JOBQUEUE = (
    "/usr/bin/python3: Error while finding module specification for 'jobqueue.worker' "
    "(ModuleNotFoundError: No module named 'jobqueue')"
)
NO_MSGPACK = "ModuleNotFoundError: No module named 'msgpack'"
NO_PYTHON = "/spool/job01010/slurm_script: line 12: /opt/none/bin/python: No such file or directory"
NO_FOLDER = (
    "2026-11-20 15:43:05,822 ERROR jobqueue.worker worker ends name=w-0 cause=no credentials in "
    "/home/u/credentials/worker: No such file or directory; it must be one role's folder"
)
NO_WAY = (
    '2026-11-20T15:43:16Z jobqueue agent: ends exit_code=3 cause="no scheduler within the death '
    'timeout" said="2026-11-20 15:43:16,725 ERROR jobqueue.worker worker ends name=w-0 cause=no '
    "scheduler for 6 s; it was never reached; tried tls://10.77.6.1:9: refused, nobody listens "
    'there; tls://10.77.6.99:4000: timed out after 2.4 s"'
)

DIAGNOSED = {
    NO_JOBQUEUE: ("has no jobqueue", "`python`"),
    NO_MSGPACK: ("has no msgpack", "install it there"),
    NO_PYTHON: ("Python is not on the node", "`python`"),
    NO_FOLDER: ("credentials cannot be read", "shared_temp_directory"),
    NO_WAY: ("does not reach this machine", "interface="),
    "error: unrecognized arguments: --walltime": ("another version of jobqueue", "`python`"),
    "the worker runs Python 3.9, the scheduler Python 3.12: what is pickled by one": (
        "another version of Python",
        "`python`",
    ),
    "certificate is not yet valid": ("clocks", "the site"),
    "/var/job/script: line 9: module: command not found": ("prologue", "/etc/profile"),
}


@pytest.mark.parametrize("line", DIAGNOSED)
def test_last_words_that_are_known(line):
    """Wherever they stand in the log, they have a meaning and a remedy."""
    finding = diagnose(f"something before\n{line}\nsomething after")
    fact, remedy = DIAGNOSED[line]
    assert finding is not None
    assert finding.verdict is Verdict.BAD
    assert fact in finding.fact
    assert remedy in finding.remedy


def test_last_words_that_are_not_known():
    """Nothing is made up."""
    assert diagnose("Segmentation fault") is None


def test_what_came_of_each_address():
    """Each has a row, with its own reason."""
    assert [finding.fact for finding in tried(NO_WAY)] == [
        "tls://10.77.6.1:9: refused, nobody listens there",
        "tls://10.77.6.99:4000: timed out after 2.4 s",
    ]
    assert tried("Segmentation fault") == []


def ended(**fields) -> JobRecord:
    return JobRecord(
        "5", "default", 0.0, JobState.ENDED, cause="crashed", exit_code=1, node="n1", **fields
    )


def test_a_job_that_died_is_explained():
    """By its cause and node, the end of its log, and what that means."""
    tail = "\n".join([f"line {n}" for n in range(20)] + [NO_WAY])
    findings = died(ended(log_tail=tail, log_path="/logs/5.err"), folder="/state")
    assert [row.check for row in findings] == ["job", "job log", "network", "network", "diagnosis"]
    assert findings[0].fact == "5 ENDED (crashed), exit code 1, on n1"
    assert findings[1].fact.startswith("/logs/5.err\nline 16")


def test_a_job_without_a_word_points_to_the_folder():
    """Where the node does not see it, there is neither log nor exit record."""
    findings = died(ended(), folder="/state")
    assert "does the node see /state?" in findings[-1].fact
    assert "shared_temp_directory" in findings[-1].remedy


def test_a_refusal_is_told_in_the_batch_systems_words():
    """With the script, to be tried by hand."""
    error = WorkersUnavailable("long", output="sbatch: error: no such", script="/state/job.sh")
    [finding] = refused(error)
    assert finding.fact == "sbatch: error: no such\nscript: /state/job.sh"
    assert "jobqueue config" in finding.remedy


def test_a_missing_command_says_itself_what_to_do():
    """So its remedy is not told twice."""
    [finding] = refused(CommandNotFound("qsub is not on PATH; load the module"))
    assert (finding.fact, finding.remedy) == ("qsub is not on PATH; load the module", "")


def test_a_node_with_another_version_cannot_look_around():
    """The job came up, and what it was to do there does not exist."""
    first, second = disturbed(ModuleNotFoundError("No module named 'jobqueue.cli.doctor_probe'"))
    assert first.fact.startswith("it came up, and could not look around: ModuleNotFoundError: No")
    assert "another version of jobqueue" in second.fact


def test_a_job_that_still_waits():
    """The batch system's reason, and how long it was waited for."""
    job = JobRecord("5", "default", 0.0, JobState.PENDING, "Resources")
    [finding] = late(job, "0 workers; 1 job pending: slurm 5 PENDING (Resources)", 60.0)
    assert finding.fact.startswith("not there after 60 s: 0 workers; 1 job pending")
    assert "--timeout" in finding.remedy


def test_a_job_that_will_never_start():
    """It says what to change, and that the doctor's job is not large."""
    job = JobRecord("5", "default", 0.0, JobState.PENDING, reason="PartitionTimeLimit")
    findings = late(job, "1 job pending", 60.0, asked="cores=1, walltime=00:05:00")
    assert [finding.check for finding in findings] == ["job", "diagnosis"]
    assert findings[1].fact == (
        "PartitionTimeLimit, although this job asks for no more than cores=1, walltime=00:05:00"
    )
    assert "lower walltime=" in findings[1].remedy


def test_a_job_that_runs_and_says_nothing():
    """Then it is not the queue."""
    job = JobRecord("5", "default", 0.0, JobState.RUNNING)
    findings = late(job, "1 job started without a worker yet", 60.0)
    assert findings[-1].check == "diagnosis"
    assert "no worker of it has connected" in findings[-1].fact
