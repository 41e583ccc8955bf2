"""What is Grid Engine's own: arrays from 1, XML with something before it, limits, accounting."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.answers import BatchState, Completed, EndCause
from jobqueue.batch.sge import STATES, SGEAdapter, compact


def test_an_array_is_as_long_as_it_was_asked_for() -> None:
    """Another number of tasks than was asked for is no answer to this submission."""
    adapter = SGEAdapter()
    assert adapter.parse_job_ids("30.1-10:1\n", 10)[::9] == ("30.1", "30.10")
    assert adapter.parse_job_ids("30.1-10:1\n", 9) == ()
    assert adapter.parse_job_ids("30.1-10:1\n", 1) == ()
    assert adapter.parse_job_ids("30\n", 10) == ()


@pytest.mark.parametrize(("task", "job"), [("undefined", "14"), ("3", "14.3")])
def test_a_job_knows_its_own_id(task: str, job: str) -> None:
    """The shell text yields the id by which qdel knows the job, or the task of an array."""
    expression = SGEAdapter().job_id_expression
    said = subprocess.run(
        ["bash", "-c", f"JOBQUEUE_JOB_ID={expression}\necho $JOBQUEUE_JOB_ID"],
        env={"JOB_ID": "14", "SGE_TASK_ID": task},
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == job


def test_a_banner_before_the_xml() -> None:
    """What a login script prints before qstat's answer is passed over."""
    query = SGEAdapter().status_query([])
    xml = "<?xml version='1.0'?><a><job_list><JB_job_number>1</JB_job_number><state>r</state>"
    said = Completed(query.argv, 0, f"Welcome <you>!\n{xml}</job_list></a>", "")
    assert query.parse(said)["1"].state is BatchState.RUNNING


@pytest.mark.parametrize(
    ("category", "ran", "cause"),
    [
        ("-l h_rt=60,h_vmem=1G", "61s", EndCause.WALLTIME),
        ("-l h_rt=0:1:0,h_vmem=1G", "7s", EndCause.OUT_OF_MEMORY),
        ("-l h_rt=60,h_cpu=30", "31s", None),
        ("-l h_vmem=1G", "7s", None),
        ("NONE", "7s", EndCause.WALLTIME),
    ],
)
def test_which_limit_was_enforced(category: str, ran: str, cause: EndCause | None) -> None:
    """One code stands for three limits: the run time tells whether it was the walltime."""
    [query] = SGEAdapter().ended_queries(["5"])
    said = (
        f"====\njobnumber 5\ntaskid undefined\nfailed 37 : qmaster enforced h_rt, h_cpu, or h_vmem "
        f"limit\nexit_status 137\nru_wallclock {ran}\ncategory {category}\n"
    )
    assert query.parse(Completed(query.argv, 0, said, ""))["5"].cause is cause


@pytest.mark.parametrize(("count", "log"), [(1, "w.o$JOB_ID"), (5, "w.o$JOB_ID.$TASK_ID")])
def test_the_mark_of_a_submission_is_in_the_name(count: int, log: str) -> None:
    """The log is called what it is called without it."""
    script = "#!/bin/bash\n#$ -N w\n#$ -j y\n#$ -o /logs/\n#$ -e /logs/\n\nexec worker\n"
    text = SGEAdapter().marked(script, "jq0123456789ab", count=count)
    assert text.splitlines()[1:5] == [
        "#$ -N w-jq0123456789ab",
        "#$ -j y",
        f"#$ -o /logs/{log}",
        "#$ -e /logs/",
    ]
    query = SGEAdapter().status_query(())
    said = (
        "<?xml version='1.0'?><a><job_list><JB_job_number>1</JB_job_number>"
        "<JB_name>w-jq0123456789ab</JB_name><state>qw</state></job_list></a>"
    )
    assert query.parse(Completed(query.argv, 0, said, ""))["1"].tag == "jq0123456789ab"


@pytest.mark.parametrize("own", ["#$ -N mine", "#$ -o /elsewhere/"])
def test_no_mark_in_scripts_that_name_things_themselves(own: str) -> None:
    """Whose log would not be found by the name it had."""
    script = f"#!/bin/bash\n#$ -N w\n#$ -o /logs/\n{own}\nexec worker\n"
    assert SGEAdapter().marked(script, "jq0123456789ab") == script


def test_few_questions_to_the_accounting() -> None:
    """qacct reads all of a site's accounting each time, so it is asked a few times only."""
    queries = SGEAdapter().ended_queries([str(number) for number in range(1000)])
    assert len(queries) < 10
    (one,) = SGEAdapter().ended_queries([f"5.{task}" for task in range(1, 1000)])
    assert one.argv == ("qacct", "-j", "5")


@given(st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(1, 40)), unique=True))
def test_compact_ids_stand_for_the_same_jobs(jobs: list[tuple[int, int | None]]) -> None:
    """Runs of tasks hold all the ids and nothing more."""
    ids = [f"{a}" if i is None else f"{a}.{i}" for a, i in jobs]
    found = []
    for text in compact(ids):
        number, dot, tasks = text.partition(".")
        first, _, last = tasks.partition("-")
        found += (
            [f"{number}.{task}" for task in range(int(first), int(last or first) + 1)]
            if dot
            else [number]
        )
    assert sorted(found) == sorted(ids)


def test_no_state_of_a_listed_job_is_an_end() -> None:
    """qstat lists no ended jobs."""
    assert BatchState.ENDED not in {state for state, _ in STATES.values()}
