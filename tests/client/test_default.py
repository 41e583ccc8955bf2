"""Which client dask computes with, whatever users and clients write into its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.client.default import Default, Standing
from jobqueue.errors import ClientClosed

dask = pytest.importorskip("dask")

NOTHING = "nothing"


class Opened:
    """Of a client, all that matters here."""

    asynchronous = False
    _open = True

    def get(self, dsk: Any, keys: Any) -> Any:
        """Say who was asked."""
        return self


@pytest.fixture(autouse=True)
def nobodys_default() -> Iterator[None]:
    """The configuration without what clients of other tests have put there."""
    with dask.config.set({"scheduler": None, "dataframe.shuffle.method": None}):
        del dask.config.config["scheduler"]
        yield


def chosen() -> Any:
    """Return what dask computes with: a client, a scheduler of its own, or what it likes."""
    from dask.base import get_scheduler, named_schedulers

    get = get_scheduler()
    if isinstance(get, Standing):
        return get({}, [])
    return next((name for name in ("sync", "threads") if named_schedulers[name] is get), NOTHING)


class Block:
    """A block in which a scheduler was set, or all that is outside of blocks.

    It ends by putting back what there was: our own object, if that stood there, which then stands
    for the clients of the block, too, as they are open still; otherwise it hides them.
    """

    def __init__(self, says: str) -> None:
        self.says = says
        self.shown: list[Opened] = []
        self.hidden: list[Opened] = []
        self.stands = False


class Model:
    """What is expected."""

    def __init__(self) -> None:
        self.opened: list[Opened] = []
        self.blocks = [Block(NOTHING)]

    def open(self, client: Opened) -> None:
        block = self.blocks[-1]
        if not block.stands:
            block.hidden += block.shown
            block.shown, block.stands = [], True
        block.shown.append(client)
        self.opened.append(client)

    def close(self, client: Opened) -> None:
        self.opened.remove(client)
        block = self.blocks[-1]
        block.stands = block.stands and self._anybody(block)

    def leave(self) -> None:
        ended = self.blocks.pop()
        self.blocks[-1].shown += ended.shown + ended.hidden

    def expected(self) -> Any:
        block = self.blocks[-1]
        if block.stands and self._anybody(block):
            return self.opened[-1]
        block.stands = False
        return block.says

    def _anybody(self, block: Block) -> bool:
        return any(client in self.opened for client in block.shown)


STEPS = st.lists(
    st.sampled_from(["open", "open", "look", "look", "sync", "threads", "end", "end"])
    | st.integers(0, 3).map(lambda number: ("close", number)),
    min_size=12,
    max_size=40,
)


@settings(max_examples=200)
@given(STEPS)
def test_blocks_and_clients_in_any_order(steps: list[Any]):
    """The newest client that is open, or what the block says, or nothing: never what is past."""
    default, model, blocks = Default(), Model(), ExitStack()
    ends: list[Any] = []
    with blocks:
        for step in steps:
            if step == "open":
                client = Opened()
                default.add(client)  # type: ignore[arg-type]
                model.open(client)
            elif step == "end" and ends:
                ends.pop().__exit__(None, None, None)
                model.leave()
            elif step in ("sync", "threads"):
                ends.append(dask.config.set(scheduler=step))
                model.blocks.append(Block(step))
            elif type(step) is tuple and model.opened:
                gone = model.opened[step[1] % len(model.opened)]
                gone._open = False
                default.remove(gone)  # type: ignore[arg-type]
                model.close(gone)
            elif step == "look":
                assert chosen() == model.expected()
        assert chosen() == model.expected()
        for client in list(model.opened):
            default.remove(client)  # type: ignore[arg-type]
        while ends:
            ends.pop().__exit__(None, None, None)
        assert chosen() == NOTHING
        assert "scheduler" not in dask.config.config
        assert dask.config.get("dataframe.shuffle.method") is None


def test_a_client_that_was_made_in_a_block_and_closed_after_it():
    """The one before it is the default again, and nothing is left after that."""
    default, first, second = Default(), Opened(), Opened()
    default.add(first)  # type: ignore[arg-type]
    with dask.config.set(scheduler="threads"):
        default.add(second)  # type: ignore[arg-type]
        assert chosen() is second
    assert chosen() is second
    default.remove(second)  # type: ignore[arg-type]
    assert chosen() is first
    default.remove(first)  # type: ignore[arg-type]
    assert "scheduler" not in dask.config.config


def test_a_block_that_puts_back_what_stands_for_nobody():
    """All clients were closed inside it: dask computes by itself, or as was said before."""
    default = Default()
    for says in (NOTHING, "sync"):
        if says != NOTHING:
            dask.config.set(scheduler=says)
        client = Opened()
        default.add(client)  # type: ignore[arg-type]
        with dask.config.set(scheduler="threads"):
            default.remove(client)  # type: ignore[arg-type]
        kept = dask.config.get("scheduler")
        assert chosen() == says
        with pytest.raises(ClientClosed, match="no open client"):
            kept({}, [])
    del dask.config.config["scheduler"]
