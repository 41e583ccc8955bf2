"""The Grid Engine as a whole: bring it up, take it down."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import conf
from install import install_check
from layout import COMMANDS, PROGRAMS, SHARED, Lab
from machine import (
    WORK,
    kill,
    live_processes,
    name_of,
    own_folder,
    run,
    strings_of,
    succeeds,
    wait_for,
)

DAEMONS = ("sge_qmaster", "sge_execd", "sge_shepherd")
ARCHITECTURE = "lx-amd64"


def up(lab: Lab) -> None:
    """Bring a fresh cluster up, first clearing away whatever an earlier one left."""
    install_check()
    down(lab)
    shutil.rmtree(lab.folder, ignore_errors=True)
    write_files(lab)
    _initialise(lab)
    _program(lab, "sge_qmaster")
    wait_for(lambda: _answers(lab), f"sge_qmaster; see {lab.spool}/qmaster/messages")
    _configure(lab)
    _program(lab, "sge_execd")
    wait_for(lambda: _ready(lab), f"the host to report; see {lab.spool}/execd")


def down(lab: Lab) -> None:
    """Leave nothing behind but the logs: no daemon, no process of a job."""
    kill(lambda: _processes(lab), "Grid Engine's processes")
    for entry in lab.folder.glob("*"):
        if entry.name == "spool":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_files(lab: Lab) -> None:
    """Make the folder, with links to the programs where they expect each other."""
    own_folder(WORK)
    own_folder(lab.folder)
    for folder in (lab.common, lab.spool / "qmaster" / "job_scripts", lab.spool / "execd"):
        folder.mkdir(parents=True)
    for name in ("bin", "utilbin", "lib"):
        (lab.folder / name).mkdir()
        (lab.folder / name / ARCHITECTURE).symlink_to(PROGRAMS)
    (lab.folder / "util").symlink_to(SHARED / "util")
    lab.commands.mkdir()
    for command in COMMANDS:
        (lab.commands / command).symlink_to(PROGRAMS / command)
    (lab.common / "bootstrap").write_text(conf.bootstrap(lab))
    (lab.common / "act_qmaster").write_text(f"{conf.HOST}\n")
    # One name for this machine, whatever its own host name resolves to.
    (lab.common / "host_aliases").write_text(f"{conf.HOST} {socket.gethostname()}\n")


def _initialise(lab: Lab) -> None:
    folder = lab.folder / "configuration"
    default = (SHARED / "default-configuration").read_text()
    folder.write_text(conf.global_configuration(lab, default))
    spooling = f"{lab.common};{lab.spool}/qmaster"
    _program(lab, "spoolinit", "classic", "libspoolc", spooling, "init")
    resources = SHARED / "util" / "resources"
    _program(lab, "spooldefaults.bin", "configuration", folder)
    _program(lab, "spooldefaults.bin", "complexes", resources / "centry")
    _program(lab, "spooldefaults.bin", "usersets", resources / "usersets")
    _program(lab, "spooldefaults.bin", "managers", "root")


def _configure(lab: Lab) -> None:
    """Name submit host, node, parallel environment and queue; each is a text that qconf reads."""
    _program(lab, "qconf", "-as", conf.HOST)
    steps: tuple[tuple[str, str, Callable[[str], str]], ...] = (
        ("-ssconf", "-Msconf", conf.scheduling),
        ("-se", "-Ae", conf.host),
        ("-sp", "-Ap", conf.parallel_environment),
        ("-sq", "-Aq", conf.queue),
    )
    for show, take, change in steps:
        text = lab.folder / f"qconf{take}"
        default = _DEFAULTS.get(show) or _program(lab, "qconf", show)
        text.write_text(change(default))
        _program(lab, "qconf", take, text)


# qconf shows no template of these.
_DEFAULTS = {
    "-se": """\
hostname template
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
""",
    "-sp": """\
pe_name template
slots 0
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
qsort_args NONE
accounting_summary FALSE
""",
}


def exports(lab: Lab) -> str:
    """Give the shell text that lets a shell and its pytest use the cluster."""
    variables = {**lab.variables, "JOBQUEUE_TEST_SGE": str(lab.number)}
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return f"export {' '.join(words)} PATH={lab.commands}:$PATH"


def status(lab: Lab) -> str:
    """Describe hosts and queues as Grid Engine sees them."""
    return _program(lab, "qstat", "-f", "-u", "*")


def _answers(lab: Lab) -> bool:
    return succeeds(PROGRAMS / "qconf", "-sh", env=_environment(lab))


def _ready(lab: Lab) -> bool:
    """Tell whether the queue's host has reported: until then the queue's state is `au`."""
    lines = _program(lab, "qstat", "-f").splitlines()
    fields = next((line.split() for line in lines if line.startswith("all.q@")), [])
    return len(fields) == 5  # name, type, slots, load, architecture, and no state


def _program(lab: Lab, name: str, *arguments: str | Path) -> str:
    return run(PROGRAMS / name, *arguments, env=_environment(lab))


def _environment(lab: Lab) -> dict[str, str]:
    """Give the whole environment of a daemon: nothing of the caller's shell may leak into jobs."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": str(PROGRAMS),
        "USER": "root",
        "HOME": os.environ.get("HOME", "/root"),
        **lab.variables,
    }


def _processes(lab: Lab) -> list[int]:
    """Find the cluster's daemons, and what its jobs have started."""
    daemon = f"SGE_ROOT={lab.folder}\0".encode()
    job = f"SGE_JOB_SPOOL_DIR={lab.folder}/".encode()
    return [
        pid
        for pid in live_processes()
        if job in (strings := strings_of(pid)) or (daemon in strings and name_of(pid) in DAEMONS)
    ]
