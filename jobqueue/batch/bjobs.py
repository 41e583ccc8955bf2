"""What `bjobs` prints, in JSON or for readers (`-l`), as records of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobqueue.errors import BatchSystemError

ENDED_BY_SIGNAL = 128
"""An exit code above it stands for a signal: 137 is 9."""

_WRAPPED = "\n" + " " * 21  # how a long line of `bjobs -l` goes on
_JOB = re.compile(
    r"^Job <(?P<id>\d+)(?P<index>\[\d+\])?>,(?: Job Name <(?P<name>[^<>]*)>,)?", re.MULTILINE
)
_STATUS = re.compile(r"Status <(\w+)>")
_STARTED = re.compile(
    r"^(?P<when>\w{3} \w{3} [ \d]\d [\d:]{8}[^:]*): *(?:\[\d+\] )?[Ss]tarted "
    r"(?:\d+ Task\(s\) )?on (?:\d+ Hosts/Processors )?(?:Host\(s\) )?"
    r"(?P<hosts>(?:<[^<>]+>\s*)+)",
    re.MULTILINE,
)
_EXIT_CODE = re.compile(r"Exited with exit code (\d+)")
_SIGNAL = re.compile(r"Exited by signal (\d+)")
_TERMINATED = re.compile(r"(TERM_\w+:[^.;\n]*)")
_PENDING = re.compile(r"^ *PENDING REASONS:\n(?P<reasons>(?: ?\S.*\n?)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Record:
    """One job.

    Parameters
    ----------
    state
        LSF's own word.
    reason
        Why it is pending, or was ended.
    node
        Its hosts, without the numbers of slots on them.
    exit_code, signal
        How it ended.
    start
        When it started, as LSF writes it.
    name
        The job's name.
    """

    state: str
    reason: str = ""
    node: str = ""
    exit_code: int | None = None
    signal: int | None = None
    start: str = ""
    name: str = ""


def parse_json(output: str) -> dict[str, Record]:
    """Read `bjobs -json -o "jobid jobindex stat exec_host pend_reason exit_code ..."`.

    Raises
    ------
    BatchSystemError
        That is no such JSON.
    """
    try:
        records = json.loads(output, strict=False)["RECORDS"]
        # A job that is not there has an ERROR, and no state.
        return {_id(record): _record(record) for record in records if "STAT" in record}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BatchSystemError(f"bjobs printed broken JSON: {error}", output=output) from None


def _id(record: Mapping[str, Any]) -> str:
    job_id, index = str(record["JOBID"]), str(record.get("JOBINDEX") or "0")
    return job_id if index == "0" or "[" in job_id else f"{job_id}[{index}]"


def _record(record: Mapping[str, Any]) -> Record:
    told = {name: str(value).strip() for name, value in record.items() if value not in ("-", None)}
    code = told.get("EXIT_CODE", "")
    return Record(
        told["STAT"],
        reason=told.get("EXIT_REASON", "") or told.get("PEND_REASON", ""),
        node=_hosts(told.get("EXEC_HOST", "").split(":")),
        exit_code=int(code) if code.isdigit() else None,
        start=told.get("START_TIME", ""),
        name=told.get("JOB_NAME", ""),
    )


def parse_long(output: str) -> dict[str, Record]:
    """Read `bjobs -l`: a story of each job, wrapped anywhere, with 21 blanks before what goes on.

    Examples
    --------
    >>> text = "Job <7>, User <ada>, Status <EXIT>, Que" + _WRAPPED + "ue <normal>\\n"
    >>> parse_long(text + "Fri Nov 20 09:00:00: Exited with exit code 3.\\n")["7"].exit_code
    3
    """
    text = output.replace("\r\n", "\n").replace(_WRAPPED, "")
    headers = list(_JOB.finditer(text))
    ends = (*(header.start() for header in headers[1:]), len(text))
    jobs: dict[str, Record] = {}
    for header, end in zip(headers, ends, strict=False):
        story = text[header.start() : end]
        status = _STATUS.search(story)
        if status is not None:
            told = _story(status[1], header["name"] or "", story)
            jobs[header["id"] + (header["index"] or "")] = told
    return jobs


def _story(state: str, name: str, story: str) -> Record:
    _, _, story = story.partition("\n")  # the first line holds the command, which may say anything
    started = list(_STARTED.finditer(story))
    code, signal = _EXIT_CODE.search(story), _SIGNAL.search(story)
    terminated, pending = _TERMINATED.search(story), _PENDING.search(story)
    reason = ""
    if terminated:
        reason = terminated[1].strip()
    elif pending and not started:
        reason = "; ".join(line.strip(" ;") for line in pending["reasons"].splitlines())
    return Record(
        state,
        reason=reason,
        node=_hosts(re.findall(r"<([^<>]+)>", started[-1]["hosts"])) if started else "",
        exit_code=int(code[1]) if code else None,
        signal=int(signal[1]) if signal else None,
        start=started[-1]["when"] if started else "",
        name=name,
    )


def _hosts(places: list[str]) -> str:
    """Return the hosts of `4*node1` and `node2`, each once."""
    return ",".join(dict.fromkeys(place.rpartition("*")[2] for place in places if place))
