"""What `qstat -f` prints, in JSON or in wrapped lines, as plain text attributes of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jobqueue.errors import BatchSystemError

Attributes = Mapping[str, str]
"""Attribute -> text; a nested one is named with a dot (`Resource_List.ncpus`)."""

_JOB = re.compile(r"Job Id:\s*(\S+)")
_ATTRIBUTE = re.compile(r"[ ]{4}(?P<name>[A-Za-z_][\w.]*) = (?P<value>.*)")


def parse_json(output: str) -> dict[str, Attributes]:
    """Read `qstat -f -F json`, which has no `Jobs` if there are none.

    Raises
    ------
    BatchSystemError
        That is no JSON.
    """
    try:
        answer = json.loads(output, strict=False)
    except ValueError as error:
        raise BatchSystemError(f"qstat printed broken JSON: {error}", output=output) from None
    jobs = answer.get("Jobs", {})
    return {str(job_id): _flat(attributes) for job_id, attributes in jobs.items()}


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

    Lines that are neither, and whatever stands before the first job, are passed over.

    Examples
    --------
    >>> parse_plain("Job Id: 7.pbs\\n    job_state = R\\n    comment = on \\n\\tnode1\\n")
    {'7.pbs': {'job_state': 'R', 'comment': 'on node1'}}
    """
    jobs: dict[str, Attributes] = {}
    job: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if header := _JOB.fullmatch(line.rstrip()):
            job, name = {}, ""
            jobs[header[1]] = job
        elif attribute := _ATTRIBUTE.fullmatch(line):
            name = attribute["name"]
            job[name] = attribute["value"]
        elif line.startswith("\t") and name:
            job[name] += line[1:]
        else:
            name = ""
    return jobs
