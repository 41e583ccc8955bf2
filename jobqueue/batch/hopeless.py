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
        (
            r"^job[ _]requeued[ _]in[ _]held[ _]state$|^(REQUEUE_HOLD|SPECIAL_EXIT|RESV_DEL_HOLD)",
            "it was put back and is held (scontrol requeuehold): `scontrol release` lets it go",
        ),
        (
            r"^launch[ _]failed[ _]requeued[ _]held$",
            "its node could not start it: tell the site which node that was; `scontrol release` "
            "lets it go",
        ),
        (
            r"^JobHoldMaxRequeue$",
            "it was put back more often than the site allows: ask why; `scontrol release` lets it "
            "go",
        ),
        # PBS and TORQUE (a job's Hold_Types and its comment)
        (
            r"^Hold_Types = .*too many failed attempts",
            "it could not be started, again and again: ask the site why (tracejob tells them); "
            "then they let it go by `qrls -h s`",
        ),
        (
            r"^Hold_Types = [nop]*u",
            "it is held by its owner (qsub -h, qhold): `qrls` lets it go",
        ),
        (
            r"^Hold_Types = ",
            "it is held by an operator, or until a job it depends on has ended: ask the site why, "
            "or look for depend in job_extra_directives=; an operator lets it go by `qrls -h os`",
        ),
        (
            r"^Can Never Run",
            "no node has so much: lower what it names (cores=, memory=, walltime=), or choose "
            "another queue=",
        ),
        # Grid Engine (a job's state, and qstat -j)
        (
            r"^E\w*qw\b",
            "it could not be started: mend what it says, a folder that is missing on the node, "
            "say; then `qmod -cj` lets it go",
        ),
        (
            r"^h\w*q\b|^hqw\b",
            "it is held (qsub -h, qhold, or -hold_jid until another has ended): `qrls` lets it go",
        ),
        (
            r"because it only offers \d+ slots|because it offers only \w+:",
            "all nodes that have so much are taken, or there are none: `qhost -F` tells; if so, "
            "lower cores=, or what job_extra_directives= ask for",
        ),
        # HTCondor (HoldReason)
        (
            r"(?i)^HELD: .*\bmemory\b",
            "raise memory= for the jobs to come; `condor_release` lets this one go",
        ),
        (r"^HELD\b", "it is held: mend what it says; then `condor_release` lets it go"),
        # LSF, OAR, Moab (a job's state)
        (r"^PSUSP\b", "it is held (bsub -H, bstop): `bresume` lets it go"),
        (r"^Hold\b", "it is held: `oarresume` lets it go, of Moab's jobs `releasehold`"),
        (r"^UserHold\b", "it is held by its owner: `releasehold` lets it go"),
        (
            r"^(System|Batch)Hold\b",
            "Moab or the site holds it: `checkjob -v` says why; an administrator lets it go by "
            "`releasehold`",
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
