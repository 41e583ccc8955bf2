"""Values set in code are judged before they count: what is refused, and that it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue import config
from jobqueue.config import overlay
from jobqueue.errors import ConfigError

REFUSED = [
    ({"slurm.coers": 3}, r"section 'slurm': 'coers' is no keyword of SLURMCluster.*'cores'\?$"),
    ({"slurm.coers": None}, r"did you mean 'cores'"),
    ({"slrum.cores": 3}, r"there is no section 'slrum'; did you mean 'slurm'\?$"),
    ({"gpu.cores": 3}, r"no section 'gpu'; a new one says .* \{'gpu\.extends': 'slurm'\}$"),
    ({"slurm.cores": "many"}, r"set: cores: 'many'"),
    ({"slurm.memory": [1]}, r"set: memory: "),
    ({"slurm.lsf_units": "kb"}, r"'lsf-units' is no keyword of SLURMCluster, but of LSFCluster"),
    ({"slurm.n_workers": 2}, r"'n-workers' can't be set here; pass it to SLURMCluster"),
    ({"slurm.template": "/nowhere.j2"}, r"there is no file /nowhere\.j2"),
    ({"gpu": {"extends": "slrum"}}, r"no section 'slrum' .*did you mean 'slurm'"),
    ({"gpu": {"extends": "gpu"}}, r"in a circle: gpu → gpu"),
    ({"gpu": {"extends": "slurm", "coers": 1}}, r"'coers' is no keyword of SLURMCluster"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED)
def test_what_cannot_be_used_is_refused_at_once(site: Any, values: Any, words: str) -> None:
    """The error names the nearest right name; what stands beside the mistake is not set either."""
    with pytest.raises(ConfigError, match=words) as caught:
        config.set({"pbs.queue": "beside", **values})
    assert str(caught.value).startswith("jobqueue.config.set: ")
    assert overlay.sources() == []
    assert site.values()["queue"] is None


def test_a_new_section_extends_one_that_is_there(site: Any) -> None:
    """Later calls know it."""
    with (
        config.set({"gpu": {"extends": "slurm", "queue": "gpu"}}),
        config.set({"gpu.job_cpu": 3}),
        config.set({"other": {"extends": "gpu"}}),
    ):
        values = site.values("other")
        assert (values["queue"], values["job_cpu"]) == ("gpu", 3)


def test_a_section_that_tells_no_batch_system(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys may be those of any, each with a value that one of them takes."""
    path = site.ours("jobqueue: {big: {cores: 8}}")
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(path))
    for key, value in {"project": "p", "name": "n", "job_extra_directives": {"+x": "y"}}.items():
        config.set({"big": {key: value}}).close()
    with config.set({"big": {"queue": "q", "walltime": None}}):
        assert site.values("big")["queue"] == "q"
    for key, value, words in [
        ("coers", 1, r"'coers' is no key of any batch system's section; did you mean 'cores'"),
        ("asynchronous", True, r"'asynchronous' is no key"),
        ("memory", "lots", r"set: memory: 'lots'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            config.set({"big": {key: value}})
