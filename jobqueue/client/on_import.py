"""Something to be done as soon as a module of another library is imported, or now if it is.

Optional libraries are imported where they are used; but what tells them of us has to be done
whichever is imported first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    # What the import system calls need not be of its classes, which bring importlib.resources.
    from importlib.abc import Loader

Action = Callable[[ModuleType], object]


def on_import(name: str, action: Action) -> None:
    """Have something done with a module once it is there; the same again does no harm.

    Parameters
    ----------
    name
        The module's full name.
    action
        Called with it.
    """
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        action(module)
        return
    actions = _finder.actions.setdefault(name, [])
    if action not in actions:
        actions.append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    def __init__(self) -> None:
        self.actions: dict[str, list[Action]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that something is to be done with."""
        if fullname not in self.actions:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast(Any, _Loader(spec.loader, self.actions[fullname]))
        return spec


class _Loader:
    """Loads as another does, and then acts."""

    def __init__(self, loader: Loader, actions: list[Action]) -> None:
        self._loader = loader
        self._actions = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it, with its own loader in its place again; then act."""
        spec: Any = module.__spec__
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            action(module)


_finder = _Finder()
