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
    """What else condor_submit and condor_rm are to be told, each by itself."""
    told: dict[str, Any] = {
        "submit_command_extra": ["-spool"],
        "cancel_command_extra": ["-forcex"],
    }
    adapter = HTCondorAdapter().with_keywords(told)
    assert adapter.submit_argv("job.sh") == ("condor_submit", "-terse", "-spool", "-")
    assert adapter.cancel_argv(["2.0"]) == ("condor_rm", "-forcex", "2.0")
    assert adapter.status_query([]).argv[:2] == ("condor_q", "-json")


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        (["-name", "schedd2"], ("-name", "schedd2")),
        (["-remote", "schedd2"], ("-name", "schedd2")),
        (["-pool", "cm", "-n", "schedd2"], ("-pool", "cm", "-name", "schedd2")),
    ],
)
def test_jobs_at_another_schedd_are_looked_for_and_ended_there(extra: Any, place: Any) -> None:
    """Whoever is told of it when jobs are submitted need not be told again."""
    adapter = HTCondorAdapter().with_keywords({"submit_command_extra": extra})
    assert adapter.status_query(["2.0"]).argv[: 1 + len(place)] == ("condor_q", *place)
    [history] = adapter.ended_queries(["2.0"])
    assert history.argv[: 2 + len(place)] == ("condor_history", *place, "2.0")
    assert adapter.cancel_argv(["2.0"]) == ("condor_rm", *place, "2.0")
    own = adapter.with_keywords({"cancel_command_extra": ["-name", "other"]})
    assert own.cancel_argv(["2.0"]) == ("condor_rm", "-name", "other", "2.0")


@pytest.mark.parametrize("option", ["-a", "-append", "-p", "-password"])
def test_other_options_of_the_submission_name_no_place(option: str) -> None:
    """A line for the description is none of condor_q's business."""
    extra = {"submit_command_extra": [option, '+ProjectName = "x"']}
    adapter = HTCondorAdapter().with_keywords(extra)
    assert adapter.status_query(["2.0"]).argv[1] == "-json"
    assert adapter.cancel_argv(["2.0"]) == ("condor_rm", "2.0")
    [history] = adapter.ended_queries(["2.0"])
    assert history.argv[1] == "2.0"


@pytest.mark.parametrize("option", ["-ad", "-addr", "-address"])
def test_the_history_has_no_address(option: str) -> None:
    """condor_history reads files, and refuses an address; the others are told of it."""
    extra = {"submit_command_extra": [option, "<1.2.3.4:5>"]}
    adapter = HTCondorAdapter().with_keywords(extra)
    assert adapter.status_query(["2.0"]).argv[:3] == ("condor_q", "-addr", "<1.2.3.4:5>")
    assert adapter.cancel_argv(["2.0"])[1:3] == ("-addr", "<1.2.3.4:5>")
    [history] = adapter.ended_queries(["2.0"])
    assert history.argv[1] == "2.0"


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
