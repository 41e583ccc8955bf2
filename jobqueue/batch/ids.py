"""Job ids, in what a submit command printed, written short, and in the names of logs; and marks.

A mark is a word that one submission has for itself, in its jobs' name if nowhere else: by it they
are found when the command that submitted them did not answer.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping

_MARK = re.compile(r"(?<![A-Za-z0-9])jq[0-9a-f]{12}(?![A-Za-z0-9])")


def new_mark() -> str:
    """Return a mark for a submission: short, for some sites show and allow few characters."""
    return f"jq{secrets.token_hex(6)}"


def mark_in(text: str) -> str:
    """Return the mark in a job's name, or in whatever else may hold one; "" if there is none.

    Examples
    --------
    >>> mark_in("dask-worker-jq0123456789ab[3]"), mark_in("dask-worker")
    ('jq0123456789ab', '')
    """
    found = _MARK.search(text)
    return found[0] if found else ""


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


def by_array(
    job_ids: Iterable[str], element: re.Pattern[str]
) -> tuple[list[str], dict[tuple[str, ...], list[int]]]:
    """Return the ids that are no elements of arrays, and the indices of those that are, by array.

    Parameters
    ----------
    job_ids
        Ids.
    element
        Matches that of an element. Its group `index` is the index; its other named groups tell the
        array.

    Examples
    --------
    >>> by_array(["7", "5_0", "5_4"], re.compile(r"(?P<array>\\d+)_(?P<index>\\d+)"))
    (['7'], {('5',): [0, 4]})
    """
    plain: list[str] = []
    arrays: dict[tuple[str, ...], list[int]] = {}
    for job_id in job_ids:
        match = element.fullmatch(job_id)
        if match is None:
            plain.append(job_id)
        else:
            groups = match.groupdict()
            index = int(groups.pop("index"))
            arrays.setdefault(tuple(groups.values()), []).append(index)
    return plain, arrays


def range_texts(numbers: Iterable[int]) -> list[str]:
    """Return sorted numbers as `first-last` texts.

    Examples
    --------
    >>> range_texts([3, 1, 2, 7])
    ['1-3', '7']
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]
