"""Graphs on the cluster: steps leave as tasks, and only what was asked for has futures here.

Tasks are sent in the order in which they are to be run, which is the order in which the scheduler
runs equals. All of them are wanted by this client until those that need them have been sent; after
that only the ones that were asked for are, so that results go when they have been used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from jobqueue.client.calls import dumps_arguments, function_name
from jobqueue.client.future import Future
from jobqueue.client.options import task_options
from jobqueue.client.submission import BATCH, Item, Options
from jobqueue.errors import SerializationError
from jobqueue.graph.dask_graph import annotations_around, no_collection
from jobqueue.graph.prepare import Prepared, prepare
from jobqueue.graph.programs import Ref
from jobqueue.graph.programs import value as as_it_is
from jobqueue.graph.steps import Step
from jobqueue.protocol import messages as m
from jobqueue.protocol import references
from jobqueue.protocol.failures import note

if TYPE_CHECKING:
    from jobqueue.client.client import Client
    from jobqueue.client.collections import Collections


def send_graph(client: Collections, dsk: Any, keys: Any) -> SentGraph:
    """Send a graph, with what it is annotated with as options of its tasks.

    Raises
    ------
    GraphError
        It is no graph, or has a cycle, or lacks a key.
    SerializationError
        A function or an argument cannot be pickled; the message names the key in the graph.
    ConfigError
        An annotation cannot be meant so.
    """
    prepared = prepare(dsk, keys)
    read = partial(_options_of, cluster=client.cluster)
    options_of = task_options_of(prepared.options, read, annotations_around())
    with no_collection():
        submission = GraphSubmission(client, prepared, options_of)
        return SentGraph(prepared, submission.send(), submission.sent)


class SentGraph:
    """A graph on its way; in a ``with`` block its results are waited for.

    However the wait ends, the futures are let go of then; and what a task raised is raised with a
    note that says which one it was, by its key in the graph. It is no generator's context: those
    make something else of a StopIteration.

    Parameters
    ----------
    prepared
        The graph.
    futures
        What was asked for, by key in the graph.
    sent
        The names of its tasks, in its order.
    """

    def __init__(
        self, prepared: Prepared, futures: Mapping[Hashable, Future], sent: Sequence[str]
    ) -> None:
        self._prepared = prepared
        self._futures = futures
        self._sent = sent

    def results(self, values: Iterable[Any]) -> Any:
        """Return values, in the order of the futures, in the nesting of what was asked for."""
        return self._prepared.results(dict(zip(self._futures, values, strict=True)))

    def futures(self) -> Any:
        """Return the futures in that nesting."""
        return self._prepared.results(self._futures)

    def __enter__(self) -> list[Future]:
        return list(self._futures.values())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        told = self._told() if isinstance(error, Exception) else None
        for future in self._futures.values():  # whoever holds a Ctrl-C's traceback holds them too
            future.release()
        if told is not None:
            raise told.with_traceback(traceback) from told.__cause__

    def _told(self) -> BaseException | None:
        """Return what a task raised, saying which; None if none did, or none of this graph."""
        failures = (future._state.failure for future in self._futures.values())
        failure = next((one for one in failures if one is not None), None)
        if failure is None or not failure.task or failure.task not in self._sent:
            return None  # it is of a future that the graph holds, say
        key = self._prepared.order[self._sent.index(failure.task)]
        told = failure.to_exception()
        note(told, f"in the task {key!r} of the graph")
        return told


class GraphSubmission:
    """Sends the steps of one graph.

    Parameters
    ----------
    client
        Whose tasks they will be.
    prepared
        The graph.
    options_of
        The options of a task, by its key in the graph; None for none.

    Attributes
    ----------
    sent
        The names of the tasks, in the graph's order; empty where a future stands for its key.
    """

    def __init__(
        self,
        client: Collections,
        prepared: Prepared,
        options_of: Callable[[Hashable], Options] = lambda key: None,
    ) -> None:
        self._own = cast("Client", client)
        self._submission = client._submission
        self._connection = client._connection
        self._prepared = prepared
        self._steps = prepared.graph.steps
        self._options_of = options_of
        self._outputs = set(prepared.outputs())
        self._fids: dict[int, tuple[bytes, str]] = {}
        self.sent: list[str] = []
        self._names: dict[Hashable, str] = {}  # of those that are wanted
        self._futures: dict[Hashable, Future] = {}
        self._uses = Counter(one for key in prepared.order for one in self._steps[key].inputs)

    def send(self) -> dict[Hashable, Future]:
        """Send everything; return the futures of what was asked for, by key in the graph.

        Raises
        ------
        SerializationError
            A function or an argument cannot be pickled; the message names the key in the graph.
        """
        order = self._prepared.order
        with ExitStack() as stack:
            try:
                for start in range(0, len(order), BATCH):
                    self._send_batch(order[start : start + BATCH], stack)
            except BaseException:
                for future in self._futures.values():
                    future.release()
                raise
            finally:
                self._release(list(self._names))  # of what ended too early, all that was sent
        return {key: self._futures[key] for key in self._prepared.outputs()}

    def _send_batch(self, keys: list[Hashable], stack: ExitStack) -> None:
        own_keys = self._submission._check_open()
        messages: list[tuple[bytes, Options, list[Item]]] = []
        outputs: list[tuple[Hashable, str]] = []
        alive: list[Any] = []
        for key in keys:
            step = self._steps[key]
            ref = self._prepared.graph.refs.get(key)
            if step.function is as_it_is and type(step.args[0]) is Future:
                self._stand_in(key, ref, step.args[0])
                self.sent.append("")
                continue
            fid, arguments, inputs = self._pack(key, step, stack, alive)
            name = own_keys.new(readable(key))
            if ref is not None:
                ref.key = name
            self._names[key] = name
            self.sent.append(name)
            if key in self._outputs:
                outputs.append((key, name))
            options = self._options_of(key)
            if messages and messages[-1][0] == fid and messages[-1][1] == options:
                messages[-1][2].append((name, arguments, inputs))
            else:
                messages.append((fid, options, [(name, arguments, inputs)]))
        states = self._connection.book.open_all([name for _, name in outputs])
        for (key, _), state in zip(outputs, states, strict=True):
            self._futures[key] = Future(self._own, state)
            del self._names[key]
        self._connection.say(*((m.SUBMIT, *message) for message in messages))
        self._release(self._used_up(keys))

    def _pack(
        self, key: Hashable, step: Step, stack: ExitStack, alive: list[Any]
    ) -> tuple[bytes, Any, tuple[str, ...] | None]:
        """Return what of a step travels: its function's id, its arguments, its inputs."""
        try:
            fid, name = self._function(step.function, stack)
            with references.recording() as found:
                arguments = dumps_arguments(step.args, step.kwargs or {}, name)
        except SerializationError as error:
            raise SerializationError(f"task {key!r}: {error}") from error.__cause__
        if not found:
            return fid, arguments, None
        futures = [one for one in found if type(one) is Future]
        inputs = dict.fromkeys(one.key for one in found if type(one) is Ref)
        if futures:
            alive.extend(futures)
            inputs.update(dict.fromkeys(self._submission._input_keys(self._own, futures)))
        return fid, arguments, tuple(inputs)

    def _function(self, function: Callable[..., Any], stack: ExitStack) -> tuple[bytes, str]:
        known = self._fids.get(id(function))
        if known is None:
            fid = stack.enter_context(self._submission._functions.keeping(function))
            known = self._fids[id(function)] = (fid, function_name(function))
        return known

    def _stand_in(self, key: Hashable, ref: Ref | None, future: Future) -> None:
        """Have a future, which the graph holds, stand for its key."""
        [name] = self._submission._input_keys(self._own, [future])
        if ref is not None:
            ref.key = name
        if key in self._outputs:
            self._futures[key] = Future(self._own, self._submission.want(name))

    def _used_up(self, keys: list[Hashable]) -> list[Hashable]:
        """Return the tasks of which all that need them have been sent, with these."""
        done, uses = [], self._uses
        for key in keys:
            for one in self._steps[key].inputs:
                uses[one] -= 1
                if not uses[one] and one in self._names:
                    done.append(one)
        return done

    def _release(self, keys: list[Hashable]) -> None:
        if keys:
            names = [self._names.pop(key) for key in keys]
            self._connection.say((m.RELEASE, names))


def readable(key: Hashable) -> str:
    """Return a key of a graph as the beginning of a task's name.

    Examples
    --------
    >>> readable(("sum-3fa", 0, 2))
    'sum-3fa-0-2'
    """
    if type(key) is str:
        return key
    return "-".join(map(str, key)) if type(key) is tuple else str(key)


def task_options_of(
    marks: Mapping[Hashable, dict[str, Any]],
    read: Callable[[Mapping[str, Any]], Options],
    around: Mapping[str, Any],
) -> Callable[[Hashable], Options]:
    """Return a function from keys to options.

    What has no annotation is read, too: options may be given to all tasks that are submitted here.

    Parameters
    ----------
    marks
        Annotations of keys.
    read
        Makes options of annotations.
    around
        Annotations of all, where a key has none of its own of that name.
    """
    of_others = read(around)

    def options_of(key: Hashable) -> Options:
        mark = marks.get(key)
        return of_others if mark is None else read({**around, **mark})

    return options_of


def _options_of(marks: Mapping[str, Any], cluster: object) -> dict[str, Any] | None:
    """Return what `dask.annotate` gave to a task as options of ours; the rest are tags."""
    given = dict(marks)
    return task_options(
        **{name: given.pop(name, None) for name in _OPTIONS},
        allow_other_workers=bool(given.pop("allow_other_workers", False)),
        actor=False,
        tags={name: str(one) for name, one in given.items()} or None,
        cluster=cluster,
    )


_OPTIONS = ("priority", "retries", "workers", "resources", "pool")
