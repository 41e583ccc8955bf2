"""What is OAR's own: admission rules, ids below zero, wait statuses, properties."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobqueue.batch.answers import Completed
from jobqueue.batch.oar import OARAdapter


def test_as_many_ids_as_jobs_or_none() -> None:
    """A submission that printed another number of ids than was asked for is not understood."""
    adapter = OARAdapter()
    assert adapter.parse_job_ids("OAR_JOB_ID=1\nOAR_JOB_ID=2\nOAR_ARRAY_ID=1\n", 2) == ("1", "2")
    assert adapter.parse_job_ids("OAR_JOB_ID=1\nOAR_JOB_ID=2\nOAR_ARRAY_ID=1\n", 3) == ()
    assert adapter.parse_job_ids("OAR_JOB_ID=-5\n") == ()


@pytest.mark.parametrize("option", ["-p cluster='big'", "--property=cluster='big'"])
def test_the_users_own_property_and_memory(option: str) -> None:
    """Of two `-p`, OAR would drop one without a word, so both conditions stand in the second."""
    values: dict[str, Any] = {
        "cores": 4,
        "memory": 16 * 2**30,
        "memory_per_core_property_name": "memcore",
        "job_extra_directives": ["-t besteffort", option],
    }
    spelt = OARAdapter().job_values(values)["job_extra_directives"]
    assert spelt == ["-t besteffort", "-p (cluster='big') AND memcore>=4096"]
    values["memory_per_core_property_name"] = None
    assert OARAdapter().job_values(values) == values


def test_ended_jobs_are_asked_for_by_id() -> None:
    """The list has no ended jobs; OAR remembers all of them, some hundreds a question."""
    queries = OARAdapter().ended_queries([str(number) for number in range(1, 402)])
    assert [query.argv.count("-j") for query in queries] == [200, 200, 1]


@pytest.mark.parametrize(
    ("status", "code", "signal"), [(768, 3, None), (9, None, 9), (0, 0, None), (None, None, None)]
)
def test_wait_statuses(status: int | None, code: int | None, signal: int | None) -> None:
    """`exit_code` is what wait(2) gives: 768 is exit 3, 9 is SIGKILL."""
    query = OARAdapter().status_query([])
    told = str(status).replace("None", "null")
    said = f'{{"7": {{"state": "Terminated", "exit_code": {told}}}}}'
    job = query.parse(Completed(query.argv, 0, said, ""))["7"]
    assert (job.exit_code, job.signal) == (code, signal)


MARK = "jq0123456789ab"


def test_the_mark_of_a_submission_is_in_the_name() -> None:
    """oarsub reads it in the script, and logs have names of their own there."""
    script = "#!/bin/bash\n#OAR -n w\n#OAR -O /logs/w-%jobid%.out\n\nexec worker -n 5\n"
    text = OARAdapter().marked(script, MARK)
    assert text == script.replace("#OAR -n w", f"#OAR -n w-{MARK}")
    query = OARAdapter().status_query(())
    said = json.dumps({"1": {"state": "Waiting", "name": f"w-{MARK}"}})
    assert query.parse(Completed(query.argv, 0, said, ""))["1"].tag == MARK


@pytest.mark.parametrize("own", ["-n mine", "-t besteffort -n mine", "--name=mine"])
def test_no_mark_where_there_are_two_names(own: str) -> None:
    """oarsub takes one of them, and the user's own is to stay as it is."""
    script = f"#!/bin/bash\n#OAR -n w\n#OAR -O /logs/w-%jobid%.out\n#OAR {own}\n\nexec worker\n"
    assert OARAdapter().marked(script, MARK) == script


def test_no_mark_where_logs_are_called_after_jobs() -> None:
    """They would not be found."""
    script = "#!/bin/bash\n#OAR -n w\nexec worker\n"
    assert OARAdapter().marked(script, MARK) == script
