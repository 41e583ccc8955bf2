"""What is PBS's own: arrays of one, wrapped lines, broken JSON, relatives of qstat."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.answers import BatchState, Completed
from jobqueue.batch.pbs import Dialect, PBSAdapter, arrays_once, compact
from jobqueue.batch.qstat import parse_plain
from jobqueue.errors import SubmissionRejected

WIDTH = 79  # qstat breaks longer lines, and begins the next one with a tab


def refused(adapter: PBSAdapter, returncode: int, stderr: str, stdout: str = "") -> Completed:
    return Completed(adapter.status_query(["7.pbs"]).argv, returncode, stdout, stderr)


def test_array_of_one_is_a_plain_job() -> None:
    """PBS refuses `-J 0-0`."""
    assert PBSAdapter().submit_argv("job.sh", count=1) == ("qsub", "job.sh")
    assert PBSAdapter().submit_argv("job.sh", count=2) == ("qsub", "-J", "0-1", "job.sh")


def test_wrappers_are_recognised_before_anything_is_submitted() -> None:
    """The first command shows whose qstat it is: PBS tells its version, a wrapper refuses to."""
    adapter = PBSAdapter()
    version = Completed(adapter.probe_argv, 0, "pbs_version = 23.06.06\n", "")
    assert adapter.fallback(version) is None
    usage = Completed(adapter.probe_argv, 2, "", "Unknown option: version\nUsage:\n    qstat\n")
    wrappers = adapter.fallback(usage)
    assert wrappers is not None
    assert wrappers.dialect is Dialect.SLURM_WRAPPERS
    assert wrappers.array_limit == 1
    assert wrappers.status_query(["220"]).argv == ("qstat", "-f", "220")
    assert wrappers.ended_queries(["220"]) == ()
    assert wrappers.fallback(usage) is None


def test_logs_of_the_wrappers() -> None:
    """Slurm's qsub does not read `-o` in the script, and is told on its command line."""
    wrappers = PBSAdapter(dialect=Dialect.SLURM_WRAPPERS)
    argv = wrappers.submit_argv("job.sh", log_directory="/logs")
    assert argv == ("qsub", "-o", "/logs/%j.OU", "-e", "/logs/%j.ER", "job.sh")
    assert PBSAdapter().submit_argv("job.sh", log_directory="/logs") == ("qsub", "job.sh")


def test_qstat_without_json() -> None:
    """Where qstat does not know `-F`, the lines for readers are read, and arrays stay."""
    adapter = PBSAdapter()
    plain = adapter.fallback(refused(adapter, 2, "qstat: invalid option -- 'F'\nusage: qstat\n"))
    assert plain is not None
    assert plain.array_limit > 1
    assert "-F" not in plain.status_query(["7.pbs"]).argv
    assert plain.fallback(refused(plain, 2, "qstat: invalid option -- 't'\n")) is None


def test_broken_json() -> None:
    """Some versions put users' variables into JSON unescaped: then the lines are read instead."""
    adapter = PBSAdapter()
    broken = refused(adapter, 0, "", '{"Jobs":{"7.pbs":{"Variable_List":{"X":"say "hi""}}}}')
    plain = adapter.fallback(broken)
    assert plain is not None
    assert not plain.json


def test_control_characters_in_json_are_read() -> None:
    """A tab within a text is no JSON by the letter, and clear all the same."""
    query = PBSAdapter().status_query(["7.pbs"])
    said = '{"Jobs":{"7.pbs":{"job_state":"Q","comment":"a\tb"}}}'
    assert query.parse(Completed(query.argv, 0, said, ""))["7.pbs"].reason == "a\tb"


def test_server_name_written_out() -> None:
    """A job is found by the id we know, where qstat writes more of the server's name."""
    query = PBSAdapter().status_query(["7.pbs", "22[1].pbs"])
    said = '{"Jobs":{"7.pbs.site.edu":{"job_state":"Q"},"22[1].pbs.site.edu":{"job_state":"R"}}}'
    statuses = query.parse(Completed(query.argv, 0, said, ""))
    assert {job_id: status.state for job_id, status in statuses.items()} == {
        "7.pbs": BatchState.PENDING,
        "22[1].pbs": BatchState.RUNNING,
    }


def test_log_files_without_a_directory() -> None:
    """PBS names them after the job and its number, and an array's element."""
    paths = PBSAdapter().log_paths("22[3].pbs", job_name="dask-worker", log_directory=None)
    assert paths == ("dask-worker.o22.3", "dask-worker.e22.3")


@given(st.lists(st.tuples(st.integers(1, 4), st.none() | st.integers(0, 30)), unique=True))
def test_compact_ids_name_each_job_once(jobs: list[tuple[int, int | None]]) -> None:
    """Runs of elements hold all the ids and nothing more; asking needs each array once."""
    ids = [f"{n}.pbs" if i is None else f"{n}[{i}].pbs" for n, i in jobs]
    found = []
    for text in compact(ids):
        number, bracket, rest = text.partition("[")
        if not bracket:
            found.append(text)
            continue
        first, _, last = rest.removesuffix("].pbs").partition("-")
        found += [f"{number}[{i}].pbs" for i in range(int(first), int(last or first) + 1)]
    assert sorted(found) == sorted(ids)
    assert len(arrays_once(ids)) <= 8


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z_.]{0,15}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=300)


def written(job_id: str, attributes: dict[str, str]) -> str:
    """Write a job as qstat does, with long lines broken."""
    lines = [f"Job Id: {job_id}"]
    for name, value in attributes.items():
        text = f"    {name} = {value}"
        lines.append(text[:WIDTH])
        lines += [f"\t{text[i : i + WIDTH]}" for i in range(WIDTH, len(text), WIDTH)]
    return "\n".join([*lines, "", ""])


@given(
    jobs=st.dictionaries(
        st.from_regex(r"[0-9]{1,6}(\[[0-9]{1,3}\])?\.[a-z]{1,8}", fullmatch=True),
        st.dictionaries(NAMES, VALUES, max_size=6),
        max_size=4,
    ),
    banner=st.sampled_from(["", "Welcome to Stampede2\n\n", "    job_state = R\n\tand more\n"]),
    line_break=st.sampled_from(["\n", "\r\n"]),
)
def test_wrapped_lines_are_put_together(
    jobs: dict[str, dict[str, str]], banner: str, line_break: str
) -> None:
    """Whatever the values are, what qstat wrapped is read as it was."""
    text = banner + "".join(written(job_id, attributes) for job_id, attributes in jobs.items())
    assert parse_plain(text.replace("\n", line_break)) == jobs


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    """Nothing that qstat may print makes the reader fail."""
    parse_plain(text)


def test_what_wrappers_say_around_an_error_is_left_out() -> None:
    """Whoever reads the error is told what sbatch said, and nothing that begins with a quote."""
    said = (
        "There was an error running the Slurm sbatch command.\nThe command was:\n"
        "'/usr/bin/sbatch -p nosuch p.sh 2>&1'\nand the output was:\n"
        "'sbatch: error: invalid partition specified: nosuch\n'\n"
    )
    adapter = PBSAdapter(dialect=Dialect.SLURM_WRAPPERS, json=False)
    with pytest.raises(SubmissionRejected) as caught:
        adapter.submitted(Completed(("qsub", "p.sh"), 1, said, ""))
    assert str(caught.value).endswith(": invalid partition specified: nosuch")
    assert caught.value.output == "sbatch: error: invalid partition specified: nosuch"


SCRIPT = "#!/bin/bash\n#PBS -N dask-worker\n#PBS -l walltime=1:00\n\nexec worker\n"
TAG = "jq0123456789ab"


def test_the_mark_of_a_submission_is_a_variable() -> None:
    """Names are short in some versions, and logs are called after them."""
    text = PBSAdapter().marked(SCRIPT, TAG)
    added = set(text.splitlines()) - set(SCRIPT.splitlines())
    assert added == {f"#PBS -v JOBQUEUE_MARK={TAG}"}
    query = PBSAdapter().status_query(())
    variables = {"ODD": 12, "JOBQUEUE_MARK": TAG}
    jobs = {
        "7.pbs": {"job_state": "Q", "Variable_List": variables},
        "9[].pbs": {"job_state": "B", "Variable_List": variables},
        "9[3].pbs": {"job_state": "R"},
    }
    found = query.parse(Completed(query.argv, 0, json.dumps({"Jobs": jobs}), ""))
    assert {job_id: job.tag for job_id, job in found.items()} == {"7.pbs": TAG, "9[3].pbs": TAG}
    plain = f"Job Id: 7.pbs\n    job_state = Q\n    Variable_List = A=b,\n\tJOBQUEUE_MARK={TAG}\n"
    assert query.parse(Completed(query.argv, 0, plain, ""))["7.pbs"].tag == TAG


@pytest.mark.parametrize(
    ("adapter", "script"),
    [
        (PBSAdapter(), f"#PBS -v MINE=1\n{SCRIPT}"),
        (PBSAdapter(), f"{SCRIPT}#PBS -q long -vMINE=1\n"),
        (PBSAdapter(dialect=Dialect.SLURM_WRAPPERS, json=False), SCRIPT),
    ],
)
def test_no_mark_where_it_would_take_something_away(adapter: PBSAdapter, script: str) -> None:
    """Of two `-v` one would be lost; sbatch would pass on no other variables."""
    assert adapter.marked(script, TAG) == script
