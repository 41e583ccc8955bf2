"""Values set in code: what names them, how long they count, and what they win over."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue import config
from jobqueue.config import overlay
from jobqueue.errors import ConfigError


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


def test_a_wrong_key_set_in_code_is_told(site: Any) -> None:
    """Code is held to the table as our files are."""
    with (
        config.set({"slurm.cors": 4}),
        pytest.raises(ConfigError, match=r"jobqueue\.config\.set: .*'cors'.*did you mean 'cores'"),
    ):
        site.values()


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
