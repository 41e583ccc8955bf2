"""HTCondor on one machine: what it is told, and how it is started."""

from __future__ import annotations

from debian import PATH, Image, Machine

IMAGE = Image("htcondor", "trixie", ("minicondor",))
STATUS = ("condor_status",)
FOLDERS = (
    "/run/condor",
    "/run/lock/condor",
    "/var/log/condor",
    "/var/spool/condor",
    "/var/lib/condor/execute",
)
# Processors and memory that are told to HTCondor; the machine may have less, jobs then share it.
# The machine's control groups and kernel settings are left alone. Intervals that a site counts in
# minutes are short.
CONFIGURATION = """\
NUM_CPUS = 16
MEMORY = 16384
ENABLE_IPV6 = False

BASE_CGROUP =
MOUNT_PRIVATE_DEV_SHM = False
MOUNT_UNDER_SCRATCH = /var/tmp
LINUX_KERNEL_TUNING_SCRIPT =
ENABLE_KERNEL_TUNING = False

NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
"""


def start(machine: Machine) -> None:
    """Start the master, which starts the rest."""
    machine.path("/etc/condor/config.d/99-lab").write_text(CONFIGURATION)
    machine.run("mkdir", "-p", *FOLDERS)
    machine.run("chown", "condor:", *FOLDERS)
    machine.run("env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "condor_master")


def ready(machine: Machine) -> bool:
    """Tell whether the node has reported, and jobs are taken."""
    return machine.succeeds("condor_q") and "slot1" in machine.run("condor_status", "-af", "Name")
