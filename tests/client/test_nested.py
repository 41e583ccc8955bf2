"""Futures inside collections."""

from __future__ import annotations

import collections

import pytest

from jobqueue.client.future import Future
from jobqueue.client.nested import as_collection, futures_in, futures_of, replace_futures
from jobqueue.client.states import Book, State
from jobqueue.errors import ConfigError


class FakeClient:
    """As much of a client as a future needs."""

    def __init__(self):
        self._book = Book()


@pytest.fixture
def futures():
    """Three futures, of a, b and c."""
    client = FakeClient()
    return [Future(client, State(key)) for key in "abc"]


def test_futures_are_found_in_order(futures):
    """In lists, tuples, sets and dicts' values, however deep; nothing else is looked into."""
    a, b, c = futures
    assert futures_in([a, (b, {"x": [c]}), 5, "text"], nothing_else=False) == [a, b, c]
    assert futures_in({a}) == [a]
    assert futures_in(a) == [a]
    assert futures_in(None, nothing_else=False) == []


class Collection:
    """As much of one of dask's as matters."""

    def __init__(self, **parts):
        self.__dask_graph__ = lambda: parts


def test_futures_of_anything(futures):
    """Of persisted collections, beside others; none is none, and no error."""
    a, b, c = futures
    assert futures_of([Collection(x=a, y=5, z=b), (c, {"key": a})]) == [a, b, c, a]
    assert futures_of(Collection(x=5)) == futures_of("text") == []


def test_an_iterator_over_futures_will_do(futures):
    """Where all are wanted, and not some value that happens to be one."""
    for iterator in (iter(futures), (f for f in futures), dict(enumerate(futures)).values()):
        assert futures_in(iterator) == futures
    assert as_collection(iter(futures)) == futures
    assert as_collection("text") == "text"


def test_what_is_filed_under_futures_is_no_matter(futures):
    """`as_completed({submit(f, x): x ...})` goes through the futures, as elsewhere in Python."""
    a, b, c = futures
    assert futures_in({a: 1, b: c}) == [a, b]
    assert futures_in({a: 1, b: c}, nothing_else=False) == [c]
    with pytest.raises(ConfigError, match="is no future"):
        futures_in({a: 1, 2: b})


@pytest.mark.parametrize("other", [None, 5, "abs-0", [5], {"x": (None,)}])
def test_what_is_no_future_is_refused(futures, other):
    """It is a mistake, and to pass over it would be to do nothing in silence."""
    with pytest.raises(ConfigError, match=r"is no future: pass futures as submit\(\)"):
        futures_in([*futures, other] if isinstance(other, dict) else other)


class FakeCollection:
    """As much of a collection of dask's as has parts."""

    def __init__(self, graph):
        self.graph = graph

    def __dask_graph__(self):
        return self.graph


def test_a_persisted_collection_stands_for_its_parts(futures):
    """By itself, inside of others, and where something is built upon it."""
    a, b, c = futures
    kept = FakeCollection({("x", 0): a, ("x", 1): b})
    assert futures_in(kept) == [a, b]
    assert futures_in([{"kept": kept}, c]) == [a, b, c]
    assert futures_in(FakeCollection({("x", 0): a, "sum": (sum, [("x", 0)])})) == [a]


@pytest.mark.parametrize("graph", [None, {}, {"x": 1}])
def test_a_collection_of_which_nothing_is_computed_is_refused(graph):
    """To wait for it would be to wait for nothing."""
    with pytest.raises(ConfigError, match="nothing is being computed: persist it first"):
        futures_in(FakeCollection(graph))


def test_futures_are_replaced(futures):
    """The collections are copied, with their types; what holds no future is kept."""
    a, b, c = futures
    Pair = collections.namedtuple("Pair", "left right")
    value = [a, Pair(b, 1), {"x": c}, frozenset([a]), "text"]
    replaced = replace_futures(value, lambda future: future.key)
    assert replaced == ["a", Pair("b", 1), {"x": "c"}, frozenset("a"), "text"]
    assert type(replaced[1]) is Pair
    assert value[0] is a


def test_dicts_stay_of_their_kind(futures):
    """Those that cannot be made of pairs as well; the one that was given stays as it is."""
    a, b, _ = futures
    given = [collections.defaultdict(list, x=a, y=b), collections.Counter(x=a, y=b)]
    kinds, counts = replace_futures(given, lambda future: 5)
    assert kinds == {"x": 5, "y": 5}
    assert kinds["new"] == []
    assert counts + counts == collections.Counter(x=10, y=10)
    skip = object()
    left = replace_futures(given, lambda future: skip if future is a else 5, skip)
    assert left == [{"y": 5}, {"y": 5}]
    assert given[0] == given[1] == {"x": a, "y": b}


def test_places_can_be_left_out(futures):
    """What is to be skipped leaves no gap."""
    skip = object()
    keep = futures[1]

    def result_of(future):
        return 1 if future is keep else skip

    value = [futures, {"a": futures[0], "b": keep}, tuple(futures)]
    assert replace_futures(value, result_of, skip) == [[1], {"b": 1}, (1,)]
