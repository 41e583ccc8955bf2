"""The states of tasks, and every change between them."""

from __future__ import annotations

from typing import Final

WAITING: Final = "waiting"
READY: Final = "ready"
ASSIGNED: Final = "assigned"
MEMORY: Final = "memory"
RELEASED: Final = "released"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
FORGOTTEN: Final = "forgotten"

TRANSITIONS: Final = {
    (WAITING, READY): "it has no inputs, or the last missing one came to memory",
    (WAITING, MEMORY): "it is a value that a client had; or a worker that was silent had ended it",
    (WAITING, FAILED): "an input failed, or can never be had; or too many workers died of it",
    (WAITING, CANCELLED): "it, or an input, was cancelled",
    (WAITING, RELEASED): "nobody needs it any more",
    (READY, ASSIGNED): "a worker had room; or one that was silent still has it",
    (READY, WAITING): "an input was lost before it was placed",
    (READY, MEMORY): "a worker that was silent had ended it",
    (READY, CANCELLED): "it, or an input, was cancelled before it was placed",
    (READY, FAILED): "too many workers have died of it; or a report of the last one has come late",
    (READY, RELEASED): "nobody needs it any more",
    (ASSIGNED, MEMORY): "its worker ended it",
    (ASSIGNED, WAITING): (
        "its worker was lost, fell silent or handed it back; or it raised and has retries left"
    ),
    (ASSIGNED, FAILED): "it raised, or was on too many workers that died; or an input failed",
    (ASSIGNED, CANCELLED): "it, or an input, was cancelled while a worker had it",
    (ASSIGNED, RELEASED): "nobody needs it any more",
    (MEMORY, RELEASED): "nobody needs it any more; or all workers that held it are gone",
    (MEMORY, CANCELLED): "it was cancelled after it was done",
    (RELEASED, WAITING): "it is needed again: by a client, or by what is computed again",
    (RELEASED, FAILED): "the same, but it is a client's value or an actor, which no task can make",
    (RELEASED, FORGOTTEN): "nothing is left that was computed from it",
    (FAILED, RELEASED): "a client wants it to be tried again",
    (FAILED, MEMORY): "it is a client's value, was lost, and is there again",
    (FAILED, FORGOTTEN): "nobody asks for it any more",
    (CANCELLED, FORGOTTEN): "nobody asks for it any more",
    (CANCELLED, RELEASED): "a client submits it again",
    (CANCELLED, MEMORY): "it is a client's value, and a client scatters it again",
}
"""Every change of state a task can make, and when it happens. All begin as WAITING; what happens
to a task in one step may be several of these: one that is handed back is WAITING, then READY."""

UNFINISHED: Final = frozenset({WAITING, READY, ASSIGNED})
DEAD: Final = frozenset({FAILED, CANCELLED})
