"""What users' own directives say that their cluster has to know as well: a row a batch system.

How long a job may run: by that its agent hands over in time. And that what is submitted is not one
job but several: a cluster would know the first of them only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

NO_LIMIT: Final = frozenset({"0", "-1", "unlimited", "infinite", "infinity"})
"""What stands for no limit but the site's."""


class TimeLimit(NamedTuple):
    """How long a job may run, as one of the directives says it.

    Parameters
    ----------
    directive
        All of it.
    value
        The time as it stands there.
    unit
        Seconds for which a bare number in it stands; 0 for those that the batch system counts in.
    both
        Whether the walltime counts as well, so that the shorter of the two holds.
    trouble
        Why it cannot be known what it comes to; "" if it can.
    """

    directive: str
    value: str
    unit: int = 0
    both: bool = False
    trouble: str = ""


# All patterns but those of attributes are for a directive's words, a line each, without their
# quotes: what is quoted is a value, and none of its words an option.
_RESOURCE: Final = r"(?:^|\n)-l\n?(?:[^\n]*,)?{name}=(?P<value>[^\n,]+)"

# Of a directive that may hold several options.
_TIMES: Final[Mapping[str, re.Pattern[str]]] = {
    "slurm": re.compile(r"(?:^|\n)(?:-t\n?|--time[=\n])(?P<value>[^\n]+)"),
    "pbs": re.compile(_RESOURCE.format(name="walltime")),
    "moab": re.compile(_RESOURCE.format(name="walltime")),
    "sge": re.compile(_RESOURCE.format(name="h_rt")),
    # Not -We, which is an estimate; a host may follow, by whose speed the time is counted.
    "lsf": re.compile(r"(?:^|\n)-W\n?(?P<value>\d[^\n/]*)"),
}

_ATTRIBUTE: Final = re.compile(r"(?:\+|my\.)?(?P<name>\w+)\s*=\s*(?P<value>.*)", re.IGNORECASE)

# HTCondor's own (allowed_…), and what sites have pools of machines go by; seconds of one unit.
_ATTRIBUTES: Final[Mapping[str, int]] = {
    "allowed_job_duration": 1,
    "allowed_execute_duration": 1,
    "maxruntime": 1,
    "requestruntime": 1,
    "requestwalltime": 1,
    "maxwalltimemins": 60,
}

# Directives that have a say in it without saying how long.
_TROUBLES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "oar": (
        re.compile(r"(?:^|\n)(?:-l|--resource\b)"),
        "is a second request beside the job's own, of which OAR grants one or the other; say it by "
        "resource_spec and walltime",
    ),
    "htcondor": (
        re.compile(r"^periodic_?remove\s*=", re.IGNORECASE),
        "takes the place of the line that ends jobs when their walltime is over; leave one of the "
        "two out",
    ),
}

_ARRAYS: Final[Mapping[str, re.Pattern[str]]] = {
    "slurm": re.compile(r"(?:^|\n)(?:-a\n?\d|--array\b)"),
    # -J is PBS's, -t TORQUE's and Moab's.
    "pbs": re.compile(r"(?:^|\n)-[Jt]\n?\d"),
    "moab": re.compile(r"(?:^|\n)-[Jt]\n?(?:\d|[^\n]+\[)"),
    "sge": re.compile(r"(?:^|\n)-t\n?\d"),
    "lsf": re.compile(r"(?:^|\n)-J\n?[^\n]*\["),
    "oar": re.compile(r"(?:^|\n)--array\b"),
    "htcondor": re.compile(r"^queue\b", re.IGNORECASE),
}


def time_limit(system: str, directives: Sequence[str]) -> TimeLimit | None:
    """Return how long directives let a job run: the last one counts; None if none says it.

    Examples
    --------
    >>> time_limit("slurm", ["-t 10", "--exclusive --time=1-0"]).value
    '1-0'
    >>> time_limit("slurm", ["--time-min=5"]) is None
    True
    """
    words = map(_words, directives)
    texts = list(_hard(words) if system == "sge" else words)
    both = zip(reversed(directives), reversed(texts), strict=True)
    return next(filter(None, (_limit(system, *each) for each in both)), None)


def _words(directive: str) -> str:
    """Return the words of a directive, one in each line, as the batch system takes them."""
    try:
        words = shlex.split(directive)
    except ValueError:  # a quote without its second one
        words = directive.split()
    return "\n".join(words)


def _hard(texts: Iterable[str]) -> Iterator[str]:
    """Leave out what SGE takes for a wish: all from `-soft` on, in later lines too, to `-hard`."""
    soft = False
    for text in texts:
        kept = []
        for word in text.split("\n"):
            if word in ("-soft", "-hard"):
                soft = word == "-soft"
            elif not soft:
                kept.append(word)
        yield "\n".join(kept)


def _limit(system: str, directive: str, words: str) -> TimeLimit | None:
    if (trouble := _TROUBLES.get(system)) and trouble[0].search(words):
        return TimeLimit(directive, "", trouble=trouble[1])
    if system == "htcondor":
        match = _ATTRIBUTE.fullmatch(directive.strip())
        if match is None or (unit := _ATTRIBUTES.get(match["name"].lower())) is None:
            return None
        return TimeLimit(directive, match["value"].strip(), unit, both=True)
    found = list(_TIMES[system].finditer(words)) if system in _TIMES else []
    return TimeLimit(directive, found[-1]["value"].strip(" '\"")) if found else None


def array_in(system: str, directives: Sequence[str]) -> str:
    """Return the directive that makes one submission several jobs, "" if none does.

    Examples
    --------
    >>> array_in("slurm", ["--exclusive", "--array=0-3"]), array_in("lsf", ["-J name"])
    ('--array=0-3', '')
    """
    pattern = _ARRAYS.get(system)
    return next((each for each in directives if pattern and pattern.search(_words(each))), "")
