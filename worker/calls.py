"""Calls that are no tasks: functions that run beside the tasks, and methods of actors.

Each call of a function has a thread of its own, so that it runs while all task threads are busy; an
actor has one thread, in which its methods run in the order in which they were called. What is a
coroutine runs in the worker's event loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import CoroutineType
from typing import Any

from jobqueue.errors import DataLost
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.running import Host, running
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.link import Link
from jobqueue.worker.outcomes import failure_of

WORKER_PARAMETERS = ("worker", "dask_worker")
"""A called function with a parameter of such a name, that it was given nothing for, gets the
worker."""


class Calls:
    """Answers a scheduler's CALLs. Lives in the worker's event loop.

    Parameters
    ----------
    host
        The worker, as called functions find it.
    link
        The way to the scheduler.
    """

    def __init__(self, host: Host, link: Link) -> None:
        self._host = host
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._actors: dict[str, _Actor] = {}
        self._unanswered: set[_Asked] = set()

    @property
    def idle(self) -> bool:
        """Whether all calls are answered."""
        return not self._unanswered

    @property
    def has_actors(self) -> bool:
        """Whether there are objects that live here and nowhere else."""
        return bool(self._actors)

    def call(self, number: int, call: Serialized, actor: str | None) -> None:
        """Take in a CALL."""
        asked = _Asked(number, call)
        self._unanswered.add(asked)
        if actor is None:
            start_thread("jobqueue-call", self._answer, asked, None, self._call_function)
        elif actor in self._actors:
            self._actors[actor].calls.put(asked)
        else:
            self._refuse(asked, actor)

    def keep_actor(self, key: str, instance: object) -> None:
        """Keep an object whose methods will be called; from any thread."""
        self.drop_actor(key)
        actor = self._actors[key] = _Actor(key, instance)
        start_thread("jobqueue-actor", self._serve, actor)

    def drop_actor(self, key: str) -> None:
        """Let go of an actor, if there is one; calls that wait for it fail."""
        actor = self._actors.pop(key, None)
        if actor is not None:
            actor.dropped = True
            actor.calls.put(None)

    def clear(self) -> None:
        """Let go of all actors, and answer nobody who has called until now."""
        self._unanswered.clear()
        for key in list(self._actors):
            self.drop_actor(key)

    def _refuse(self, asked: _Asked, actor: str) -> None:
        text = (
            f"actor {actor!r} is not on worker {self._host.name!r} any more: nobody held a future "
            "of it, or the worker was restarted; create it again"
        )
        self._tell(asked, None, Failure.of(DataLost(text)))

    def _tell(self, asked: _Asked, value: Serialized | None, failure: Failure | None) -> None:
        if asked in self._unanswered:
            self._unanswered.discard(asked)
            self._link.say((m.CALLED, asked.number, value, failure))

    # -- in threads --------------------------------------------------------------------------------

    def _serve(self, actor: _Actor) -> None:
        """Run an actor's methods."""
        for asked in iter(actor.calls.get, None):
            if actor.dropped:
                self._link.in_loop(self._refuse, asked, actor.key)
            else:
                method = functools.partial(self._call_method, actor.instance)
                self._answer(asked, actor.key, method)

    def _answer(self, asked: _Asked, key: str | None, run: Callable[[Serialized], Any]) -> None:
        """Run a call and tell what came of it."""
        running.host, running.key = self._host, key
        value = failure = None
        try:
            value = dumps(run(asked.call))
        except BaseException as error:
            failure = failure_of(error, self._host.name)
        self._link.in_loop(self._tell, asked, value, failure)

    def _call_function(self, call: Serialized) -> Any:
        function, args, kwargs = loads(call)
        return self._finish(function(*args, **self._with_worker(function, args, kwargs)))

    def _call_method(self, instance: object, call: Serialized) -> Any:
        name, args, kwargs = loads(call)
        attribute = getattr(instance, name)
        if not callable(attribute) and not args and not kwargs:
            return attribute
        return self._finish(attribute(*args, **kwargs))

    def _finish(self, value: Any) -> Any:
        if type(value) is not CoroutineType:
            return value
        return asyncio.run_coroutine_threadsafe(value, self._loop).result()

    def _with_worker(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            signature = inspect.signature(function)
            given = signature.bind_partial(*args, **kwargs).arguments
        except (TypeError, ValueError):  # calling it says better what is wrong, if anything is
            return kwargs
        wants = [name for name in WORKER_PARAMETERS if name in signature.parameters]
        return {**kwargs, **{name: self._host for name in wants if name not in given}}


class _Asked:
    """A CALL; known by itself, since another scheduler may use the same numbers."""

    __slots__ = ("call", "number")

    def __init__(self, number: int, call: Serialized) -> None:
        self.number = number
        self.call = call


class _Actor:
    __slots__ = ("calls", "dropped", "instance", "key")

    def __init__(self, key: str, instance: object) -> None:
        self.key = key
        self.instance = instance
        self.calls: SimpleQueue[_Asked | None] = SimpleQueue()
        self.dropped = False


def start_thread(name: str, function: Callable[..., object], *arguments: Any) -> None:
    """Run a function in a thread that does not keep the process from ending."""
    threading.Thread(target=function, args=arguments, name=name, daemon=True).start()
