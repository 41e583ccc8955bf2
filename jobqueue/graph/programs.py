"""What a step of a graph calls: a function, or a program of several calls.

A task may stand for several calls: those nested in its arguments, or what dask has fused into one.
They are written down as a `Program`, in which arguments are numbers, so that all tasks of one kind
share one program, which is pickled once. What differs between them are its parameters, the
arguments of the step: data, and a `Ref` wherever the result of another step is meant. While a
step is pickled for a worker, each `Ref` records itself and becomes the value there
(`jobqueue.protocol.references`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from jobqueue.errors import SerializationError
from jobqueue.protocol.references import reduce_reference


class Ref:
    """The result of another step.

    Attributes
    ----------
    of
        That step's key in the graph.
    key
        The key of its task, once it has one.
    """

    __slots__ = ("key", "of")

    key: str

    def __init__(self, of: Hashable) -> None:
        self.of = of

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_reference(self, _nobody)

    def __repr__(self) -> str:
        return f"Ref({self.of!r})"


def _nobody(key: str) -> Any:
    raise SerializationError(f"the result of {key!r} is only known while its graph runs")


class Call(NamedTuple):
    """One call of a program.

    Parameters
    ----------
    function
        What is called.
    args
        Its arguments: n ≥ 0 is the program's parameter n, and n < 0 the result of its call ~n.
    names
        Names of the last of these, if they are keyword arguments.
    """

    function: Callable[..., Any]
    args: tuple[int, ...]
    names: tuple[str, ...] = ()


class Program:
    """Calls, one after the other; what the last returns is the result.

    Parameters
    ----------
    calls
        The calls.

    Examples
    --------
    >>> program = Program([Call(abs, (0,)), Call(max, (-1, 1))])  # max(abs(a), b)
    >>> program(-7, 5)
    7
    """

    __slots__ = ("calls",)

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = tuple(calls)

    @property
    def __name__(self) -> str:
        """That of the last function which is not there to build a container."""
        functions = [call.function for call in self.calls if call.function not in _BUILDERS]
        last = functions[-1] if functions else self.calls[-1].function
        last = getattr(last, "func", last)
        return str(getattr(last, "__name__", type(last).__name__))

    def __call__(self, *parameters: Any) -> Any:
        """Run it."""
        results: list[Any] = []
        for function, args, names in self.calls:
            values = [parameters[n] if n >= 0 else results[~n] for n in args]
            if names:
                first = len(values) - len(names)
                named = dict(zip(names, values[first:], strict=True))
                results.append(function(*values[:first], **named))
            else:
                results.append(function(*values))
        return results[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Program, ([tuple(call) for call in self.calls],)


def value(value: Any) -> Any:
    """Return what it is given: the function of steps that are data."""
    return value


def call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function that is too large to be sent as one, and is data."""
    return function(*args, **kwargs)


def make_list(*items: Any) -> list[Any]:
    """Return its arguments as a list."""
    return list(items)


def make_tuple(*items: Any) -> tuple[Any, ...]:
    """Return its arguments as a tuple."""
    return items


def make_set(*items: Any) -> set[Any]:
    """Return its arguments as a set."""
    return set(items)


def make_dict(*items: Any) -> dict[Any, Any]:
    """Return a dict of keys and values, in turns."""
    return dict(zip(items[::2], items[1::2], strict=True))


_BUILDERS = (value, make_list, make_tuple, make_set, make_dict)
