"""How calls are named and pickled, without any cluster."""

from __future__ import annotations

import functools
import itertools
import operator
import threading

import pytest

from jobqueue.client.calls import (
    RECENT,
    Functions,
    Keys,
    check_key,
    content_key,
    dumps_arguments,
    function_name,
)
from jobqueue.errors import ConfigError, SerializationError
from jobqueue.protocol.payload import Payload
from jobqueue.protocol.serialize import loads


@pytest.fixture
def sent():
    """What `Functions` has sent: id, name and pickle."""
    return []


@pytest.fixture
def functions(sent):
    """Functions that send to `sent`."""
    return Functions(sent.append)


def test_a_function_is_sent_once(functions, sent):
    """The second time its id is enough; an equal pickle counts as the same function."""
    fid = functions.name(operator.add)
    assert functions.name(operator.add) == fid
    assert [(item[0], item[1]) for item in sent] == [(fid, "add")]
    assert loads(sent[0][2]) is operator.add
    assert functions.name(functools.partial(int, base=2)) == functions.name(
        functools.partial(int, base=2)
    )
    assert len(sent) == 2


def test_a_function_is_sent_before_its_id_is_known(sent):
    """Whoever learns the id may submit at once: the function is on its way."""
    order = []

    def send(item):
        order.append("sent")
        assert not functions._known

    functions = Functions(send)
    functions.name(operator.add)
    assert order == ["sent"]


def test_functions_are_forgotten_with_their_objects(sent):
    """Once no function object of a pickle is left, the scheduler is told; then it is sent again."""
    forgotten = []
    functions = Functions(sent.append, forgotten.extend)
    first, second = eval("lambda: 1"), eval("lambda: 1")
    fid = functions.name(first)
    assert functions.name(second) == fid
    del first
    functions.sweep()
    assert not forgotten
    del second
    functions.sweep()
    assert forgotten == [fid]
    assert not functions._known
    assert functions.name(eval("lambda: 1")) == fid
    assert len(sent) == 2


def test_some_functions_without_an_identity_are_remembered(sent):
    """Partials are pickled at each call; the pickles of the last ones stay at the scheduler."""
    forgotten = []
    functions = Functions(sent.append, forgotten.extend)
    fids = [functions.name(functools.partial(pow, number)) for number in range(RECENT)]
    assert functions.name(functools.partial(pow, 0)) == fids[0]
    with functions.keeping(functools.partial(pow, 1)) as kept:
        for number in range(RECENT):
            functions.name(functools.partial(divmod, number))
        assert kept == fids[1]
        assert set(forgotten) == {fids[0], *fids[2:]}
    assert set(forgotten) == set(fids)
    assert len(sent) == 2 * RECENT


def test_a_key_is_text():
    """A tuple is the text of it, as others write keys; anything else is shown in the message."""
    assert check_key("load-7") == "load-7"
    assert check_key(("load", 7)) == "('load', 7)"
    for key in (3, "", (), b"load"):
        with pytest.raises(ConfigError, match="a key is text, such as 'load-7', or a tuple"):
            check_key(key)


def test_content_keys():
    """A name, and what tells the content from all other."""
    assert content_key("load", b"\x01\xab") == "load-01ab"


@pytest.mark.parametrize("thing", [None, 5, "text"])
def test_what_cannot_be_called(functions, thing):
    """It is shown in the message."""
    with pytest.raises(SerializationError, match="is not callable"):
        functions.name(thing)


def test_function_names():
    """A short readable name of anything callable."""

    class Callable:
        def __call__(self):
            return None

        def method(self):
            return None

    assert function_name(len) == "len"
    assert function_name(Callable) == "Callable"
    assert function_name(Callable()) == "Callable"
    assert function_name(Callable().method) == "method"
    assert function_name(functools.partial(functools.partial(pow, 2), 3)) == "pow"
    assert function_name(lambda: 0) == "lambda"


def test_keys():
    """Names with numbers in hexadecimal; those in use are passed over."""
    taken = {"a-1", "a-3"}
    keys = Keys(0, taken)
    assert [keys.new("a") for _ in range(3)] == ["a-0", "a-2", "a-4"]
    assert list(itertools.islice(keys.series("b"), 2)) == ["b-5", "b-6"]
    assert Keys(0).new("f") != Keys(1).new("f")


def test_arguments():
    """A tuple, or a tuple and a dict."""
    assert loads(dumps_arguments((1, 2), {}, "f")) == (1, 2)
    assert loads(dumps_arguments((), {"a": 1}, "f")) == [(), {"a": 1}]


def test_the_argument_that_cannot_be_pickled_is_named():
    """By its place or keyword."""
    lock = threading.Lock()
    with pytest.raises(SerializationError, match=r"^argument 2 of f: .*lock"):
        dumps_arguments((1, lock), {"a": lock}, "f")
    with pytest.raises(SerializationError, match=r"^argument 'a' of f: .*lock"):
        dumps_arguments((1,), {"a": lock}, "f")


def test_large_bytes_among_arguments_are_not_copied_into_the_pickle() -> None:
    """By place and by name they travel beside it, and the task gets bytes."""
    data = b"x" * 1_000_000
    packed = dumps_arguments((data, 1), {"more": data}, "f")
    assert isinstance(packed, Payload)
    assert len(packed.head) < 500
    assert loads(packed) == [(data, 1), {"more": data}]
