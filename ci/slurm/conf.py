"""The configuration files of one lab, as text.

Limits that a site counts in minutes are short here, so that a test sees a lost node or an ignored
SIGTERM within seconds. Two things differ from a site in kind: nodes claim more cores and memory
than the machine has (`config_overrides`), and the GPUs are copies of /dev/null.
"""

from __future__ import annotations

from pathlib import Path

from layout import Lab

CPUS = 32  # told to Slurm; the machine may have fewer, jobs then share them
MEMORY_MB = 128_000
GPUS = 2

# Slurm can only track jobs by control group where version 1 is mounted or systemd runs; elsewhere
# it follows process groups (a process that leaves its group lives until its node is taken down) and
# looks at a job's memory once a second (the job ends as FAILED, not as OUT_OF_MEMORY).
CGROUP_V1 = all(Path("/sys/fs/cgroup", name).is_dir() for name in ("freezer", "memory", "cpuset"))


def slurm_conf(lab: Lab, host: str) -> str:
    """Configure the controller and the nodes; `host` is the machine's own short host name."""
    tracking = "cgroup" if CGROUP_V1 else "pgid"
    tasks = "cgroup" if CGROUP_V1 else "none"
    memory = "" if CGROUP_V1 else "JobAcctGatherParams=OverMemoryKill\n"
    nodes = "\n".join(
        f"NodeName={node.name} NodeAddr={node.address} CPUs={CPUS} RealMemory={MEMORY_MB}"
        f" Gres=gpu:{GPUS} State=UNKNOWN"
        for node in lab.nodes
    )
    return f"""\
ClusterName={lab.cluster}
SlurmctldHost={host}({lab.login_address})
SlurmctldPort={lab.controller_port}
SlurmdPort={lab.node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={lab.munge_socket}
CredType=cred/munge
StateSaveLocation={lab.folder}/state
SlurmdSpoolDir={lab.folder}/spool/%n
SlurmctldPidFile={lab.folder}/run/slurmctld.pid
SlurmdPidFile={lab.folder}/run/slurmd-%n.pid
SlurmctldLogFile={lab.folder}/log/slurmctld.log
SlurmdLogFile={lab.folder}/log/slurmd-%n.log
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
FirstJobId={lab.first_job}

ProctrackType=proctrack/{tracking}
TaskPlugin=task/{tasks}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
{memory}AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={lab.login_address}
AccountingStoragePort={lab.accounting_port}
AccountingStoragePass={lab.munge_socket}

SlurmctldTimeout=30
SlurmdTimeout=6
MessageTimeout=5
TCPTimeout=1
InactiveLimit=0
KillWait=5
OverTimeLimit=0
CompleteWait=0
UnkillableStepTimeout=10
ReturnToService=2
MaxArraySize=10001
MaxJobCount=20000

SlurmdParameters=config_overrides
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1

{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 DefMemPerCPU=100 \
PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE DefaultTime=60 DefMemPerCPU=100 \
PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=short Nodes={lab.node(1).name} MaxTime=2 DefaultTime=1 DefMemPerCPU=100 \
PriorityTier=1 State=UP
"""


def cgroup_conf() -> str:
    """Let Slurm hold jobs to the memory they asked for, where version 1 control groups are.

    Elsewhere slurmd only has to be kept from version 2, which it would look for systemd to set up.
    """
    if not CGROUP_V1:
        return "CgroupPlugin=cgroup/v1\n"
    return """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainCores=no
ConstrainDevices=no
"""


def gres_conf(lab: Lab) -> str:
    """Tell which device file is which GPU: the files have to exist, and each GPU has its own."""
    names = ",".join(node.name for node in lab.nodes)
    return f"NodeName={names} Name=gpu File={lab.folder}/dev/gpu[0-{GPUS - 1}]\n"


def slurmdbd_conf(lab: Lab, host: str) -> str:
    """Configure accounting; Slurm refuses this file if others can read it."""
    return f"""\
AuthType=auth/munge
AuthInfo=socket={lab.munge_socket}
DbdHost={host}
DbdAddr={lab.login_address}
DbdPort={lab.accounting_port}
SlurmUser=root
LogFile={lab.folder}/log/slurmdbd.log
PidFile={lab.folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


def hosts(lab: Lab, host: str) -> str:
    """Give what /etc/hosts says inside a node."""
    lines = ["127.0.0.1 localhost", f"{lab.login_address} {host} login"]
    lines += [f"{node.address} {node.name}" for node in lab.nodes]
    return "\n".join(lines) + "\n"
