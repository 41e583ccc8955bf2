"""Values set in code: what names them, how long they count, and what they win over."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue import config
from jobqueue.config import overlay
from jobqueue.errors import ConfigError, JobQueueDeprecationWarning


def test_code_wins_over_variables_and_keywords_over_code(site: Any) -> None:
    """`jobqueue.config.set` counts until its block ends."""
    site.environ["JOBQUEUE__SLURM__QUEUE"] = "variable"
    with config.set({"slurm.queue": "code"}):
        assert site.values()["queue"] == "code"
        assert str(site.resolve(cores=1, memory="1GB").origins["queue"]) == "jobqueue.config.set"
        assert site.values(queue="keyword")["queue"] == "keyword"
        with config.set(slurm__queue="inner"):
            assert site.values()["queue"] == "inner"
        assert site.values()["queue"] == "code"
    assert site.values()["queue"] == "variable"


@pytest.mark.parametrize(
    "values",
    [
        {"slurm": {"job-extra-directives": ["-C x"]}},
        {"jobqueue": {"slurm": {"job_extra_directives": "-C x"}}},
        {"jobqueue.slurm.job_extra_directives": ["-C x"]},
        {"slurm.job-extra-directives": {"-C": "x"}},
    ],
)
def test_values_are_set_by_dotted_names_or_mappings(site: Any, values: Any) -> None:
    """dask's way of naming them works too."""
    with config.set(values):
        assert site.values()["job_extra_directives"] == ["-C x"]


@pytest.mark.parametrize("values", [{"cores": 4}, {"slurm": 4}, {"a.b.c": 1}])
def test_setting_no_key_of_a_section_is_refused(values: Any) -> None:
    """The right form is told."""
    with pytest.raises(ConfigError, match=r"set\(\{'slurm\.cores': 24\}\)"):
        config.set(values)
    assert overlay.sources() == []


def test_none_takes_back_what_was_set_before(site: Any) -> None:
    """For as long as it lasts; files count again, an empty text unsets them as well."""
    site.ours("jobqueue: {slurm: {queue: file, worker-extra-args: --file}}")
    with config.set({"slurm.queue": "code", "slurm.job_name": "n"}):
        with config.set({"slurm.queue": None}):
            assert (site.values()["queue"], site.values()["job_name"]) == ("file", "n")
            with config.set({"slurm.queue": "again"}):
                assert site.values()["queue"] == "again"
        with config.set({"slurm.queue": ""}):
            assert site.values()["queue"] is None
        assert site.values()["queue"] == "code"
    with config.set({"slurm.queue": None}):
        assert overlay.sources() == []


def test_none_takes_back_an_old_name_too(site: Any) -> None:
    """One keyword, by whichever of its names it was set."""
    with pytest.warns(JobQueueDeprecationWarning):
        config.set({"slurm.extra": "--old"}).close()
    with config.set({"slurm.extra": "--old"}), config.set({"slurm.worker-extra-args": None}):
        assert site.values()["worker_extra_args"] == []


def test_what_was_set_first_may_end_first(site: Any) -> None:
    """Each value ends with its own block, in whichever order; what was set later counts on."""
    outer, inner = config.set({"slurm.queue": "outer"}), config.set({"slurm.queue": "inner"})
    outer.close()
    assert site.values()["queue"] == "inner"
    inner.close()
    assert overlay.sources() == []
    assert site.values()["queue"] is None


def test_a_mapping_and_names_are_set_at_once(site: Any) -> None:
    """Several keys, of several sections, in one call."""
    with config.set({"slurm": {"queue": "q"}, "pbs.account": "a"}, slurm__job_name="n"):
        values = site.values()
        assert (values["queue"], values["job_name"]) == ("q", "n")
        assert site.values(system="pbs")["account"] == "a"
