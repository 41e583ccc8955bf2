"""Tasks that can be run now, and their arguments."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.errors import SerializationError
from jobqueue.protocol.references import resolve
from jobqueue.protocol.serialize import dumps
from jobqueue.worker.items import InputGone, Inputs, Item, arguments_of
from jobqueue.worker.store import Store


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


def test_inputs_stand_in_their_places():
    """Those of the store and those that came along, however deep."""
    store = Store({})
    store.put("large", [1, 2, 3])
    inputs = Inputs(("large",), (("small", dumps(10)),))
    item = Item("t", b"f", dumps((Input("small"), {"deep": [Input("large")]})), inputs)
    assert arguments_of(item, inputs, store) == (10, {"deep": [[1, 2, 3]]})


def test_an_input_that_is_gone_is_named():
    """The task is handed back, and computed somewhere once the input is to be had again."""
    inputs = Inputs(("freed",), ())
    with pytest.raises(InputGone, match="freed"):
        arguments_of(Item("t", b"f", dumps(()), inputs), inputs, Store({}))


def test_garbage_is_an_error_of_the_task():
    """Of this one only."""
    inputs = Inputs((), (("small", b"garbage"),))
    with pytest.raises(SerializationError):
        arguments_of(Item("t", b"f", dumps(()), inputs), inputs, Store({}))
