"""What the real programs printed, for the conformance suite, and how tests get at it.

A recorded answer is what a real program said, to the letter: exit status, stdout, stderr. A new
batch system adds a `System` with its texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobqueue.batch.base import BatchAdapter, BatchState, EndCause, JobStatus
from jobqueue.batch.pbs import Dialect, PBSAdapter
from jobqueue.batch.slurm import SlurmAdapter

Said = tuple[int, str, str]

PENDING, RUNNING, ENDED = BatchState.PENDING, BatchState.RUNNING, BatchState.ENDED


def job(job_id: str, state: BatchState, raw: str, **rest: Any) -> JobStatus:
    return JobStatus(job_id, state, raw, **rest)


@dataclass(frozen=True)
class System:
    """One batch system: its adapter and what its commands were seen to print."""

    adapter: BatchAdapter
    submitted: tuple[tuple[str, int, tuple[str, str]], ...]  # stdout; jobs; first and last id
    rejected: tuple[tuple[Said, str], ...]  # ..., and the words in it that a user must see
    statuses: tuple[tuple[Said, tuple[JobStatus, ...]], ...]
    nothing: tuple[Said, ...]  # answers that say: none of these jobs is here
    down: tuple[Said, ...]  # answers that say nothing about jobs
    unknown_state: Said
    ended: tuple[tuple[int, Said, tuple[JobStatus, ...]], ...]  # which second look, ...
    cancel_fine: tuple[Said, ...]
    cancel_failed: tuple[Said, ...]
    cancelled: tuple[tuple[str, ...], tuple[str, ...]]  # ids, and the command
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


SLURM = System(
    SlurmAdapter(),
    submitted=(
        ("5\n", 1, ("5", "5")),
        ("5;galaxy\n", 1, ("5", "5")),
        ("1002\n", 4, ("1002_0", "1002_3")),
    ),
    rejected=(
        (
            (
                1,
                "",
                "sbatch: error: invalid partition specified: nosuch\n"
                "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
            ),
            "invalid partition specified: nosuch",
        ),
        (
            (
                1,
                "",
                "sbatch: error: Memory specification can not be satisfied\n"
                "sbatch: error: Batch job submission failed: "
                "Requested node configuration is not available\n",
            ),
            "Memory specification can not be satisfied",
        ),
        (
            (
                255,
                "",
                "sbatch: unrecognized option '--nosuch'\n"
                'Try "sbatch --help" for more information\n',
            ),
            "unrecognized option '--nosuch'",
        ),
        (
            (
                1,
                "",
                "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
                "sbatch: error: instead of expected UNIX line breaks (\\n).\n",
            ),
            "DOS line breaks",
        ),
    ),
    statuses=(
        (
            (
                0,
                "1002_0|RUNNING|None|2026-11-20T09:09:09|node1|tag-7\n"
                "1003_0|PENDING|JobHeldUser|N/A||site x tag-8\n"
                "1003_1|PENDING|Resources|2026-11-20T14:05:00||(null)\n"
                "1004|FAILED|NonZeroExitCode|2026-11-20T09:09:09|node2|(null)\n"
                "1005|CANCELLED|JobHeldUser|2026-11-20T09:09:30||a|b c\n",
                "",
            ),
            (
                job(
                    "1002_0",
                    RUNNING,
                    "RUNNING",
                    node="node1",
                    estimated_start="2026-11-20T09:09:09",
                    tag="tag-7",
                ),
                job("1003_0", PENDING, "PENDING", reason="JobHeldUser", tag="tag-8"),
                job(
                    "1003_1",
                    PENDING,
                    "PENDING",
                    reason="Resources",
                    estimated_start="2026-11-20T14:05:00",
                ),
                job(
                    "1004",
                    ENDED,
                    "FAILED",
                    reason="NonZeroExitCode",
                    node="node2",
                    cause=EndCause.CRASHED,
                    estimated_start="2026-11-20T09:09:09",
                ),
                job(
                    "1005",
                    ENDED,
                    "CANCELLED",
                    reason="JobHeldUser",
                    cause=EndCause.CANCELLED,
                    estimated_start="2026-11-20T09:09:30",
                    tag="c",
                ),
            ),
        ),
        (
            (0, "CLUSTER: galaxy\n7|PENDING|Priority|N/A||\n", ""),
            (job("7", PENDING, "PENDING", reason="Priority"),),
        ),
    ),
    nothing=((0, "", ""),),
    down=(
        (1, "", "slurm_load_jobs error: Socket timed out on send/recv operation\n"),
        (1, "", "slurm_load_jobs error: Invalid job id specified\n"),
    ),
    unknown_state=(0, "5|TELEPORTED|None|N/A||\n", ""),
    ended=(
        (
            0,
            (
                0,
                "1001|FAILED|3:0|None|node51\n"
                "1002_1|TIMEOUT|0:0|None|node51\n"
                "1002_2|OUT_OF_MEMORY|0:125|None|node52\n"
                "1003_[0-1,3]|CANCELLED by 1000|0:0|JobHeldUser|None assigned\n"
                "1004|RUNNING|0:0|None|node1\n",
                "",
            ),
            (
                job("1001", ENDED, "FAILED", node="node51", cause=EndCause.CRASHED, exit_code=3),
                job(
                    "1002_1", ENDED, "TIMEOUT", node="node51", cause=EndCause.WALLTIME, exit_code=0
                ),
                job(
                    "1002_2",
                    ENDED,
                    "OUT_OF_MEMORY",
                    node="node52",
                    cause=EndCause.OUT_OF_MEMORY,
                    exit_code=0,
                    signal=125,
                ),
                *(
                    job(
                        f"1003_{i}",
                        ENDED,
                        "CANCELLED",
                        reason="JobHeldUser",
                        cause=EndCause.CANCELLED,
                        exit_code=0,
                    )
                    for i in (0, 1, 3)
                ),
                job("1004", RUNNING, "RUNNING", node="node1"),
            ),
        ),
        (
            1,
            (
                0,
                "JobId=1006 ArrayJobId=1002 ArrayTaskId=2 JobName=my name UserId=root(0) "
                "JobState=FAILED Reason=NonZeroExitCode Dependency=(null) ExitCode=3:0 "
                "NodeList=node52 BatchHost=node52\n"
                "JobId=1002 ArrayJobId=1002 ArrayTaskId=4-5%2 JobName=my name "
                "JobState=PENDING Reason=Resources Dependency=(null) ExitCode=0:0 "
                "NodeList=(null)\n",
                "",
            ),
            (
                job(
                    "1002_2",
                    ENDED,
                    "FAILED",
                    reason="NonZeroExitCode",
                    node="node52",
                    cause=EndCause.CRASHED,
                    exit_code=3,
                ),
                job("1002_4", PENDING, "PENDING", reason="Resources"),
                job("1002_5", PENDING, "PENDING", reason="Resources"),
            ),
        ),
        (1, (1, "", "slurm_load_jobs error: Invalid job id specified\n"), ()),
    ),
    cancel_fine=((0, "", ""),),
    cancel_failed=(
        (210, "", "scancel: error: Kill job error on job id 1011: Access/permission denied\n"),
    ),
    cancelled=(
        ("7", "5_0", "5_1", "5_2", "5_7", "9"),
        ("scancel", "7", "9", "5_[0-2,7]"),
    ),
    logs={"5": ("/logs/x-5.out", "/logs/x-5.err"), "5_3": ("/logs/x-5_3.out", "/logs/x-5_3.err")},
)

QSTAT_JSON = """{
    "timestamp":1700000000,
    "pbs_version":"23.06.06",
    "pbs_server":"server",
    "Jobs":{
        "0.server":{
            "Job_Name":"dask-worker",
            "job_state":"R",
            "exec_host":"node1/0*24",
            "Resource_List":{"ncpus":24,"walltime":"00:30:00"},
            "Variable_List":{"PBS_O_HOME":"/home/ada","ODD":12},
            "comment":"Job run at Fri Nov 20 at 09:00 on (node1:ncpus=24)"
        },
        "1.server":{
            "job_state":"Q",
            "comment":"Can Never Run: Insufficient amount of resource: ncpus (R: 100 A: 16 T: 16)"
        },
        "22[].server":{"job_state":"B","array":"True"},
        "22[0].server":{"job_state":"R","exec_host":"node1/0+node2/0*4"},
        "22[1].server":{"job_state":"Q","estimated":{"start_time":"Fri Nov 20 14:05:00 2026"}},
        "22[2].server":{"job_state":"X"}
    }
}
"""
QSTAT_JSON_STATUSES = (
    job(
        "0.server",
        RUNNING,
        "R",
        node="node1",
        reason="Job run at Fri Nov 20 at 09:00 on (node1:ncpus=24)",
    ),
    job(
        "1.server",
        PENDING,
        "Q",
        reason="Can Never Run: Insufficient amount of resource: ncpus (R: 100 A: 16 T: 16)",
    ),
    job("22[0].server", RUNNING, "R", node="node1,node2"),
    job("22[1].server", PENDING, "Q", estimated_start="Fri Nov 20 14:05:00 2026"),
    job("22[2].server", ENDED, "X"),
)
QSTAT_PLAIN = (
    "Job Id: 0.server\n"
    "    Job_Name = dask-worker\n"
    "    job_state = R\n"
    "    exec_host = node1/0*24\n"
    "    Variable_List = PBS_O_HOME=/home/ada,PBS_O_PATH=/usr/local/bin:/usr/bin:/bin,\n"
    "\tPBS_O_SHELL=/bin/bash,job_state = F\n"
    "    comment = Job run at Fri Nov 20 at 09:00 on (node1:ncpus=24:mem=98566144kb\n"
    "\t)\n"
    "\n"
    "Job Id: 22[2].server\n"
    "    job_state = X\n"
    "\n"
)
QSTAT_PLAIN_STATUSES = (
    job(
        "0.server",
        RUNNING,
        "R",
        node="node1",
        reason="Job run at Fri Nov 20 at 09:00 on (node1:ncpus=24:mem=98566144kb)",
    ),
    job("22[2].server", ENDED, "X"),
)
QSTAT_HISTORY = """{"timestamp":1700000000,"Jobs":{
"3.server":{"job_state":"F","Exit_status":0},
"4.server":{"job_state":"F","Exit_status":3},
"5.server":{"job_state":"F","Exit_status":265},
"6.server":{"job_state":"F","Exit_status":271},
"7.server":{"job_state":"F","Exit_status":-29},
"8.server":{"job_state":"F"}}}
"""
QSTAT_HISTORY_STATUSES = (
    job("3.server", ENDED, "F", cause=EndCause.COMPLETED, exit_code=0),
    job("4.server", ENDED, "F", cause=EndCause.CRASHED, exit_code=3),
    job("5.server", ENDED, "F", cause=EndCause.CRASHED, signal=9),
    job("6.server", ENDED, "F", cause=EndCause.CANCELLED, signal=15),
    job("7.server", ENDED, "F", cause=EndCause.WALLTIME),
    job("8.server", ENDED, "F", cause=EndCause.CANCELLED),
)

PBS = System(
    PBSAdapter(),
    submitted=(
        ("0.server\n", 1, ("0.server", "0.server")),
        ("1234.pbs-01.site.edu\n", 1, ("1234.pbs-01.site.edu", "1234.pbs-01.site.edu")),
        ("22[].server\n", 10, ("22[0].server", "22[9].server")),
    ),
    rejected=(
        ((170, "", "qsub: Unknown queue\n"), "Unknown queue"),
        (
            (188, "", "qsub: Job violates queue and/or server resource limits\n"),
            "Job violates queue and/or server resource limits",
        ),
        (
            (166, "", "qsub: Illegal attribute or resource value Resource_List.walltime\n"),
            "Illegal attribute or resource value Resource_List.walltime",
        ),
        ((162, "", "qsub: cannot connect to server server (errno=15010)\n"), "cannot connect"),
    ),
    statuses=(
        ((0, QSTAT_JSON, ""), QSTAT_JSON_STATUSES),
        ((153, QSTAT_JSON, "qstat: Unknown Job Id 99.server\n"), QSTAT_JSON_STATUSES),
        ((0, QSTAT_PLAIN, ""), QSTAT_PLAIN_STATUSES),
        ((0, QSTAT_PLAIN.replace("\n", "\r\n"), ""), QSTAT_PLAIN_STATUSES),
    ),
    nothing=(
        (0, '{"timestamp":1700000000,"pbs_version":"23.06.06"}\n', ""),
        (153, "", "qstat: Unknown Job Id 0.server\n"),
        (35, "", "qstat: 0.server Job has finished, use -x or -H to obtain information\n"),
    ),
    down=((162, "", "qstat: cannot connect to server server (errno=15010)\n"),),
    unknown_state=(0, '{"Jobs":{"0.server":{"job_state":"Ω"}}}', ""),
    ended=(
        (0, (0, QSTAT_HISTORY, ""), QSTAT_HISTORY_STATUSES),
        (0, (0, "PBS is not configured to maintain job history\n", ""), ()),
        (0, (153, "", "qstat: Unknown Job Id 0.server\n"), ()),
    ),
    cancel_fine=(
        (0, "", ""),
        (153, "", "qdel: Unknown Job Id 0.server\n"),
        (35, "", "qdel: Job has finished 0.server\n"),
    ),
    cancel_failed=((162, "", "qdel: cannot connect to server server (errno=15010)\n"),),
    cancelled=(
        ("7.server", "22[0].server", "22[1].server", "22[4].server"),
        ("qdel", "7.server", "22[0-1].server", "22[4].server"),
    ),
    logs={
        "0.server": ("/logs/0.server.OU", "/logs/0.server.ER"),
        "22[3].server": ("/logs/22[3].server.OU", "/logs/22[3].server.ER"),
    },
)

WRAPPERS = System(
    PBSAdapter(dialect=Dialect.SLURM_WRAPPERS, json=False, array_limit=1),
    submitted=(("220\n", 1, ("220", "220")),),
    rejected=(
        (
            (
                1,
                "There was an error running the Slurm sbatch command.\nThe command was:\n"
                "'/usr/bin/sbatch -e p.sh.e%A -o p.sh.o%A -p nosuch p.sh 2>&1'\n"
                "and the output was:\n'sbatch: error: invalid partition specified: nosuch\n"
                " sbatch: error: Batch job submission failed: "
                "Invalid partition name specified\n'\n",
                "",
            ),
            "invalid partition specified: nosuch; Batch job submission failed",
        ),
    ),
    statuses=(
        (
            (
                0,
                "Job Id:\t1012\n\tJob_Name = pbsjob\n"
                "\tJob_Owner = root@localhost\n\tjob_state = R\n"
                "\tqueue = debug\n\tAccount_Name = root\n\texec_host = node51/2\n"
                "\tResource_List.ncpus = 2\n\n"
                "Job Id:\t1013\n\tjob_state = Q\n\n"
                "Job Id:\t1014\n\tjob_state = C\n\n",
                "",
            ),
            (
                job("1012", RUNNING, "R", node="node51"),
                job("1013", PENDING, "Q"),
                job("1014", ENDED, "C"),
            ),
        ),
    ),
    nothing=((153, "", ""),),
    down=((2, "", "Problem loading jobs.\n"),),
    unknown_state=(0, "Job Id:\t1012\n\tjob_state = Z\n\n", ""),
    ended=(),
    cancel_fine=((0, "", ""), (1, "", ""), (3, "", "")),
    cancel_failed=((1, "qdel: Kill job error on job id 12: Access/permission denied\n", ""),),
    cancelled=(("220", "221"), ("qdel", "220", "221")),
    logs={"220": ("/logs/220.OU", "/logs/220.ER")},
)

SYSTEMS = {"slurm": SLURM, "pbs": PBS, "pbs-wrappers": WRAPPERS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each system, and each of its recordings of the kind that its marker names.

    `@pytest.mark.recorded("submitted")` on a test with arguments `system` and `recorded`.
    """
    if "recorded" in metafunc.fixturenames:
        (kind,) = next(metafunc.definition.iter_markers("recorded")).args
        cases = [
            pytest.param(system, recorded, id=f"{name}-{number}")
            for name, system in SYSTEMS.items()
            for number, recorded in enumerate(getattr(system, kind))
        ]
        metafunc.parametrize(("system", "recorded"), cases)
    elif "system" in metafunc.fixturenames:
        metafunc.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "recorded(kind): run for each recording of a kind")
