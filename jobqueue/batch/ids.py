"""Job ids: in what a submit command printed, written short, and in the names of logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Return a log's path for a pattern, in which `%J` and its like stand for something.

    Examples
    --------
    >>> filled("logs/%x-%J.out", {"x": "w", "J": "7"})
    'logs/w-7.out'
    """
    return re.sub(r"%([A-Za-z%])", lambda match: values.get(match[1], match[0]), pattern)


def whole_line(pattern: re.Pattern[str], output: str) -> re.Match[str] | None:
    """Return the last line of the output that matches as a whole, blanks around it apart.

    A batch system prints the id last; what a site's wrapper or login script prints comes before.
    """
    lines = (pattern.fullmatch(line.strip(" \t\r")) for line in reversed(output.split("\n")))
    return next((match for match in lines if match), None)


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as runs (first, last).

    Examples
    --------
    >>> runs([3, 1, 2, 7])
    [(1, 3), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def range_texts(numbers: Iterable[int]) -> list[str]:
    """Return sorted numbers as `first-last` texts.

    Examples
    --------
    >>> range_texts([3, 1, 2, 7])
    ['1-3', '7']
    """
    return [f"{a}" if a == b else f"{a}-{b}" for a, b in runs(numbers)]
