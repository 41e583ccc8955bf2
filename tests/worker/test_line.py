"""Tasks that wait for a thread, and pauses in which none begins."""

from __future__ import annotations


def test_while_paused_nothing_begins(bench):
    """What runs goes on; afterwards all begins in its order, but for what was withdrawn."""
    gate = bench.begin("runs")
    bench.put("a", lambda: bench.order.append("a"))
    bench.executor.pause()
    bench.executor.pause()
    bench.put("b", lambda: bench.order.append("b"))
    bench.put("c", lambda: bench.order.append("c"))
    gate.opened.set()
    assert bench.value("runs") == "through"
    assert bench.executor.withdraw("b")
    assert not bench.executor.idle
    assert bench.order == []
    bench.executor.resume()
    bench.executor.resume()
    bench.wait("a", "c")
    assert bench.order == ["a", "c"]


def test_a_paused_executor_lets_go_of_places(bench):
    """A task that waits for its place has begun already."""

    def away_and_back() -> str:
        bench.executor.secede()
        bench.executor.pause()
        bench.executor.rejoin()
        return "done"

    bench.put("t", away_and_back)
    assert bench.value("t") == "done"


def test_a_paused_executor_starts_over_paused(bench):
    """A new scheduler does not make memory free."""
    bench.executor.pause()
    bench.put("t", lambda: bench.order.append("t"))
    bench.executor.start_over()
    bench.put("u", lambda: bench.order.append("u"))
    assert not bench.executor.idle
    bench.executor.resume()
    bench.wait("u")
    assert bench.order == ["u"]
