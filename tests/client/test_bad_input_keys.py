"""Keys, clients and iterables that cannot be meant so: one clear error each, and all goes on."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.errors import ClientClosed, ConfigError, SerializationError, TaskError

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture
def other(cluster: LocalCluster) -> Iterator[Client]:
    """Another client of the same scheduler."""
    with Client(cluster) as other:
        yield other


def test_a_task_that_would_wait_for_itself(client: Client) -> None:
    """Its key is in use: by the very input that it names."""
    first = client.submit(int, 1, key="me")
    with pytest.raises(ConfigError, match=r"key 'me' is in use for other work.*choose another key"):
        client.submit(abs, first, key="me")
    assert first.result(30) == 1


def test_tasks_that_would_wait_for_each_other(client: Client) -> None:
    """The second one's input would be the first: no circle comes about."""
    first = client.submit(int, 1, key="first")
    second = client.submit(abs, first, key="second")
    with pytest.raises(ConfigError, match="key 'first' is in use for other work"):
        client.submit(abs, second, key="first")
    assert client.gather([first, second]) == [1, 1]


def test_a_circle_over_two_clients(client: Client, other: Client) -> None:
    """No task may name itself, whoever has submitted what it names; nothing else is touched."""
    first = client.submit(int, 1, key="first")
    second = other.submit(abs, first, key="second")
    with pytest.raises(ConfigError, match=r"key 'second' is in use .* input of this very task"):
        client.submit(abs, second, key="second")
    with pytest.raises(ConfigError, match=r"key 'second' is in use .* input of this very task"):
        client.map(abs, [1, second], key=["free", "second"])
    assert first.result(30) == second.result(30) == 1


@pytest.mark.parametrize("call", [(abs, -2), (int, "1")], ids=["arguments", "function"])
def test_a_key_in_use_for_other_work(client: Client, other: Client, call: Any) -> None:
    """The same client hears it at once, another from the scheduler; the same work is welcome."""
    mine = client.submit(abs, -1, key="taken")
    with pytest.raises(ConfigError, match="key 'taken' is in use for other work"):
        client.submit(*call, key="taken")
    with pytest.raises(ConfigError, match="key 'taken' is in use for other work"):
        client.map(call[0], [0, call[1]], key=["free", "taken"])
    theirs = other.submit(*call, key="taken")
    with pytest.raises(TaskError, match=r"key 'taken' is used already.*choose another key"):
        theirs.result(30)
    theirs.release()
    assert mine.result(30) == 1
    assert other.submit(abs, -1, key="taken").result(30) == 1


@pytest.mark.parametrize(
    "key",
    ["a b", "ünïcödé ☃", "k" * 10_000, "\ud800", "nul\0byte", "'\"\n", "../../etc"],
    ids=["space", "unicode", "long", "surrogate", "nul", "quotes", "path"],
)
def test_any_text_is_a_key(client: Client, key: str) -> None:
    """Also of a result that is large, and of one that fails."""
    future = client.submit(bytes, 100_000, key=key)
    assert future.key == key
    assert client.submit(len, future).result(30) == 100_000
    del future
    with pytest.raises(ValueError, match="invalid literal"):
        client.submit(int, "x", key=key).result(30)


@pytest.mark.parametrize("key", ["", 5, b"bytes", (), ["list"]], ids=repr)
def test_what_is_no_text_is_no_key(client: Client, key: Any) -> None:
    """It is refused before anything is sent, in `map` as well."""
    with pytest.raises(ConfigError, match="a key is text, such as 'load-7'"):
        client.submit(abs, -1, key=key)
    with pytest.raises(ConfigError, match="a key is text, such as 'load-7'"):
        client.map(abs, [-1], key=[key])


def test_an_iterable_that_fails_midway(client: Client) -> None:
    """Its exception comes out of `map`; what ran before or beside is not touched."""

    def numbers() -> Iterator[int]:
        yield from range(2500)  # more than are sent at a time
        raise OSError("no more numbers")

    before = client.map(abs, range(-100, 0))
    with pytest.raises(OSError, match="no more numbers"):
        client.map(abs, numbers())
    assert client.gather(before) == list(range(100, 0, -1))


def test_one_bad_call_among_many_threads(client: Client) -> None:
    """Only the thread that made it hears of it."""
    lock = threading.Lock()
    errors: list[BaseException] = []
    sums: list[int] = []

    def submit(number: int) -> None:
        try:
            futures = [
                client.submit(operator.add, number, lock if (number, step) == (3, 7) else step)
                for step in range(20)
            ]
            sums.append(sum(client.gather(futures)))
        except SerializationError as error:
            errors.append(error)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == [190 + 20 * number for number in range(8) if number != 3]
    (error,) = errors
    assert "argument 2 of add" in str(error)


def test_a_client_that_is_closed(client: Client, cluster: LocalCluster) -> None:
    """Whatever is asked of it, it says so; what it has submitted is of use to nobody."""
    with Client(cluster) as closed:
        done = closed.submit(abs, -1)
        done.result(30)
    uses: list[Any] = [
        lambda: closed.submit(abs, -1),
        lambda: closed.map(abs, [-1]),
        lambda: closed.scatter([1]),
        lambda: closed.retry(done),
        lambda: closed.run(abs, -1),
        lambda: closed.who_has(),
        lambda: closed.wait_for_workers(1),
    ]
    for use in uses:
        with pytest.raises(ClientClosed, match="client is closed: make a new one"):
            use()
    with pytest.raises(SerializationError, match="belongs to a client that is closed: submit"):
        client.submit(abs, done)
    with pytest.raises(ClientClosed, match="belongs to a client that is closed: submit"):
        client.gather([done])
    with pytest.raises(SerializationError, match=r"in the task, use get_client\(\)"):
        client.submit(abs, client)
