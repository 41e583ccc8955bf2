"""joblib's calls as tasks; scikit-learn runs by them."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobqueue import Client
from jobqueue.errors import ClientClosed, ConfigError, WorkersUnavailable

joblib = pytest.importorskip("joblib", reason="joblib is not installed here")
np = pytest.importorskip("numpy")

from jobqueue.client import joblib_backend  # noqa: E402
from jobqueue.client.joblib_backend import JobqueueBackend, Sent, nbytes  # noqa: E402


def test_a_client_is_enough(run_script):
    """Nothing has to be imported but joblib, when it is wanted."""
    done = run_script(
        """
        from jobqueue import Client

        def double(x):
            return x * 2

        if __name__ == "__main__":
            with Client(n_workers=1, threads_per_worker=2):
                import joblib

                with joblib.parallel_backend("jobqueue"):
                    print(joblib.Parallel()(joblib.delayed(double)(x) for x in range(4)))
                with joblib.parallel_config(backend="jobqueue", retries=1):
                    print(joblib.Parallel()(joblib.delayed(str.upper)(x) for x in "ab"))
                print(joblib.Parallel(backend="jobqueue")(joblib.delayed(abs)(x) for x in [-1]))
        """
    )
    assert done.stdout.splitlines() == ["[0, 2, 4, 6]", "['A', 'B']", "[1]"]


@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
def test_results_come_in_order(client, batch_size):
    """However many calls travel together, and whether they are of one function."""
    with joblib.parallel_backend("jobqueue"):
        parallel = joblib.Parallel(batch_size=batch_size)
        assert parallel(joblib.delayed(pow)(n, 2) for n in range(200)) == [n**2 for n in range(200)]
        mixed = [joblib.delayed([abs, float, lambda x: x][n % 3])(-n) for n in range(30)]
        assert parallel(mixed) == [[abs, float, int][n % 3](-n) for n in range(30)]
        assert parallel([]) == []


def test_all_calls_run_on_workers(client):
    """Also those of one worker: joblib would do them here."""
    with joblib.parallel_config(backend=JobqueueBackend(workers="local-1-0")):
        pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(10))
    [pid] = set(pids)
    assert pid == next(w.pid for w in client.cluster.scheduler.workers() if w.name == "local-1-0")


def test_results_as_they_come(own_client):
    """By joblib's generators; one that is left early ends the rest."""
    with joblib.parallel_backend("jobqueue"):
        calls = [joblib.delayed(abs)(-n) for n in range(20)]
        assert list(joblib.Parallel(return_as="generator")(calls)) == list(range(20))
        unordered = joblib.Parallel(return_as="generator_unordered")(calls)
        assert sorted(unordered) == list(range(20))
        late = [joblib.delayed(time.sleep)(n) for n in [0, *[600] * 9]]
        results = joblib.Parallel(return_as="generator", n_jobs=3, batch_size=1)(late)
        assert next(results) is None
        with pytest.warns(UserWarning, match="tasks"):
            results.close()


def test_an_exception_comes_with_its_traceback(client):
    """And those that have not begun do not run any more."""

    def fail(n):
        raise ValueError(f"no {n}")

    with joblib.parallel_backend("jobqueue"), pytest.raises(ValueError, match="no 1") as caught:
        joblib.Parallel()([joblib.delayed(fail)(1)])
    assert "in fail" in str(caught.value.__cause__)


def test_the_rest_is_cancelled(own_client, tmp_path: Path):
    """When a call fails; the same object takes other calls afterwards."""

    def note(n):
        if n == 0:
            raise ValueError("the first")
        time.sleep(0.2)
        (tmp_path / str(n)).touch()
        return n

    with (
        joblib.parallel_backend("jobqueue"),
        joblib.Parallel(batch_size=1, pre_dispatch="all") as parallel,
    ):
        with pytest.raises(ValueError, match="the first"):
            parallel(joblib.delayed(note)(n) for n in range(40))
        assert own_client.submit(abs, -1).result() == 1
        assert len(list(tmp_path.iterdir())) < 39
        assert parallel(joblib.delayed(note)(n) for n in [1, 2]) == [1, 2]


def test_nobody_waits_for_workers_that_do_not_come(own_cluster, own_client):
    """The call fails, and says why."""
    loop = own_client._waits.loop

    def outage(error):
        loop.call_soon_threadsafe(own_cluster.scheduler.set_outage, error)

    with joblib.parallel_backend("jobqueue"):
        own_client.submit(abs, 1).add_done_callback(
            lambda future: outage(WorkersUnavailable("no job starts"))
        )
        with pytest.raises(WorkersUnavailable, match="no job starts"):
            joblib.Parallel()(joblib.delayed(time.sleep)(600) for _ in range(2))
    outage(None)


def test_calls_within_calls(client):
    """They run in threads of the task, and below those one by one."""

    def level(n):
        from joblib.parallel import get_active_backend

        if n == 3:
            return []
        backend, _ = get_active_backend()
        [below] = joblib.Parallel(n_jobs=2)([joblib.delayed(level)(n + 1)])
        return [type(backend).__name__, *below]

    with joblib.parallel_backend("jobqueue"):
        found = joblib.Parallel()(joblib.delayed(level)(1) for _ in range(4))
    assert found == [["ThreadingBackend", "SequentialBackend"]] * 4


def test_a_task_may_name_the_backend_itself(own_client):
    """With one thread in all, which it leaves to its own calls while it waits."""

    def outer(n):
        from jobqueue import get_client

        get_client()
        with joblib.parallel_backend("jobqueue"):
            return sum(joblib.Parallel()(joblib.delayed(abs)(-x) for x in range(n)))

    with joblib.parallel_backend("jobqueue"):
        assert joblib.Parallel()(joblib.delayed(outer)(n) for n in (3, 4)) == [3, 6]


def test_large_arguments_travel_once(client, wait_until):
    """As long as they live; small ones, and text, go with their calls."""
    array = np.zeros(1000)
    sent = Sent(client, 8000)
    function, args, kwargs = sent.in_call((sum, (array, 1, array[:10]), {"x": array}))
    assert function is sum
    assert args[0] is kwargs["x"]
    assert args[0].result().shape == (1000,)
    assert args[1] == 1
    assert len(args[2]) == 10
    assert sent.in_call((sum, ("x" * 9000,), {}))[1] == ["x" * 9000]
    gone = weakref.ref(array)
    del array, args, kwargs
    wait_until(lambda: gone() is None)
    assert sent._known == {}
    assert Sent(client, None).in_call((sum, (np.zeros(9000),), {}))[1][0].shape == (9000,)


def test_calls_get_the_values_of_large_arguments(client):
    """Whatever kind they are of."""
    table = np.arange(20_000.0)
    with joblib.parallel_backend("jobqueue"):
        calls = [joblib.delayed(np.take)(table, n) for n in range(50)]
        assert joblib.Parallel(batch_size=1)(calls) == list(range(50))
        assert joblib.Parallel(max_nbytes=None)(calls) == list(range(50))


def test_bytes_of_what_is_large():
    """Arrays, tables, sparse matrices."""
    pd = pytest.importorskip("pandas")
    assert nbytes(np.zeros(10)) == 80
    assert nbytes(pd.DataFrame({"x": range(10)})) == 80
    assert nbytes(pd.Series(range(10))) == 80
    assert nbytes(SimpleNamespace(data=np.zeros(10))) == 80
    assert nbytes(SimpleNamespace(nbytes="many")) == 0
    assert nbytes(len) == 0


def test_how_many_at_a_time(client):
    """As many as there are threads, of those that may run it, or as many as are asked for."""
    backend = JobqueueBackend()
    assert backend.effective_n_jobs(-1) == 2
    assert backend.effective_n_jobs(None) == 2
    assert backend.effective_n_jobs(5) == 5
    assert backend.effective_n_jobs(1) == 1
    with pytest.raises(ValueError, match="n_jobs == 0"):
        backend.effective_n_jobs(0)
    assert JobqueueBackend(workers="local-1-0")._count_threads() == 1
    assert JobqueueBackend(pool="default")._count_threads() == 2
    with joblib.parallel_backend("jobqueue"):
        assert joblib.effective_n_jobs() == 2


def test_more_is_under_way_when_workers_have_come(client, monkeypatch):
    """Though joblib asks only at the beginning how many there are."""
    monkeypatch.setattr(joblib_backend, "LOOK_AGAIN", 0.0)
    left = [1, 2, 3]

    class Parallel:
        _lock = threading.RLock()
        _original_iterator: list[int] | None = left

        def dispatch_next(self) -> None:
            left.pop()
            if not left:
                self._original_iterator = None

    parallel = Parallel()
    backend = JobqueueBackend()
    assert backend.configure(-1, parallel) == 2
    backend.batch_completed(1, 0.1)
    assert len(left) == 3
    backend._threads = 1  # one has come since then
    backend.batch_completed(1, 0.1)
    assert len(left) == 1
    backend._threads = 0
    backend.batch_completed(1, 0.1)
    assert left == []
    backend.configure(2, parallel)
    backend._threads = 0
    backend.batch_completed(1, 0.1)


def test_what_cannot_be_meant_is_refused(client):
    """With the reason."""
    with pytest.raises(ConfigError, match="no option of submit"):
        joblib.parallel_backend("jobqueue", key="k")

    async def main():
        async with Client(client.cluster, asynchronous=True) as other:
            with pytest.raises(ConfigError, match="asynchronous"):
                JobqueueBackend(other)

    asyncio.run(main())


def test_without_a_client_there_is_nothing_to_compute_with(monkeypatch):
    """And the message says what to do."""
    monkeypatch.setattr("jobqueue.client.session._all_sessions", list)
    with pytest.raises(ClientClosed, match="make one"):
        joblib.parallel_backend("jobqueue")


def test_a_grid_search_of_scikit_learn(client):
    """Finds what it finds without any cluster."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    images, digits = load_digits(return_X_y=True)
    images, digits = images[:120], digits[:120]
    grid = {"C": [0.3, 1.0], "gamma": [0.0003, 0.001]}
    here = GridSearchCV(SVC(), grid, cv=3, n_jobs=1).fit(images, digits)
    with joblib.parallel_backend("jobqueue"):
        there = GridSearchCV(SVC(), grid, cv=3).fit(images, digits)
    assert there.best_params_ == here.best_params_
    assert (there.cv_results_["mean_test_score"] == here.cv_results_["mean_test_score"]).all()


def test_a_client_that_nobody_has_any_more_is_gone(cluster, wait_until):
    """Without any garbage collection: joblib's objects do not keep it."""
    client = Client(cluster, set_as_default=False)
    with joblib.parallel_backend("jobqueue", client=client):
        assert joblib.Parallel()(joblib.delayed(abs)(-n) for n in range(3)) == [0, 1, 2]
    gone = weakref.ref(client)
    gc.disable()
    try:
        del client
        wait_until(lambda: gone() is None)
    finally:
        gc.enable()
