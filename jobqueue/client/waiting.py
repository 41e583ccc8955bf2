"""`wait`: until several futures have ended, or the first of them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in
from jobqueue.client.states import pending
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.errors import ConfigError

if TYPE_CHECKING:
    from jobqueue.client.client import Client

ALL_COMPLETED: Final = "ALL_COMPLETED"
FIRST_COMPLETED: Final = "FIRST_COMPLETED"


class DoneAndNotDone(NamedTuple):
    """What `wait` returns: the futures that have ended, and the others."""

    done: set[Future]
    not_done: set[Future]

    def __await__(self) -> Generator[None, None, DoneAndNotDone]:
        """Let ``await wait([])`` work: there is nothing that tells which client is meant."""
        yield from ()
        return self


def wait(
    futures: Future | Iterable[Any],
    timeout: Timeout = None,
    return_when: str = ALL_COMPLETED,
) -> Any:
    """Wait for several tasks to end.

    Parameters
    ----------
    futures
        Futures of one client, or collections of them.
    timeout
        Seconds to wait, or None for as long as it takes.
    return_when
        ``"ALL_COMPLETED"`` or ``"FIRST_COMPLETED"``.

    Returns
    -------
    DoneAndNotDone
        Two sets. To be awaited if the client is asynchronous.

    Raises
    ------
    TimeoutError
        They have not ended within `timeout`.

    Examples
    --------
    >>> done, not_done = wait(client.map(abs, range(3)))  # doctest: +SKIP
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise ConfigError(
            f"return_when={return_when!r}: it is {ALL_COMPLETED!r} or {FIRST_COMPLETED!r}"
        )
    limit = seconds(timeout)
    wanted = futures_in(futures)
    enough = 1 if return_when == FIRST_COMPLETED else 0
    if not wanted:
        return DoneAndNotDone(set(), set())
    client = _client_of(wanted)
    states = [future._state for future in wanted]

    def answer() -> DoneAndNotDone:
        done = {future for future in wanted if future.done()}
        return DoneAndNotDone(done, set(wanted) - done)

    async def wait_async() -> DoneAndNotDone:
        if not await waits.wait(states, limit, enough):
            late = pending(states)
            raise _not_in_time(
                late, len(wanted), limit, late and await waits.reasons.why(late[0], limit)
            )
        return answer()

    waits = client._waits
    if client.asynchronous:
        return wait_async()
    if not waits.block(states, limit, enough):
        late = pending(states)
        raise _not_in_time(
            late, len(wanted), limit, late and waits.reasons.why_blocking(late[0], limit)
        )
    return answer()


def _not_in_time(late: Sequence[str], among: int, limit: float | None, why: object) -> TimeoutError:
    first = f"; {late[0]} {why}" if why else ""
    return TimeoutError(f"{len(late)} of {among} tasks have not ended within {limit:g} s{first}")


def _client_of(futures: Sequence[Future]) -> Client:
    client = futures[0].client
    if any(future.client is not client for future in futures):
        text = "wait for those of one client, or use as_completed"
        raise ConfigError(f"these futures belong to several clients: {text}")
    return client
