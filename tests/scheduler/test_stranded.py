"""Tasks that wait for workers which will not come, while others go on."""

from __future__ import annotations

import pytest

from jobqueue.errors import WorkersUnavailable
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.stranded import Resources, in_vain


@pytest.fixture
def core(make_core):
    """A core of which only the tasks are looked at."""
    core = make_core()
    yield core
    for peer in core.peers:
        peer.take_messages()


def gpus_are_out(names: frozenset[str] | None, resources: Resources) -> WorkersUnavailable | None:
    """Nobody brings GPUs, or workers of that pool."""
    wants = dict(resources).get("GPU") or (names is not None and "pool:gpu" in names)
    return WorkersUnavailable("no GPUs") if wants else None


def told(core, *keys: str) -> tuple[int, str]:
    count, failure = in_vain(core.state, keys, gpus_are_out)
    return count, failure.summary if failure else ""


def test_tasks_that_only_such_workers_can_run_wait_in_vain(core):
    """Others do not; nor do those that nobody knows any more."""
    client = core.client()
    core.submit(client, "gpu", "gpu2", resources={"GPU": 1})
    core.submit(client, "named", workers=["pool:gpu"])
    core.submit(client, "plain")
    assert told(core, "gpu") == (1, "WorkersUnavailable: no GPUs")
    assert told(core, "gpu", "gpu2", "named", "plain", "unknown")[0] == 3
    assert told(core, "plain") == (0, "")


def test_what_waits_for_them_waits_in_vain(core):
    """However many steps further, and if only one of its inputs is such a task."""
    client = core.client()
    core.submit(client, "gpu", resources={"GPU": 1})
    core.submit(client, "plain")
    core.submit(client, "both", inputs=["gpu", "plain"])
    previous = "both"
    for n in range(2000):
        core.state.submit(client, b"f", None, [(f"c{n}", b"", [previous])])
        previous = f"c{n}"
    core.end_turn()
    assert told(core, previous, "both", "plain")[0] == 2


def test_a_connected_worker_is_enough(core):
    """Whoever brought it; busy as it may be. What has ended is not waited for."""
    client = core.client()
    worker = core.worker(resources={"GPU": 1})
    core.submit(client, "one", "other", resources={"GPU": 1})
    assert told(core, "one", "other") == (0, "")
    core.done(worker, "one")
    core.lose(worker)
    assert told(core, "other")[0] == 1


def test_whom_others_may_replace_waits_for_anybody(core):
    """allow_other_workers=True with a pool's name is a wish only."""
    client = core.client()
    core.worker()
    core.submit(client, "wish", workers=["pool:gpu"], allow_other_workers=True)
    assert told(core, "wish") == (0, "")


def test_whom_a_connected_worker_may_replace_is_not_waited_for(core):
    """allow_other_workers=True: one that has the resources will do, though no more of them come."""
    client = core.client()
    core.worker(resources={"GPU": 1})
    options = {"workers": ["pool:gpu"], "allow_other_workers": True, "resources": {"GPU": 1}}
    core.submit(client, "runs", "wish", **options)
    assert core.state_of("wish") == READY
    assert told(core, "wish") == (0, "")
