"""What runs on the machine itself: munge, the accounting database, slurmdbd and slurmctld."""

from __future__ import annotations

from pathlib import Path

from layout import Lab
from machine import LabError, kill, run, succeeds, wait_for
from processes import daemons, environment, start


def start_munge(lab: Lab) -> None:
    """Start the daemon that vouches for who asks on this machine."""
    folder = lab.munge_socket.parent
    options = {
        "key-file": lab.munge_key,
        "socket": lab.munge_socket,
        "pid-file": folder / "munged.pid",
        "log-file": folder / "munged.log",
        "seed-file": folder / "seed",
        "num-threads": 4,
    }
    argv = ["munged", "--foreground", *(f"--{name}={value}" for name, value in options.items())]
    munged = start(lab, "munged", argv)
    wait_for(lab.munge_socket.exists, f"munged's socket; see {folder}/munged.log", munged)


def start_database(lab: Lab) -> None:
    """Start the accounting database, empty, reachable through its Unix socket only."""
    data = lab.folder / "db" / "data"
    temporary = lab.folder / "db" / "tmp"  # in /tmp, two that start at once take each other's files
    temporary.mkdir()
    run(
        "mariadb-install-db",
        "--no-defaults",
        "--user=root",
        f"--datadir={data}",
        f"--tmpdir={temporary}",
        "--auth-root-authentication-method=socket",
        "--auth-root-socket-user=root",
        "--skip-test-db",
    )
    mariadbd = start(
        lab,
        "mariadbd",
        [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--tmpdir={temporary}",
            f"--socket={lab.database_socket}",
            f"--pid-file={lab.folder}/run/mariadbd.pid",
            "--skip-networking",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-lock-wait-timeout=900",  # slurmdbd asks for it
        ],
    )
    ask = ["mariadb", "--no-defaults", "-S", str(lab.database_socket), "-uroot", "-e"]
    log = lab.folder / "log" / "mariadbd.out"
    wait_for(lambda: succeeds(*ask, "select 1"), f"mariadbd; see {log}", mariadbd)
    run(*ask, "create database slurm_acct_db")


def start_accounting(lab: Lab) -> None:
    """Start slurmdbd and tell it of this cluster."""
    env = environment(lab)
    slurmdbd = start(lab, "slurmdbd", ["slurmdbd", "-D"])
    wait_for(
        lambda: succeeds("sacctmgr", "-n", "list", "cluster", env=env),
        f"slurmdbd; see {lab.folder}/log/slurmdbd.log",
        slurmdbd,
    )
    run("sacctmgr", "-i", "-Q", "add", "cluster", lab.cluster, env=env)


def start_controller(lab: Lab) -> None:
    """Start slurmctld: the batch system itself."""
    slurmctld = start(lab, "slurmctld", ["slurmctld", "-D", "-f", lab.conf])
    log = lab.folder / "log" / "slurmctld.log"
    try:
        wait_for(lambda: succeeds("scontrol", "ping", env=environment(lab)), "slurmctld", slurmctld)
    except LabError as error:
        raise LabError(f"{error}; {log} ends with:\n{_tail(log)}") from None


def stop_services(lab: Lab) -> None:
    """End all of them; at once, since what they would save is thrown away."""
    kill(lambda: daemons(lab), "the cluster's daemons")


def _tail(log: Path) -> str:
    return "".join(log.read_text().splitlines(keepends=True)[-5:]) if log.exists() else "nothing"
