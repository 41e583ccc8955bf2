"""Futures inside collections."""

from __future__ import annotations

import collections

import pytest

from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in, replace_futures
from jobqueue.client.states import Book, State


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
    assert list(futures_in([a, (b, {"x": [c]}), 5, "text"])) == [a, b, c]
    assert list(futures_in({a})) == [a]
    assert list(futures_in(a)) == [a]
    assert list(futures_in(None)) == []


def test_futures_are_replaced(futures):
    """The collections are copied, with their types; what holds no future is kept."""
    a, b, c = futures
    Pair = collections.namedtuple("Pair", "left right")
    value = [a, Pair(b, 1), {"x": c}, frozenset([a]), "text"]
    replaced = replace_futures(value, lambda future: future.key)
    assert replaced == ["a", Pair("b", 1), {"x": "c"}, frozenset("a"), "text"]
    assert type(replaced[1]) is Pair
    assert value[0] is a


def test_places_can_be_left_out(futures):
    """What is to be skipped leaves no gap."""
    skip = object()
    keep = futures[1]

    def result_of(future):
        return 1 if future is keep else skip

    value = [futures, {"a": futures[0], "b": keep}, tuple(futures)]
    assert replace_futures(value, result_of, skip) == [[1], {"b": 1}, (1,)]
