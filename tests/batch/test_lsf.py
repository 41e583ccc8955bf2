"""What is LSF's own: two formats of bjobs, a story wrapped anywhere, units of memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobqueue
from jobqueue.batch.answers import Completed, EndCause
from jobqueue.batch.bjobs import parse_long
from jobqueue.batch.lsf import LSFAdapter, arrays_once, compact, units_in

WIDTH = 79  # bjobs breaks longer lines, and begins the next one with 21 blanks


@pytest.mark.parametrize(
    "stderr",
    ["bjobs: illegal option -- j\nUsage: bjobs\n", "bjobs: invalid option -- 'j'\nUsage: ...\n"],
)
def test_bjobs_without_json(stderr: str) -> None:
    """Where bjobs does not know `-json`, the story for readers is read."""
    adapter = LSFAdapter()
    plain = adapter.fallback(Completed(adapter.status_query(["7"]).argv, 255, "", stderr))
    assert plain is not None
    assert plain.status_query(["7"]).argv == ("bjobs", "-a", "-l", "7")
    assert plain.fallback(Completed(("bjobs", "-a", "-l", "7"), 255, "", stderr)) is None


def test_script_on_standard_input_or_as_a_file() -> None:
    """bsub looks for directives in what it reads; a wrapper of a site may want the file."""
    reads = LSFAdapter(job_name="grid")
    assert reads.submit_argv("/x/job.sh", count=5) == ("bsub", "-J", "grid[1-5]")
    assert reads.submit_input("/x/job.sh", "#BSUB -n 1\n") == "#BSUB -n 1\n"
    file = LSFAdapter(use_stdin=False)
    assert file.submit_argv("/x/job.sh") == ("bsub", "/x/job.sh")
    assert file.submit_input("/x/job.sh", "#BSUB -n 1\n") is None


def test_a_name_of_the_users_own_stays() -> None:
    """The mark follows it; the command line would otherwise take its place by ours."""
    own = LSFAdapter().with_directives(["-q long", '-J "mine"']).with_keywords({"job_name": "grid"})
    assert own.submit_argv("job.sh", tag="jq7") == ("bsub", "-J", "mine-jq7")
    assert own.submit_argv("job.sh", tag="jq7", count=3) == ("bsub", "-J", "mine-jq7[1-3]")


def test_jobs_without_a_name_are_given_none() -> None:
    """Whoever has its line left out does not find it on the command line; an array has to have it.

    Their submissions have no mark then.
    """
    values = {"job_name": "grid", "job_directives_skip": ["-n", "#BSUB -J"]}
    bare = LSFAdapter().with_directives([]).with_keywords(values)
    assert bare.submit_argv("job.sh", tag="jq7") == ("bsub",)
    assert bare.submit_argv("job.sh", tag="jq7", count=3) == ("bsub", "-J", "grid-jq7[1-3]")


def test_the_mark_of_a_submission_is_in_the_name() -> None:
    """Which names an array as well, and which both formats of bjobs show; logs have no mark."""
    mark = "jq0123456789ab"
    reads = LSFAdapter(job_name="grid")
    assert reads.submit_argv("/x/job.sh", tag=mark) == ("bsub", "-J", f"grid-{mark}")
    many = reads.submit_argv("/x/job.sh", count=5, tag=mark)
    assert many == ("bsub", "-J", f"grid-{mark}[1-5]")
    everything = reads.status_query(())
    assert everything.argv[:3] == ("bjobs", "-a", "-json")
    said = (
        f'{{\n"RECORDS": [{{"JOBID": "7", "JOBINDEX": "2", "STAT": "PEND", '
        f'"JOB_NAME": "grid-{mark}[2]"}}]}}'
    )
    assert everything.parse(Completed(everything.argv, 0, said, ""))["7[2]"].tag == mark
    story = f"\nJob <7[2]>, Job Name <grid-{mark}[1-5]>, User <ada>, Status <PEND>, Queue <n>\n"
    plain = LSFAdapter(json=False).status_query(())
    assert plain.parse(Completed(plain.argv, 0, story, ""))["7[2]"].tag == mark


@pytest.mark.parametrize(("index", "job"), [("0", "14"), ("", "14"), ("3", "14[3]")])
def test_a_job_knows_its_own_id(index: str, job: str) -> None:
    """The shell text yields the id by which bkill knows the job, or the element of an array."""
    expression = LSFAdapter().job_id_expression
    said = subprocess.run(
        ["bash", "-c", f"JOBQUEUE_JOB_ID={expression}\necho $JOBQUEUE_JOB_ID"],
        env={"LSB_JOBID": "14", "LSB_JOBINDEX": index},
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == job


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", "kb"),
        ("LSF_UNIT_FOR_LIMITS=GB\n", "gb"),
        ('# LSF_UNIT_FOR_LIMITS=GB\nLSF_UNIT_FOR_LIMITS = "MB"\n', "mb"),
    ],
)
def test_unit_of_memory_limits(text: str, unit: str) -> None:
    """lsf.conf says how a bare number after `-M` is counted; kilobytes, if it does not."""
    assert units_in(text) == unit


def test_the_sites_unit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster reads the lsf.conf of this machine, unless the keyword says the unit."""
    for name in ("HOME", "JOBQUEUE_STATE_DIRECTORY", "LSF_ENVDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_IGNORE_DASK", "1")
    (tmp_path / "lsf.conf").write_text("LSF_UNIT_FOR_LIMITS=MB\n")
    for told, wanted in (({}, "-M 16000\n"), ({"lsf_units": "gb"}, "-M 16\n")):
        with jobqueue.LSFCluster(cores=1, memory="16GB", **told) as cluster:
            assert wanted in cluster.job_script()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("TERM_REMOVE_HUNG_JOB: job removed from the LSF system", EndCause.NODE_FAILED),
        ("TERM_RC_RECLAIM: job killed, its host was reclaimed", EndCause.PREEMPTED),
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", EndCause.WALLTIME),
    ],
)
def test_why_lsf_ended_a_job(said: str, cause: EndCause) -> None:
    """Its first word tells; what was a node's or another job's fault is not the job's."""
    query = LSFAdapter(json=False).status_query(["7"])
    story = f"\nJob <7>, User <ada>, Status <EXIT>\nFri Nov 20 09:00:00: Exited; {said}.\n"
    assert query.parse(Completed(query.argv, 0, story, ""))["7"].cause is cause


def test_a_command_that_looks_like_a_story() -> None:
    """What stands in the job's own script is not taken for what LSF says of it."""
    script = "Exited with exit code 9. Status <DONE> PENDING REASONS: Job <8>, x"
    text = f"\nJob <7>, User <ada>, Status <RUN>, Command <{script}>\n"
    jobs = parse_long(text + "Fri Nov 20 09:00:00: Started on <node1>;\n")
    assert [(job, told.state, told.exit_code) for job, told in jobs.items()] == [("7", "RUN", None)]


@given(
    st.dictionaries(
        st.from_regex(r"[1-9][0-9]{0,5}(\[[1-9][0-9]{0,2}\])?", fullmatch=True),
        st.tuples(st.sampled_from(["RUN", "EXIT"]), st.integers(1, 255)),
        max_size=5,
    )
)
def test_wrapped_lines_are_put_together(jobs: dict[str, tuple[str, int]]) -> None:
    """Wherever bjobs breaks a line, it is read as it was."""
    lines = []
    for job_id, (state, code) in jobs.items():
        name = f"Job <{job_id}>, Job Name <{'x' * code}>, User <ada>, Status <{state}>, Queue <n>"
        lines += ["", name, f"Fri Nov 20 09:00:00: {'x' * code} Exited with exit code {code}."]
    text = "\n".join(
        ("\n" + " " * 21).join(line[at : at + WIDTH] for at in range(0, max(len(line), 1), WIDTH))
        for line in lines
    )
    found = {job_id: (told.state, told.exit_code) for job_id, told in parse_long(text).items()}
    assert found == jobs


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    """Nothing that bjobs may print makes the reader fail."""
    parse_long(text)


@given(st.lists(st.tuples(st.integers(1, 4), st.none() | st.integers(1, 30)), unique=True))
def test_compact_ids_name_each_job_once(jobs: list[tuple[int, int | None]]) -> None:
    """Elements of an array are written as one word, asked for as one array."""
    ids = [f"{n}" if i is None else f"{n}[{i}]" for n, i in jobs]
    found = []
    for text in compact(ids):
        number, bracket, rest = text.partition("[")
        parts = rest.removesuffix("]").split(",") if bracket else []
        found += [] if bracket else [number]
        for first, _, last in (part.partition("-") for part in parts):
            found += [f"{number}[{i}]" for i in range(int(first), int(last or first) + 1)]
    assert sorted(found) == sorted(ids)
    assert len(arrays_once(ids)) <= 4
