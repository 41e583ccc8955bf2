"""`jobqueue doctor`: one small job, and what it finds where it runs."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobqueue.cli import doctor_probe
from jobqueue.cli.console import Ended, ended_by_signals, log_on
from jobqueue.cli.doctor_checks import Evidence, Finding, Verdict, examine
from jobqueue.cli.doctor_diagnoses import died, disturbed, late, refused, unwritable
from jobqueue.cli.systems import System
from jobqueue.client.client import Client
from jobqueue.client.future import Future
from jobqueue.client.waiting import wait
from jobqueue.cluster.cluster import Cluster
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.cluster.ledger import Owner, list_ledgers
from jobqueue.config.keywords import keywords_of
from jobqueue.config.load import load
from jobqueue.config.merge import gather
from jobqueue.config.resolve import resolve
from jobqueue.config.units import parse_memory, parse_walltime
from jobqueue.errors import BatchSystemError, ConfigError, WorkersUnavailable

NAME = "jobqueue-doctor"

LOOK = 0.2
"""Seconds between two looks at the job."""

CALLS = 5
"""Calls by which clocks are compared; the quickest counts."""

SMALL: Mapping[str, Any] = {
    "cores": 1,
    "memory": "512MB",
    "walltime": "00:05:00",
    "processes": 1,
    "nodes": 1,
    "job_cpu": 1,
    "job_mem": "",
    "ncpus": 1,
    "mem": "512MB",
    "n_workers": 0,
    "pools": "",
}
"""What the job asks for, whatever the configuration says; the rest is as there."""

SIZES = ("cores", "memory", "walltime", "nodes", "processes")
"""What a section may want more of than is tried."""

COLOURS = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}


def small(system: System, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a small job.

    Parameters
    ----------
    system
        The batch system.
    options
        ``config_name``, ``queue``, ``account``; None for what the configuration says.
    """
    if not system.section:
        return {"n_workers": 0, "threads_per_worker": 1, "memory_limit": SMALL["memory"]}
    known = keywords_of(system.section)
    given = {name: options.get(name) for name in ("queue", "account")}
    if "account" not in known and "project" in known:
        given["project"] = given.pop("account")
    chosen = {name: value for name, value in {**SMALL, **given}.items() if name in known}
    own = sizes_of(system, options.get("config_name")).get("walltime")
    with suppress(ConfigError):  # of a section that cannot be used, the cluster will say why
        if "walltime" in known and own and parse_walltime(own) < parse_walltime(SMALL["walltime"]):
            chosen["walltime"] = own
    chosen["config_name"] = options.get("config_name")
    return {name: value for name, value in chosen.items() if value is not None}


def sizes_of(system: System, section: str | None) -> dict[str, Any]:
    """Return what the configuration asks for where the doctor asks for less, as it is written."""
    with suppress(ConfigError):
        written = gather(section, {}, system=system.section, config=load())
        return {name: written[name].written for name in SIZES if name in written}
    return {}


def run(
    system: System,
    keywords: Mapping[str, Any],
    *,
    timeout: float,
    as_json: bool = False,
    notes: Sequence[str] = (),
) -> int:
    """Examine, show what was found, and return the exit status: 0 if nothing is bad.

    Parameters
    ----------
    system
        The batch system.
    keywords
        What the job is made from.
    timeout
        Seconds that it has to come up.
    as_json
        Whether to print JSON; what is going on is told on standard error then.
    notes
        What is to be said about the choice of the batch system.
    """
    console = Console(stderr=as_json, highlight=False)
    for text in (*notes, system.introduction()):
        console.print(text, markup=False, soft_wrap=True)
    try:
        with ended_by_signals(), log_on(console, None):  # what matters is among the findings
            findings = Examination(system, keywords, timeout, console).findings()
    except Ended as end:
        return 128 + end.signum
    except KeyboardInterrupt:
        console.print("Interrupted: the job is cancelled.")
        return 128 + signal.SIGINT
    ok = all(finding.verdict is not Verdict.BAD for finding in findings)
    if as_json:
        told = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"ok": ok, "system": system.name, "findings": told}, indent=1))
    else:
        show(console, findings)
    return 0 if ok else 1


class Examination:
    """One job from its submission to its end, and what comes of it.

    Parameters
    ----------
    system, keywords, timeout
        As for `run`.
    console
        Where to tell what is waited for.
    """

    def __init__(
        self, system: System, keywords: Mapping[str, Any], timeout: float, console: Console
    ) -> None:
        self._system = system
        self._keywords = dict(keywords)
        self._timeout = timeout
        self._console = console
        self._said = ""
        self._came: float | None = None  # seconds after which the first worker was there

    def findings(self) -> list[Finding]:
        """Return all that was found; the job is gone then."""
        cluster: Cluster = self._system.make(name=NAME, **self._keywords)
        with cluster, Client(cluster) as client, ExitStack() as stack:
            values = self._values()
            folder = _folder_of(cluster)
            try:
                tokens = stack.enter_context(_tokens(_folders(values, folder)))
            except OSError as error:
                return unwritable(error)
            future = client.submit(
                doctor_probe.look_around, list(tokens), values.get("local_directory")
            )
            try:
                cluster.scale(jobs=1)
                failure = self._wait(cluster, future, str(folder))
                if failure:
                    return failure
            except (BatchSystemError, WorkersUnavailable) as error:
                return refused(error)
            try:
                found = future.result()
            except Exception as error:  # the task's own, of whatever is installed there
                return disturbed(error)
            job = cluster.jobs[0]
            node, seconds = found["facts"]["host"], self._came or 0.0
            fact = f"{job.job_id} came up on {node} after {seconds:.1f} s"
            came = [Finding("job", Verdict.OK, fact), *self._untried()]
            return [*came, *examine(_evidence(cluster, client, job, values, tokens, found))]

    def _values(self) -> dict[str, Any]:
        """Return the keywords as the cluster has understood them."""
        if not self._system.section:
            return {}
        given = dict(self._keywords)
        section = given.pop("config_name", None)
        return resolve(section, given, system=self._system.section).values

    def _untried(self) -> list[Finding]:
        """Say which sizes of the section this small job tells nothing about."""
        if not self._system.section:
            return []
        own = sizes_of(self._system, self._keywords.get("config_name"))
        more = {n: v for n, v in own.items() if str(v) != str(self._keywords.get(n))}
        if not more:
            return []
        fact = f"this job had {_told(self._keywords)}; not tried: {_told(more)} of the section"
        return [Finding("size", Verdict.OK, fact)]

    def _wait(self, cluster: Cluster, future: Future, folder: str) -> list[Finding]:
        """Wait for the job's answer; return what is wrong if there will be none."""
        began = time.monotonic()
        while True:
            done, waited = _done(future), time.monotonic() - began
            job = next(iter(cluster.jobs), None)
            if self._came is None and (done or (job and job.state is JobState.CONNECTED)):
                self._came = waited
            if done:
                return []
            if job and job.state is JobState.ENDED:
                return died(job, folder=folder)
            if waited > self._timeout:
                return late(job, cluster.describe(), waited, asked=_told(self._keywords))
            self._say(waited, cluster.describe())

    def _say(self, waited: float, text: str) -> None:
        if text != self._said:
            self._said = text
            line = f"[{waited:5.1f} s] {text}"
            self._console.print(line, style="dim", markup=False, soft_wrap=True)


def _told(keywords: Mapping[str, Any]) -> str:
    """Return sizes as they are written."""
    return ", ".join(f"{name}={keywords[name]}" for name in SIZES if name in keywords)


def _done(future: Future) -> bool:
    """Wait a moment for a task; raises if no worker will come for it."""
    try:
        wait([future], timeout=LOOK)
    except TimeoutError:
        return False
    return True


def _folder_of(cluster: Cluster) -> Path | None:
    """Return the cluster's own folder, if it has jobs that need one."""
    me = Owner.me()
    mine = [ledger for ledger in list_ledgers() if ledger.entry.owner == me]
    return next((each.folder for each in mine[::-1] if each.entry.cluster == cluster.name), None)


def _folders(values: Mapping[str, Any], own: Path | None) -> dict[Path, str]:
    """Return the folders that jobs have to see, and what for."""
    folders: dict[Path, str] = {}
    if shared := values.get("shared_temp_directory"):
        folders[Path(shared)] = "shared_temp_directory"
    elif own is not None:
        folders[own] = "scripts and credentials"
    if logs := values.get("log_directory"):
        folders[Path(os.path.expandvars(logs)).expanduser()] = "log_directory"
    return folders


@contextmanager
def _tokens(folders: Mapping[Path, str]) -> Iterator[dict[str, tuple[str, str]]]:
    """Leave a word in each folder for a while: file -> (what the folder is for, the word)."""
    tokens: dict[str, tuple[str, str]] = {}
    try:
        for folder, purpose in folders.items():
            path, word = folder / f".{NAME}-{secrets.token_hex(4)}", secrets.token_hex(16)
            tokens[str(path)] = purpose, word
            path.write_text(word)
        yield tokens
    finally:
        for name in tokens:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)


def _evidence(
    cluster: Cluster,
    client: Client,
    job: JobRecord,
    values: Mapping[str, Any],
    tokens: Mapping[str, tuple[str, str]],
    found: Mapping[str, Any],
) -> Evidence:
    skew, round_trip = _compare_clocks(client)
    there = found["facts"]
    return Evidence(
        cores=values.get("cores", 1),
        memory=values.get("memory", parse_memory(SMALL["memory"])),
        here=doctor_probe.facts(),
        there=there,
        tokens=tokens,
        read=found["tokens"],
        addresses=found["addresses"],
        skew=skew,
        uncertainty=round_trip / 2,
        round_trip=round_trip,
        log_seen=bool(cluster.logs(job)),
    )


def _compare_clocks(client: Client) -> tuple[float, float]:
    """Return how far the node's clock is ahead, and how long the quickest call took."""
    best = (0.0, float("inf"))
    for _ in range(CALLS):
        before = time.time()
        [there] = list(client.run(doctor_probe.clock).values())[:1]
        after = time.time()
        best = min(best, (there - (before + after) / 2, after - before), key=lambda pair: pair[1])
    return best


# --- showing it --------------------------------------------------------------------------


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print the findings: a table on a terminal, else lines."""
    if console.is_terminal:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            mark = Text(finding.verdict, style=COLOURS[finding.verdict])
            table.add_row(mark, finding.check, Text(finding.fact))
            if finding.remedy:
                table.add_row("", "", Text(f"→ {finding.remedy}", style="yellow"))
        console.print(table)
    else:
        for finding in findings:
            for line in lines(finding):
                console.print(line, markup=False, soft_wrap=True)
    console.print(conclusion(findings))


def conclusion(findings: Sequence[Finding]) -> str:
    """Say in a line what it all comes to.

    Examples
    --------
    >>> conclusion([Finding("clock", Verdict.NOTE, "8 s ahead"), Finding("cpus", Verdict.OK, "4")])
    'All is well, with 1 note.'
    """
    counts = Counter(finding.verdict for finding in findings)
    if counts[Verdict.BAD]:
        return f"{counts[Verdict.BAD]} to be put right."
    notes = counts[Verdict.NOTE]
    if not notes:
        return "All is well."
    return f"All is well, with {notes} note{'' if notes == 1 else 's'}."


def lines(finding: Finding) -> list[str]:
    """Return a finding as lines of text.

    Examples
    --------
    >>> lines(Finding("clock", Verdict.NOTE, "8 s ahead", "tell the site"))
    ['note  clock          8 s ahead', '                     → tell the site']
    """
    first, *more = finding.fact.splitlines() or [""]
    indent = " " * 21
    told = [f"{finding.verdict:<5} {finding.check:<14} {first}"]
    told += [indent + line for line in more]
    return [*told, *([f"{indent}→ {finding.remedy}"] if finding.remedy else [])]
