"""docs/adding-a-batch-system.md: its adapter does what its page and the recordings there say."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobqueue.batch.answers import BatchState, Completed
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.systems import ADAPTERS
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import BatchSystemError, ConfigError, SubmissionRejected

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-batch-system.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def toy() -> BatchAdapter:
    """The adapter that the page shows."""
    module = types.ModuleType("toy")
    sys.modules["toy"] = module  # dataclasses look for their module
    exec(blocks("python")[0], module.__dict__)
    adapter = module.ToyAdapter()
    assert isinstance(adapter, BatchAdapter)
    return adapter


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the page records of it."""
    told = yaml.safe_load(blocks("yaml")[0])
    assert isinstance(told, dict)
    return told


def answer(argv: Any, said: dict[str, Any]) -> Completed:
    return Completed(argv, said.get("status", 0), said.get("stdout", ""), said.get("stderr", ""))


def test_its_recordings_have_all_that_the_suite_reads(told: Any) -> None:
    """Whoever copies them has forgotten nothing."""
    real = yaml.safe_load((Path(__file__).parent / "recorded" / "slurm.yaml").read_text())
    assert set(told) == set(real)


def test_its_adapter_reads_them(toy: BatchAdapter, told: Any) -> None:
    """Submission, refusal, statuses, silence, cancelling."""
    submit = toy.submit_argv("job.sh")
    for said in told["submitted"]:
        assert toy.submitted(answer(submit, said)) == (said["first"],)
    for said in told["rejected"]:
        with pytest.raises(SubmissionRejected, match=said["words"]):
            toy.submitted(answer(submit, said))
    query = toy.status_query(["7", "8"])
    for said in told["statuses"]:
        found = query.parse(answer(query.argv, said))
        assert [(job.job_id, job.state.value, job.node) for job in found.values()] == [
            (job["job_id"], job["state"], job.get("node", "")) for job in said["jobs"]
        ]
    assert all(query.parse(answer(query.argv, said)) == {} for said in told["nothing"])
    for said in told["down"]:
        with pytest.raises(BatchSystemError):
            query.parse(answer(query.argv, said))
    (unknown,) = query.parse(answer(query.argv, told["unknown_state"])).values()
    assert unknown.state is BatchState.UNKNOWN
    kill = toy.cancel_argv(told["cancelled"]["ids"])
    assert list(kill) == told["cancelled"]["argv"]
    assert not any(toy.cancel_problem(answer(kill, said)) for said in told["cancel_fine"])
    assert all(toy.cancel_problem(answer(kill, said)) for said in told["cancel_failed"])


def test_its_template_makes_a_script(toy: BatchAdapter, tmp_path: Path) -> None:
    """With directives, and the worker at its end."""
    template = tmp_path / "toy.sh.j2"
    template.write_text(blocks("jinja")[0])
    spec = JobSpec(cores=4, memory=2**30, log_directory="/logs", template=str(template))
    script = spec.render(toy, ["tls://10.0.0.1:4000"], credentials=None)
    assert "#TOY -o /logs/jobqueue-%i.out\n" in script
    assert "#TOY -cores 4\n#TOY -time 00:30:00\n" in script
    assert "exec " in script


def test_every_batch_system_says_where_its_texts_are_from() -> None:
    """The page's last table has a row for each, as users name them."""
    table = PAGE.rpartition("| batch system |")[2]
    names = {"pbs": "PBS", "sge": "Grid Engine", "htcondor": "HTCondor", "moab": "Moab"}
    for name in ADAPTERS:
        title = names.get(name, name.upper() if len(name) == 3 else name.capitalize())
        assert f"| {title} |" in table


def test_jobs_of_several_nodes_where_nobody_has_said_how(toy: BatchAdapter) -> None:
    """One error says so, and what would help."""
    spec = JobSpec(cores=4, memory=2**30, nodes=2)
    with pytest.raises(ConfigError, match="nodes=2: how toy starts something on several nodes"):
        spec.render(toy, ["tls://h:1"], credentials=None)
