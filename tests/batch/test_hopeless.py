"""What to do about jobs that will never start, by the batch systems' own words."""

from __future__ import annotations

import json

import pytest

from jobqueue.batch.answers import Completed
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.hopeless import remedy_for
from jobqueue.batch.htcondor import HTCondorAdapter
from jobqueue.batch.lsf import LSFAdapter
from jobqueue.batch.moab import MoabAdapter
from jobqueue.batch.oar import OARAdapter
from jobqueue.batch.pbs import Dialect, PBSAdapter
from jobqueue.batch.sge import SGEAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster.batch_launcher import report_of


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("PartitionTimeLimit", "walltime="),
        ("QOSMaxWallDurationPerJobLimit", "walltime="),
        ("PartitionNodeLimit", "nodes="),
        ("BadConstraints", "memory="),
        ("QOSMaxCpuPerJobLimit", "cores="),
        ("AccountNotAllowed", "account="),
        ("JobHeldUser", "scontrol release"),
        ("Can Never Run: Insufficient amount of resource: ncpus (R: 100 A: 16 T: 16)", "cores="),
        ("no match found ", "condor_q -better-analyze"),
        ("job requeued in held state", "scontrol release"),
        ("launch_failed_requeued_held", "scontrol release"),
        ("JobHoldMaxRequeue", "scontrol release"),
        ("REQUEUE_HOLD", "scontrol release"),
        ('cannot run in PE "smp" because it only offers 2 slots', "cores="),
        ('(-l h_vmem=900G) cannot run at host "n1" because it offers only hc:h_vmem=8G', "qhost"),
    ],
)
def test_what_time_does_not_mend_has_a_remedy(reason: str, named: str) -> None:
    """It names what to change."""
    assert named in remedy_for(reason)


def _xml(state: str) -> str:
    return (
        '<?xml version="1.0"?><job_info><job_list state="pending"><JB_job_number>5'
        f"</JB_job_number><state>{state}</state></job_list></job_info>"
    )


def _pbs(**attributes: str) -> str:
    return json.dumps({"Jobs": {"5": {"job_state": "H", **attributes}}})


FAILED = "job held, too many failed attempts to run"
TORQUE = "Job Id: 5\n    job_state = H\n    Hold_Types = u\n"
SUSPENDED = "The job was suspended by the user while pending;"
LSF = {"JOBID": "5", "JOBINDEX": "0", "STAT": "PSUSP", "PEND_REASON": SUSPENDED}


@pytest.mark.parametrize(
    ("adapter", "said", "reason", "command"),
    [
        (SlurmAdapter(), "5|PENDING|JobHeldUser|N/A||", "JobHeldUser", "scontrol release"),
        (SlurmAdapter(), "5|REQUEUE_HOLD|None|N/A||", "REQUEUE_HOLD", "scontrol release"),
        (PBSAdapter(), _pbs(Hold_Types="u"), "Hold_Types = u", "`qrls`"),
        (PBSAdapter(), _pbs(Hold_Types="s"), "Hold_Types = s", "`qrls -h os`"),
        (
            PBSAdapter(),
            _pbs(Hold_Types="s", comment=FAILED),
            f"Hold_Types = s; {FAILED}",
            "`qrls -h s`",
        ),
        (PBSAdapter(dialect=Dialect.TORQUE, json=False), TORQUE, "Hold_Types = u", "`qrls`"),
        (SGEAdapter(), _xml("Eqw"), "Eqw", "`qmod -cj`"),
        (SGEAdapter(), _xml("hqw"), "hqw", "`qrls`"),
        (SGEAdapter(), _xml("hRwq"), "hRwq", "`qrls`"),
        (
            HTCondorAdapter(),
            '[{"ClusterId":5,"ProcId":0,"JobStatus":5,"HoldReason":"memory usage exceeded"}]',
            "HELD: memory usage exceeded",
            "raise memory=",
        ),
        (
            HTCondorAdapter(),
            '[{"ClusterId":5,"ProcId":0,"JobStatus":5,"HoldReason":"via condor_hold"}]',
            "HELD: via condor_hold",
            "`condor_release`",
        ),
        (LSFAdapter(), f'{{\n"RECORDS": [{json.dumps(LSF)}]}}', f"PSUSP: {SUSPENDED}", "`bresume`"),
        (OARAdapter(), '{"5":{"state":"Hold","message":""}}', "Hold", "`oarresume`"),
        (
            MoabAdapter(),
            '<Data><queue><job JobID="5" State="UserHold"/></queue></Data>',
            "UserHold",
            "`releasehold`",
        ),
        (
            MoabAdapter(),
            '<Data><queue><job JobID="5" State="BatchHold" BlockReason="NoTime"/></queue></Data>',
            "BatchHold: NoTime",
            "`checkjob -v`",
        ),
    ],
)
def test_a_held_job_is_told_of_with_the_command_that_lets_it_go(
    adapter: BatchAdapter, said: str, reason: str, command: str
) -> None:
    """Of every batch system: its own word for the state, and why, where it says so."""
    query = adapter.status_query(["5"])
    [status] = query.parse(Completed(query.argv, 0, said, "")).values()
    report = report_of(status)
    assert (report.held, report.reason) == (True, reason)
    assert command in remedy_for(report.reason)


def test_a_pbs_job_that_waits_for_its_time_says_until_when() -> None:
    """`qsub -a`: that passes by itself."""
    query = PBSAdapter().status_query(["5"])
    said = _pbs(job_state="W", Execution_Time="Fri Nov 20 12:00:00 2026")
    report = report_of(query.parse(Completed(query.argv, 0, said, ""))["5"])
    assert report.reason == "Execution_Time = Fri Nov 20 12:00:00 2026"
    assert (report.held, remedy_for(report.reason)) == (False, "")


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "Priority",
        "Resources",
        "BeginTime",
        "QOSMaxJobsPerUserLimit",
        "QOSMaxCpuPerUserLimit",
        "AssocGrpCpuLimit",
        "Not Running: Insufficient amount of resource: ncpus",
    ],
)
def test_what_may_pass_needs_none(reason: str) -> None:
    """Most jobs wait because others run."""
    assert remedy_for(reason) == ""
