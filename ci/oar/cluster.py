"""OAR on one machine: what it is told, and how it is started.

The database is made anew each time, in a second. The node is the machine itself, which the server
reaches through OAR's own sshd. There is no cpuset: that wants control groups of the first version,
so a job's processes are ended one by one (`oarkill`), not by their group.
"""

from __future__ import annotations

import re

from debian import Image, Machine
from machine import wait_for

IMAGE = Image(
    "oar",
    "bookworm",
    (
        *("oar-server", "oar-server-pgsql", "oar-node", "oar-user", "oar-user-pgsql"),
        *("postgresql", "sudo", "libyaml-perl", "libxml-dumper-perl"),
    ),
)
STATUS = ("oarnodes", "-s")
CORES = 16  # told to OAR; the machine may have fewer processors, jobs then share them
DATABASE = ("pg_ctlcluster", "15", "main")
SETTINGS = {
    "DB_BASE_PASSWD": "secret",
    "DB_BASE_PASSWD_RO": "secret",
    "SCHEDULER_MIN_TIME_BETWEEN_2_CALLS": "1",  # seconds; 5 at a site
}


def start(machine: Machine) -> None:
    """Start database, server and node, and name the node's cores."""
    configuration = machine.path("/etc/oar/oar.conf")
    configuration.write_text(configured(configuration.read_text()))
    machine.run(*DATABASE, "start")
    wait_for(lambda: _database_answers(machine), "the database; see its log")
    machine.run("oar-database", "--create", "--db-is-local")
    for folder in ("/run/sshd", "/run/oar"):
        machine.run("mkdir", "-p", folder)
    machine.run("/usr/sbin/sshd", "-f", "/etc/oar/sshd_config")
    machine.run("install", "-o", "oar", "-g", "oar", "/dev/null", "/var/log/oar.log")
    machine.run("/etc/init.d/oar-server", "start")
    machine.run("sh", "-ec", _resources(machine.host_name))


def ready(machine: Machine) -> bool:
    """Tell whether the node takes jobs."""
    return "Alive" in machine.run(*STATUS)


def configured(text: str) -> str:
    """Return OAR's configuration with our settings."""
    text = re.sub(r"^(JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD=)", r"#\1", text, flags=re.MULTILINE)
    for name, value in SETTINGS.items():
        text = re.sub(rf"^#?{name}=.*\n", "", text, flags=re.MULTILINE) + f'{name}="{value}"\n'
    return text


def _resources(host: str) -> str:
    """Return the commands that name every core of the node."""
    cores = "\n".join(
        f"oarnodesetting -a -h {host} -p host={host} -p cpu=0 -p core={core} -p cpuset={core}"
        for core in range(CORES)
    )
    return f"oarproperty -a cpu\noarproperty -a core\noarproperty -c -a host\n{cores}"


def _database_answers(machine: Machine) -> bool:
    return machine.succeeds("su", "postgres", "-c", "psql -qc 'select 1'")
