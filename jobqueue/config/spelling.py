"""Names as people write them, and which one they mean by one that there is not."""

from __future__ import annotations

from collections.abc import Iterable

ALIKE = 0.6
"""How alike names are, by difflib, of which one may be meant by the other."""


def normal(name: str) -> str:
    """The one spelling of a key or section name: ``-`` is ``_``."""
    return name.strip().replace("-", "_")


def nearest(name: str, names: Iterable[str], alike: float = ALIKE) -> str | None:
    """The most similar of `names`, if one is similar at all.

    Examples
    --------
    >>> nearest("Wall-Time", ["walltime", "memory"]), nearest("colour", ["walltime", "memory"])
    ('walltime', None)
    """
    import difflib  # only those who have misspelt something need it

    by_folded = {normal(candidate).lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(normal(name).lower(), by_folded, n=1, cutoff=alike)
    return by_folded[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a suggestion, or nothing.

    Examples
    --------
    >>> did_you_mean("walltme", ["walltime", "memory"])
    "; did you mean 'walltime'?"
    """
    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else ""
