"""Reasons for which jobs wait that no time mends: batch systems accept what they can never start.

One table for all of them, since their words do not collide. What is not in it may pass, and most
reasons do; a limit *per user* is not here, one *per job* is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HOPELESS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        # Slurm (squeue's %r)
        (
            r"^PartitionTimeLimit$|^(QOS|Assoc)MaxWall\w*PerJob",
            "walltime is longer than the queue allows: lower walltime=, or choose another queue=",
        ),
        (
            r"^PartitionNodeLimit$",
            "the queue has not as many nodes, or they are out of service: lower nodes=, or choose "
            "another queue=",
        ),
        (
            r"^(PartitionConfig|BadConstraints|MaxMemPerLimit)$|^(QOS|Assoc)Max\w+PerJob",
            "no node, or no job, of this queue may have so much: lower cores=, memory=, nodes= or "
            "resources=, look at job_extra_directives=, or choose another queue=",
        ),
        (
            r"^QOSMin\w+$",
            "the queue wants larger jobs: raise cores= or resources=, or choose another queue=",
        ),
        (
            r"^(AccountNotAllowed|QOSNotAllowed|InvalidAccount|InvalidQOS)$",
            "this account may not use the queue: name another account= or queue=",
        ),
        (r"^DependencyNeverSatisfied$", "what it depends on has failed: cancel it"),
        (
            r"^JobHeldUser$",
            "it is held by its owner (--hold, scontrol hold): `scontrol release` lets it go",
        ),
        (r"^JobHeldAdmin$", "it is held by an administrator: ask the site why"),
        # PBS (a job's comment)
        (
            r"^Can Never Run",
            "no node has so much: lower what it names (cores=, memory=, walltime=), or choose "
            "another queue=",
        ),
        # HTCondor (LastRejMatchReason); it says the same while all that would do are taken
        (
            r"^no match found$",
            "all machines that would do are taken, or there are none: `condor_q -better-analyze` "
            "tells which",
        ),
    )
)
"""A batch system's words for why a job waits -> what to do, for it will wait for good."""


def remedy_for(reason: str) -> str:
    """Return what to do about a job that waits for this reason; "" if it may start by itself.

    Examples
    --------
    >>> remedy_for("Priority")
    ''
    >>> remedy_for("JobHeldAdmin")
    'it is held by an administrator: ask the site why'
    """
    return next((remedy for pattern, remedy in HOPELESS if pattern.search(reason.strip())), "")
