"""What a store knows of where its values are."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.worker.spill_books import ABSENT, Books, Entry, Leaving, Stored


@pytest.fixture
def books() -> Books:
    """With three values of 100 bytes, which came in the order of their names."""
    books = Books()
    for key in "abc":
        books.add(key, Entry(f"value of {key}", None, 100))
    return books


def leave(books: Books, file: int | None = None) -> Leaving:
    """Have the next value leave memory."""
    leaving = books.take_out()
    assert leaving is not None
    books.gone(leaving, file)
    return leaving


def test_what_was_used_longest_ago_leaves_first(books: Books):
    """Until nothing is left."""
    books.use("a")
    assert [leave(books, file).key for file in (1, 2, 3)] == ["b", "c", "a"]
    assert books.take_out() is None
    assert not books.movable
    assert books.stored == Stored(0, 300)
    books.validate()


def test_what_is_on_its_way_counts_as_gone_but_is_still_here(books: Books):
    """Nobody need wait for a file to be written, nor write another one meanwhile."""
    leaving = books.take_out()
    assert leaving is not None
    assert (books.stored.memory, books.staying) == (300, 200)
    assert books.use("a").value == "value of a"
    books.gone(leaving, 1)
    assert (books.stored, books.staying) == (Stored(200, 100), 200)
    assert books.use("a").value is ABSENT


def test_what_was_dropped_on_its_way_leaves_rubbish(books: Books):
    """Its file, once; and another value under the same key is not touched."""
    leaving = books.take_out()
    assert leaving is not None
    books.add("a", Entry("another", None, 50))
    books.gone(leaving, 1)
    assert list(books.rubbish) == [1]
    assert books.use("a").value == "another"
    books.validate()


def test_a_file_is_rubbish_once(books: Books):
    """Also of a value that was in memory again, and was leaving it for the second time."""
    leave(books, 1)
    books.loaded("a", books.use("a"), "value of a", 100)
    for key in "bc":
        books.drop(key)
    leaving = books.take_out()
    assert leaving is not None
    books.drop("a")
    books.gone(leaving, None)
    assert list(books.rubbish) == [1]
    books.validate()


@pytest.mark.parametrize("again", [False, True])
def test_what_could_not_be_written_stays(books: Books, again: bool):
    """It is the next to be tried if that may help, and is not tried any more if not."""
    leaving = books.take_out()
    assert leaving is not None
    if again:
        books.stays(leaving)
    books.gone(leaving, None)
    assert books.stored == Stored(300, 0)
    assert leave(books, 2).key == ("a" if again else "b")
    books.validate()


@pytest.mark.parametrize("change", ["drop", "lose"])
def test_what_was_read_for_a_value_that_is_no_more_is_not_kept(books: Books, change: Any):
    """Whoever has asked for it gets it, and that is all."""
    leave(books, 1)
    entry = books.use("a")
    if change == "drop":
        books.drop("a")
    else:
        assert books.lose("a", entry)
        assert not books.lose("a", entry)
    books.loaded("a", entry, "value of a", 100)
    assert "a" not in books
    assert (len(books), books.size("a"), books.size("b")) == (2, 0, 100)
    books.clear()
    assert books.stored == Stored(0, 0)
