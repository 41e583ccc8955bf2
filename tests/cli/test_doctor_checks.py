"""What the doctor concludes from a job that came up."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobqueue.cli import doctor_probe
from jobqueue.cli.doctor_checks import CHECKS, Evidence, Finding, Verdict, examine

GIB = 2**30

FACTS: dict[str, Any] = {
    "host": "n1",
    "python": "3.12.1",
    "executable": "/env/bin/python",
    "packages": {"jobqueue": "1.0", "cloudpickle": "3.1", "msgpack": "1.1", "numpy": "2.1"},
    "limits": {"open files": 4096, "processes": 1000, "virtual memory": -1},
    "cpus": 4,
    "memory": 8 * GIB,
    "node_memory": 64 * GIB,
    "disk": {"folder": "/local", "free": 100 * GIB, "kind": "xfs", "error": ""},
}

HEALTHY = Evidence(
    cores=4,
    memory=8 * GIB,
    here=FACTS,
    there=FACTS,
    tokens={"/home/u/state/.token": ("credentials", "word")},
    read={"/home/u/state/.token": {"text": "word", "error": ""}},
    addresses=[("tls://10.0.0.1:4000", 0.003, ""), ("tls://192.168.0.1:4000", 0.002, "")],
    skew=0.02,
    uncertainty=0.001,
    round_trip=0.002,
    log_seen=True,
)


def there(**changes: Any) -> Evidence:
    """Return a node that is healthy but for something."""
    return dataclasses.replace(HEALTHY, there=FACTS | changes)


def found(evidence: Evidence, check: str) -> list[Finding]:
    """Return what is not well, and check that it has to do with that alone."""
    odd = [finding for finding in examine(evidence) if finding.verdict is not Verdict.OK]
    assert {finding.check for finding in odd} == {check}
    return odd


def test_a_healthy_node_has_a_row_for_each_check():
    """And nothing is to be done."""
    findings = examine(HEALTHY)
    assert all(finding.verdict is Verdict.OK and not finding.remedy for finding in findings)
    assert len(findings) >= len(CHECKS)
    assert "tls://10.0.0.1:4000 answers, handshake in 3.0 ms" in [row.fact for row in findings]


def test_facts_of_this_machine_can_be_judged():
    """What the probe finds is what the checks read."""
    facts = doctor_probe.facts()
    evidence = dataclasses.replace(HEALTHY, here=facts, there=facts)
    assert not [row for row in examine(evidence) if row.check in ("python", "packages") and
                row.verdict is not Verdict.OK]  # fmt: skip


DISK = FACTS["disk"]

ODD: dict[str, tuple[Evidence, str, Verdict, str, str]] = {
    "another patch release of Python": (
        there(python="3.12.9"), "python", Verdict.NOTE, "3.12.9 (/env/bin/python); here 3.12.1",
        "`python`",
    ),
    "another jobqueue": (
        there(packages=FACTS["packages"] | {"jobqueue": "0.9"}), "packages", Verdict.BAD,
        "jobqueue 0.9 on the node, 1.0 here", "`python`",
    ),
    "another numpy": (
        there(packages=FACTS["packages"] | {"numpy": "1.26"}), "packages", Verdict.NOTE,
        "numpy 1.26 on the node, 2.1 here", "`python`",
    ),
    "no numpy": (
        there(packages={k: v for k, v in FACTS["packages"].items() if k != "numpy"}), "packages",
        Verdict.NOTE, "numpy 2.1 is here, not on the node", "install it",
    ),
    "one address that does not answer": (
        dataclasses.replace(HEALTHY, addresses=[
            ("tls://10.0.0.1:4000", None, "tried tls://10.0.0.1:4000: timed out after 5 s"),
            ("tls://192.168.0.1:4000", 0.002, ""),
        ]),
        "network", Verdict.NOTE, "tried tls://10.0.0.1:4000: timed out after 5 s", "interface=",
    ),
    "no address at all": (
        dataclasses.replace(HEALTHY, addresses=[("tls://10.0.0.1:4000", None, "refused")]),
        "network", Verdict.BAD, "tls://10.0.0.1:4000: refused", "reachable",
    ),
    "a folder that the node does not see": (
        dataclasses.replace(
            HEALTHY, read={"/home/u/state/.token": {"text": "", "error": "No such file"}}
        ),
        "shared folder", Verdict.BAD,
        "credentials: /home/u/state is not the same there: No such file",
        "shared_temp_directory",
    ),
    "a folder of the same name": (
        dataclasses.replace(
            HEALTHY, read={"/home/u/state/.token": {"text": "else", "error": ""}}
        ),
        "shared folder", Verdict.BAD, "the node reads another text", "JOBQUEUE_STATE_DIRECTORY",
    ),
    "a log that stays there": (
        dataclasses.replace(HEALTHY, log_seen=False), "job log", Verdict.NOTE,
        "cannot be read here", "log_directory",
    ),
    "a clock that is ahead": (
        dataclasses.replace(HEALTHY, skew=90.0), "clock", Verdict.NOTE, "90 s ahead", "the site",
    ),
    "a clock that is behind": (
        dataclasses.replace(HEALTHY, skew=-90.0), "clock", Verdict.NOTE, "90 s behind", "the site",
    ),
    "a small disk": (
        there(disk=DISK | {"free": GIB}), "local disk", Verdict.NOTE, "/local: only 1.0 GiB",
        "local_directory",
    ),
    "a disk in memory": (
        there(disk=DISK | {"kind": "tmpfs"}), "local disk", Verdict.NOTE, "in memory (tmpfs)",
        "local_directory",
    ),
    "a disk on the network": (
        there(disk=DISK | {"kind": "nfs4"}), "local disk", Verdict.NOTE, "on the network (nfs4)",
        "local_directory",
    ),
    "no such folder": (
        there(disk=DISK | {"free": None, "error": "No such file"}), "local disk", Verdict.BAD,
        "/local: No such file", "local_directory",
    ),
    "few open files": (
        there(limits=FACTS["limits"] | {"open files": 256}), "ulimit", Verdict.NOTE,
        "only 256 open files", "ulimit -n",
    ),
    "little virtual memory": (
        there(limits=FACTS["limits"] | {"virtual memory": GIB}), "ulimit", Verdict.BAD,
        "1.0 GiB of virtual memory", "ulimit -v",
    ),
    "fewer CPUs than asked for": (
        there(cpus=1), "cpus", Verdict.BAD, "1 may be used, 4 were asked for", "job_script()",
    ),
    "less memory than asked for": (
        there(memory=GIB), "memory", Verdict.BAD, "1.0 GiB may be used, 8.0 GiB", "job_mem",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_told_with_a_remedy(case):
    """In one row of its own, which says fact and remedy."""
    evidence, check, verdict, fact, remedy = ODD[case]
    [finding] = found(evidence, check)
    assert finding.verdict is verdict
    assert fact in finding.fact
    assert remedy in finding.remedy


def test_a_slow_network_proves_no_wrong_clock():
    """What may be the time of the call is not the clock's."""
    evidence = dataclasses.replace(HEALTHY, skew=8.0, uncertainty=9.0)
    assert all(finding.verdict is Verdict.OK for finding in examine(evidence))


def test_batch_systems_that_hold_jobs_to_nothing_are_fine():
    """It is said, for results may be slower or faster than at home."""
    findings = examine(there(cpus=64, memory=64 * GIB))
    assert all(finding.verdict is Verdict.OK for finding in findings)
    facts = " ".join(finding.fact for finding in findings)
    assert "does not hold jobs to it" in facts
    assert "no control group" in facts
