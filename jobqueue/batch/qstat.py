"""What `qstat -f` prints, in JSON or in lines, as plain text attributes of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jobqueue.batch.ids import mark_in
from jobqueue.errors import BatchSystemError

Attributes = Mapping[str, str]
"""Attribute -> text; a nested one is named with a dot (`Resource_List.ncpus`)."""

MARK = "JOBQUEUE_MARK"
"""The variable that holds the mark of a job's submission."""

# The attribute that tells what a state leaves open: held by whom, waiting until when.
_TELLING: Mapping[str, str] = {"H": "Hold_Types", "W": "Execution_Time"}

_JOB = re.compile(r"Job Id:(?P<blank>\s)\s*(?P<id>\S+)\s*")
_ATTRIBUTE = re.compile(r"(?P<indent>\s+)(?P<name>[A-Za-z_][\w.]*) = (?P<value>.*)")


def is_json(output: str) -> bool:
    """Tell whether this can be read as JSON."""
    try:
        json.loads(output, strict=False)
    except ValueError:
        return False
    return True


def parse_json(output: str) -> dict[str, Attributes]:
    """Read `qstat -f -F json`, which has no `Jobs` if there are none.

    Raises
    ------
    BatchSystemError
        That is no such JSON.
    """
    try:
        answer = json.loads(output, strict=False)
        jobs = answer.get("Jobs", {})
        return {str(job_id): _flat(attributes) for job_id, attributes in jobs.items()}
    except (ValueError, AttributeError) as error:
        raise BatchSystemError(f"qstat printed broken JSON: {error}", output=output) from None


def _flat(attributes: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in attributes.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


def parse_plain(output: str) -> dict[str, Attributes]:
    """Read `qstat -f`: four blanks before an attribute, a tab before the rest of a long value.

    Slurm's wrappers put a tab before attributes, and after `Job Id:`, and wrap nothing. Lines that
    are none of these are passed over, as is whatever stands before the first job.

    Examples
    --------
    >>> parse_plain("Job Id: 7.pbs\\n    job_state = R\\n    comment = on \\n\\tnode1\\n")
    {'7.pbs': {'job_state': 'R', 'comment': 'on node1'}}
    """
    jobs: dict[str, Attributes] = {}
    job: dict[str, str] | None = None
    name, indent = "", ""
    for line in output.split("\n"):
        line = line.removesuffix("\r")
        if header := _JOB.fullmatch(line):
            job, name = {}, ""
            indent = "\t" if header["blank"] == "\t" else "    "
            jobs[header["id"]] = job
        elif job is None:
            continue
        elif (attribute := _ATTRIBUTE.fullmatch(line)) and attribute["indent"] == indent:
            name = attribute["name"]
            job[name] = attribute["value"]
        elif name and line.startswith("\t"):
            job[name] += line[1:]
        else:
            name = ""
    return jobs


def reason_of(attributes: Attributes) -> str:
    """Return why a job is where it is: by whom it is held, or until when, and its comment.

    Examples
    --------
    >>> reason_of({"job_state": "H", "Hold_Types": "u"})
    'Hold_Types = u'
    """
    name = _TELLING.get(attributes.get("job_state", ""), "")
    told = f"{name} = {attributes[name]}" if name in attributes else ""
    return "; ".join(filter(None, (told, attributes.get("comment", ""))))


def nodes_of(attributes: Attributes) -> str:
    """Return where a job runs: the hosts of `node1/0*4+node2/1`, without the places on them."""
    places = attributes.get("exec_host", "").split("+")
    return ",".join(dict.fromkeys(place.partition("/")[0] for place in places if place))


def mark_of(attributes: Attributes) -> str:
    """Return the mark among a job's variables, of which JSON has each by itself."""
    return mark_in(attributes.get(f"Variable_List.{MARK}") or attributes.get("Variable_List", ""))
