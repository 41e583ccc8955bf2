"""Graphs in this process: the core decides, and threads or nobody else works."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from operator import add
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue import multiprocessing, sync, threaded
from jobqueue.cluster.in_process import InProcess, _filled
from jobqueue.errors import ConfigError
from jobqueue.graph.prepare import prepare
from jobqueue.graph.programs import Ref

GETS = {"sync": sync.get, "threaded": threaded.get}


@st.composite
def graphs(draw: st.DrawFn) -> dict[Hashable, Any]:
    """Graphs of sums: of earlier keys, numbers, lists of them and sums inside of sums."""
    size = draw(st.integers(1, 12))
    dsk: dict[Hashable, Any] = {0: 1}
    for key in range(1, size):
        earlier = st.sampled_from([f"k{i}" for i in range(key)] + [2, 3])
        terms = draw(st.lists(earlier, min_size=1, max_size=4))
        nested = draw(st.booleans())
        total = (sum, terms)
        dsk[f"k{key}"] = (add, total, (sum, [terms[0], 1])) if nested else total
    dsk["k0"] = 0
    return dsk


def by_hand(dsk: dict[Hashable, Any], one: Any) -> Any:
    """What a graph of sums comes to, by the definition."""
    if isinstance(one, tuple):
        return one[0](*(by_hand(dsk, arg) for arg in one[1:]))
    if isinstance(one, list):
        return [by_hand(dsk, item) for item in one]
    return by_hand(dsk, dsk[one]) if one in dsk else one


@given(graphs(), st.sampled_from(sorted(GETS)))
def test_any_graph_gives_what_it_says(dsk: dict[Hashable, Any], name: str):
    """Compared with the definition, for all keys at once."""
    keys = list(dsk)
    assert GETS[name](dsk, keys) == [by_hand(dsk, key) for key in keys]


@pytest.mark.parametrize("get", GETS.values(), ids=GETS)
def test_an_exception_says_its_task(get: Any):
    """It is the very one that was raised, with the key in the graph as a note."""
    with pytest.raises(ValueError, match="invalid literal") as caught:
        get({"x": (int, "no number"), "y": (abs, "x")}, "y")
    assert caught.value.__notes__ == ["in the task 'x' of the graph"]


@dataclass(frozen=True)
class Refused(Exception):
    """Does not let its attributes be set, as frozen dataclasses do."""

    code: int


def refuse() -> None:
    raise Refused(5)


@pytest.mark.parametrize("get", GETS.values(), ids=GETS)
def test_an_exception_that_cannot_be_changed(get: Any):
    """It is not hidden by another one, and says its task like others."""
    with pytest.raises(Refused) as caught:
        get({"x": (refuse,)}, "x")
    assert caught.value.__notes__ == ["in the task 'x' of the graph"]


@pytest.mark.parametrize("get", GETS.values(), ids=GETS)
def test_an_exception_that_is_raised_again_and_again(get: Any):
    """The same object, which says its task once."""
    error = ValueError("one for all")

    def fail() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(ValueError, match="one for all"):
            get({"x": (fail,)}, "x")
    assert error.__notes__ == ["in the task 'x' of the graph"]


@pytest.mark.parametrize("get", [threaded.get, multiprocessing.get])
@pytest.mark.parametrize("number", [-1, "4", 1.5])
def test_so_many_workers_there_cannot_be(get: Any, number: Any):
    """Said in the word that the caller has used."""
    with pytest.raises(ConfigError, match=r"num_workers=.*: a whole number"):
        get({"x": (abs, -1)}, "x", num_workers=number)


def test_an_error_is_not_kept_waiting():
    """By tasks that run meanwhile in other threads."""
    begun, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        goes_on.wait(60)
        ended.set()

    def bad() -> None:
        begun.wait(60)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threaded.get({"long": (long,), "bad": (bad,)}, ["long", "bad"], num_workers=2)
    assert not ended.is_set()
    goes_on.set()


def test_nothing_is_pickled():
    """Values are handed over as they are."""
    lock = threading.Lock()
    for get in GETS.values():
        assert get({"x": (lambda: lock,), "y": (lambda one: one, "x")}, "y") is lock


def test_dicts_with_results_in_them_stay_of_their_kind():
    """Those that cannot be made of pairs as well."""
    given = [defaultdict(list, x=Ref("a")), Counter(x=Ref("a"))]
    assert _filled(given, {"a": 5}) == [defaultdict(list, x=5), Counter(x=5)]
    assert repr(_filled(given, {"a": 5})[1]) == "Counter({'x': 5})"


@pytest.mark.parametrize("get", GETS.values(), ids=GETS)
def test_results_stand_for_their_keys_inside_of_containers(get: Any):
    """In lists, tuples and sets, however deep, beside data that stays what it is."""
    data = [1, (2, {3: 4})]
    dsk = {
        "x": (abs, -7),
        "y": (lambda *args: args, ["x", ("x", 0)], {"x", 8}, data),
        "data": data,
    }
    (nested, numbers, beside), alone = get(dsk, ["y", "data"])
    assert (nested, numbers) == ([7, (7, 0)], {7, 8})
    assert beside is data
    assert alone is data


def test_threads_work_at_the_same_time():
    """Two tasks that wait for each other both end."""
    barrier = threading.Barrier(2, timeout=20)
    dsk = {"a": (lambda: barrier.wait() in (0, 1),), "b": (lambda: barrier.wait() in (0, 1),)}
    assert threaded.get(dsk, ["a", "b"], num_workers=2) == [True, True]


def test_results_go_when_they_have_been_used():
    """Of a long chain, only the last few are alive."""
    alive: list[int] = []

    class Counted(int):
        def __new__(cls, number: int) -> Counted:
            alive.append(number)
            return super().__new__(cls, number)

        def __del__(self) -> None:
            alive.remove(int(self))

    most = 0

    def link(before: int) -> Counted:
        nonlocal most
        most = max(most, len(alive))
        return Counted(before + 1)

    dsk = {"k0": (Counted, 0)} | {f"k{i}": (link, f"k{i - 1}") for i in range(1, 50)}
    assert InProcess(prepare(dsk, "k49")).run() == 49
    assert most <= 3


class Part:
    """Counts how many of it are alive at a time; the counting thread is the one that makes it."""

    alive: ClassVar[set[int]] = set()
    most = 0

    def __init__(self, number: int) -> None:
        self.number = number
        Part.alive.add(number)
        Part.most = max(Part.most, len(Part.alive))

    def __del__(self) -> None:
        Part.alive.discard(self.number)


@pytest.mark.parametrize(("get", "threads"), [(sync.get, 1), (threaded.get, 2), (threaded.get, 3)])
def test_a_part_is_used_before_the_next_is_made(get: Any, threads: int):
    """However many there are, only those are alive that threads work on."""
    dsk: dict[Hashable, Any] = {("part", i): (Part, i) for i in range(300)}
    dsk |= {("used", i): (lambda part: part.number, ("part", i)) for i in range(300)}
    dsk["all"] = (sum, [("used", i) for i in range(300)])
    Part.most = 0
    assert get(dsk, "all", num_workers=threads) == sum(range(300))
    assert not Part.alive
    assert Part.most <= threads
