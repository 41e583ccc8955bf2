"""Tasks that can be run now, and their arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.references import resolving
from jobqueue.protocol.serialize import loads
from jobqueue.worker.store import Store


class Inputs(NamedTuple):
    """What a task needs besides its arguments.

    Parameters
    ----------
    stored, inline
        Its inputs: those in the store by key, and those that came with it.
    devices
        How many devices it takes of its worker while it runs.
    """

    stored: tuple[str, ...] = ()
    inline: tuple[tuple[str, Serialized], ...] = ()
    devices: float = 0.0


class Item(NamedTuple):
    """A task that can be run now. Most need nothing besides their arguments: `inputs` is None."""

    key: str
    fid: bytes
    arguments: Serialized
    inputs: Inputs | None


class InputGone(Exception):
    """An input of a task, named here, is not in the store any more."""


def arguments_of(item: Item, inputs: Inputs, store: Store) -> Any:
    """Return the arguments of an item with inputs: a tuple, or a list of a tuple and a dict.

    Raises
    ------
    InputGone
        One of the inputs was freed while the item waited: news that crossed on their way.
    SerializationError
        An input, or the arguments themselves, cannot be unpickled here.
    """
    values = {key: loads(value) for key, value in inputs.inline}
    for key in inputs.stored:
        try:
            values[key] = store.get(key)
        except KeyError:
            raise InputGone(key) from None
    with resolving(values):
        return loads(item.arguments)
