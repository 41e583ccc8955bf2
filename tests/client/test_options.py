"""Options of tasks: what travels, what is refused, and what a block gives to those inside it."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import ClassVar

import pytest

from jobqueue import annotate
from jobqueue.client.options import LARGEST, refuse_unknown, scatter_options, task_options
from jobqueue.errors import ConfigError


def options(**given):
    """What travels for a task with these options."""
    usual = {
        "priority": 0,
        "retries": 0,
        "workers": None,
        "allow_other_workers": False,
        "resources": None,
        "actor": False,
        "tags": None,
    }
    return task_options(**{**usual, **given})


def test_nothing_travels_if_all_is_as_usual():
    """The usual task carries no options; None is as good as leaving one out."""
    assert options() is None
    assert options(priority=None, retries=None) is None
    assert options(resources={}, tags={}) is None


def test_what_differs_travels():
    """And nothing else."""
    assert options(priority=-1.5, retries=2) == {"priority": -1.5, "retries": 2}
    assert options(workers="node7", allow_other_workers=True) == {
        "workers": ["node7"],
        "allow_other_workers": True,
    }
    assert sorted(options(workers={"a", "b"})["workers"]) == ["a", "b"]
    assert options(resources={"GPU": 1, "licence": 0}) == {"resources": {"GPU": 1}}
    assert options(actor=True) == {"actor": True}
    tags = {"step": "preview", "sizes": (1, 2.5, None), "inner": {"last": True}}
    assert options(tags=tags) == {"tags": {**tags, "sizes": [1, 2.5, None]}}


def test_a_pool_is_a_name_of_its_workers():
    """The innermost of pool= and workers= counts."""
    assert options(pool="gpu") == {"workers": ["pool:gpu"]}
    with annotate(pool="gpu"):
        assert options() == {"workers": ["pool:gpu"]}
        assert options(workers="node7") == {"workers": ["node7"]}
        assert options(pool="fat") == {"workers": ["pool:fat"]}
    with pytest.raises(ConfigError, match="workers='n' and pool='gpu': give one of them"):
        options(workers="n", pool="gpu")


def test_a_pool_that_the_cluster_does_not_have_is_refused():
    """However it is named; a client that was given an address cannot know."""

    class Cluster:
        pools: ClassVar = {"default": None, "gpu": None}

    assert options(pool="gpu", cluster=Cluster()) == {"workers": ["pool:gpu"]}
    assert options(workers="node7", cluster=Cluster()) == {"workers": ["node7"]}
    assert options(pool="gup", cluster=object()) == {"workers": ["pool:gup"]}
    for given in ({"pool": "gup"}, {"workers": ["pool:gup"]}):
        with pytest.raises(ConfigError, match="no pool 'gup'; there are: default, gpu"):
            options(**given, cluster=Cluster())
    with annotate(pool="gup"), pytest.raises(ConfigError, match="no pool 'gup'"):
        options(cluster=Cluster())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pool": ["gpu"]}, r"pool=\['gpu'\]: it is the name of one of the cluster's pools"),
        ({"priority": "high"}, "priority='high': it is a finite number"),
        ({"priority": True}, "priority=True"),
        ({"priority": math.nan}, "priority=nan"),
        ({"priority": -math.inf}, "priority=-inf"),
        ({"priority": 10**30}, "priority=1000"),
        ({"retries": -1}, "retries=-1: it is how often to try again"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": "2"}, "retries='2'"),
        ({"retries": True}, "retries=True"),
        ({"workers": 3}, "workers=3: it is a worker's name, address, host or job id"),
        ({"workers": [3]}, r"workers=\[3\]"),
        ({"workers": b"a"}, "workers=b'a'"),
        ({"workers": []}, r"workers=\[\] names no worker: leave it out"),
        ({"workers": ""}, "workers=''"),
        ({"allow_other_workers": ["a"], "workers": "b"}, r"allow_other_workers=\['a'\]"),
        ({"allow_other_workers": True}, "allow_other_workers=True without workers="),
        ({"resources": {"GPU": "x"}}, r"resources={'GPU': 'x'}: 'x' is no amount.*'GPU': 1"),
        ({"resources": {"GPU": -1}}, "-1 is no amount"),
        ({"resources": {"GPU": math.nan}}, "nan is no amount"),
        ({"resources": {"GPU": True}}, "True is no amount"),
        ({"resources": {1: 1}}, "1 is no name"),
        ({"resources": "GPU"}, "resources='GPU': it is amounts by name"),
        ({"actor": 1}, "actor=1: it is True or False"),
        ({"tags": "preview"}, "tags='preview': they are values by name"),
        ({"tags": {1: 2}}, "tags={1: 2}"),
        ({"tags": {"when": object()}}, "tag when=<object.*use str"),
        ({"tags": {"large": LARGEST + 1}}, "tag large="),
    ],
)
def test_what_cannot_be_meant(given, words):
    """It is said at once: which option, which value, and what it should be."""
    with pytest.raises(ConfigError, match=words):
        options(**given)


def test_tags_that_hold_themselves():
    """They are no deeper than a log line can be."""
    circle = []
    circle.append(circle)
    with pytest.raises(ConfigError, match="tag circle="):
        options(tags={"circle": circle})


def test_a_block_gives_options_to_those_inside():
    """What is given at the call comes first, then the innermost block; tags add up."""
    with annotate(priority=5, retries=1, step="one", run=7):
        assert options() == {"priority": 5, "retries": 1, "tags": {"step": "one", "run": 7}}
        with annotate(priority=8, workers=["a"], resources={"GPU": 1}, step="two"):
            assert options(priority=9, tags={"mine": True}) == {
                "priority": 9,
                "retries": 1,
                "workers": ["a"],
                "resources": {"GPU": 1},
                "tags": {"step": "two", "run": 7, "mine": True},
            }
            assert options(workers="b", resources={"licence": 1}) == {
                "priority": 8,
                "retries": 1,
                "workers": ["b"],
                "resources": {"licence": 1},
                "tags": {"step": "two", "run": 7},
            }
        assert options(priority=1)["priority"] == 1
    assert options() is None


def test_a_block_is_one_threads_and_ends_with_an_error():
    """Other threads and coroutines do not see it."""
    seen = []

    async def elsewhere():
        seen.append(options())

    async def main():
        other = asyncio.create_task(elsewhere())
        with annotate(priority=1):
            await other
            assert options() == {"priority": 1}

    asyncio.run(main())
    with annotate(priority=1):
        thread = threading.Thread(target=lambda: seen.append(options()))
        thread.start()
        thread.join()
    with pytest.raises(ZeroDivisionError), annotate(priority=1):
        raise ZeroDivisionError
    assert seen == [None, None]
    assert options() is None


def test_a_block_with_what_cannot_be_meant():
    """It is refused where it is written."""
    with pytest.raises(ConfigError, match="retries=-1"), annotate(retries=-1):
        pass


def test_options_that_there_are_not():
    """The first one is named, and what there is."""

    def method(value, *, retries=0, pool=None, **others):
        raise AssertionError

    refuse_unknown("method", method, {})
    with pytest.raises(
        ConfigError, match=r"^method\(a=…\): there is no .*; there are retries, pool$"
    ):
        refuse_unknown("method", method, {"a": 1, "b": 2})


def test_options_of_scattered_values():
    """Where they go, and to how many."""
    assert scatter_options(None, False) is None
    assert scatter_options("a", True) == {"workers": ["a"], "broadcast": True}
    assert scatter_options(["a", "b"], 2) == {"workers": ["a", "b"], "broadcast": 2}
    for broadcast in (-1, "all"):
        with pytest.raises(ConfigError, match=r"broadcast=.*True for all workers, or how many"):
            scatter_options(None, broadcast)
