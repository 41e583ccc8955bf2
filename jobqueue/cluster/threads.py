"""Doing what blocks (files, waiting for processes) beside the event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a helper thread; at the interpreter's exit, where none is left, here.

    A cluster that is still open then has to cancel its jobs, and may block for that.
    """
    call = functools.partial(function, *args, **kwargs)
    try:
        work = asyncio.get_running_loop().run_in_executor(None, call)
    except RuntimeError:  # no threads any more
        return call()
    return await work
