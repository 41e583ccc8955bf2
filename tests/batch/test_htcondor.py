"""What is HTCondor's own: submit descriptions, marks, removal by condition."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.batch.answers import Completed, EndCause
from jobqueue.batch.htcondor import HTCondorAdapter

SCRIPT = """#!/bin/bash
#CONDOR RequestCpus = 4
#CONDOR +Project = "physics"

echo "#CONDOR this is none"
exec worker
"""


def test_description_from_the_script() -> None:
    """The script's `#CONDOR` lines, the script as the executable, the id as its argument."""
    description = HTCondorAdapter().submit_input("/x/job.sh", SCRIPT, count=3)
    assert description == (
        "executable = /x/job.sh\n"
        "arguments = $(ClusterId).$(ProcId)\n"
        "RequestCpus = 4\n"
        '+Project = "physics"\n'
        "queue 3\n"
    )


def test_files_that_travel_with_a_job() -> None:
    """The user's own are joined with the credentials, for HTCondor takes the last line alone."""
    lines = ("transfer_input_files = /c/worker", "x = 1", "Transfer_Input_Files=a, b")
    script = "".join(f"#CONDOR {line}\n" for line in lines)
    description = HTCondorAdapter().submit_input("/x/job.sh", script)
    assert description is not None
    assert description.splitlines()[2:] == [
        "x = 1",
        "transfer_input_files = /c/worker, a, b",
        "queue 1",
    ]


def test_further_arguments_of_the_commands() -> None:
    """Another schedd or pool is named to both commands."""
    told: dict[str, Any] = {
        "submit_command_extra": ["-name", "schedd2"],
        "cancel_command_extra": ["-name", "schedd2"],
    }
    adapter = HTCondorAdapter().with_keywords(told)
    assert adapter.submit_argv("job.sh") == ("condor_submit", "-terse", "-name", "schedd2", "-")
    assert adapter.cancel_argv(["2.0"]) == ("condor_rm", "-name", "schedd2", "2.0")


def test_the_mark_is_an_attribute_of_the_job() -> None:
    """A submission that was not answered can be found again among the user's jobs."""
    argv = HTCondorAdapter().submit_argv("job.sh", tag="tag-7")
    assert argv[-3:] == ("-append", '+JobqueueTag = "tag-7"', "-")
    assert any("JobqueueTag" in word for word in HTCondorAdapter().status_query([]).argv)


def test_attributes_are_lines_of_the_description() -> None:
    """What HTCondor takes as a mapping stands in the script as lines, and can be left out."""
    values = {"job_extra_directives": {"+x": "1"}, "job_directives_skip": ["RequestMemory"]}
    spelt = HTCondorAdapter().job_values(values)
    assert spelt["job_extra_directives"] == ["+x = 1"]
    assert spelt["job_directives_skip"] == ["#CONDOR RequestMemory"]


@pytest.mark.parametrize(
    ("shebang", "kept"),
    [
        ("#!/usr/bin/env condor_submit", None),
        ("#!/usr/bin/env condor_submit # doesn't matter", None),
        ("#!/bin/bash -l", "#!/bin/bash -l"),
        (None, None),
    ],
)
def test_a_first_line_for_descriptions_is_none_for_scripts(shebang: Any, kept: Any) -> None:
    """Files from dask-jobqueue have condor_submit there; on a node it would submit the script."""
    assert HTCondorAdapter().job_values({"shebang": shebang})["shebang"] == kept


def test_a_job_removed_by_its_own_condition_met_its_walltime() -> None:
    """HTCondor has no walltime; the template's condition takes its place."""
    query = HTCondorAdapter().status_query([])
    reason = "The job attribute PeriodicRemove expression '(JobStatus == 2)' evaluated to TRUE"
    said = f'[{{"ClusterId": 7, "ProcId": 0, "JobStatus": 3, "RemoveReason": "{reason}"}}]'
    job = query.parse(Completed(query.argv, 0, said, ""))["7.0"]
    assert (job.cause, job.reason) == (EndCause.WALLTIME, reason)
