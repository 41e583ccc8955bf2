"""A Debian of any release as a machine of its own: a folder for its files, namespaces for the rest.

For batch systems whose packages would change the machine they are tried on, or want another Debian.
An *image* is a folder with the packages, made once. A *machine* is that image with a layer of its
own over it (overlayfs), and with process ids, mounts, a network and a host name that nobody outside
sees. So each start is fresh, no port is ever taken, and all its processes end with its first. The
repository is seen inside, read-only, as `/project`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import (
    APT_OPTIONS,
    WORK,
    LabError,
    NumberedLab,
    kill,
    live_processes,
    name_of,
    own_folder,
    run,
    strings_of,
    succeeds,
    wait_for,
)

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = "/project"
USER = "ada"  # batch systems take no jobs from root
MARK = "JOBQUEUE_MACHINE"  # in the environment of a machine's first process
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALWAYS = ("iproute2", "procps", "python3")
NEEDED_HERE = {"debootstrap": "debootstrap", "unshare": "util-linux", "nsenter": "util-linux"}
TEST_TOOLS = ("pytest",)


@dataclass(frozen=True)
class Image:
    """A Debian with packages, and what the project needs of Python."""

    name: str
    release: str
    packages: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The files."""
        return WORK / f"{self.name}-image"

    def install(self) -> None:
        """Make the image; a second call finds it and takes no time."""
        own_folder(WORK)
        for program, package in NEEDED_HERE.items():
            if shutil.which(program, path=PATH) is None:
                run("apt-get", "install", "-y", "-q", package)
        if self.is_there():
            return
        making = WORK / f"{self.name}-image.making"
        shutil.rmtree(making, ignore_errors=True)
        run("debootstrap", "--variant=minbase", self.release, making)
        _install_packages(making, (*ALWAYS, *self.packages))
        _install_python_packages(making)
        run("chroot", making, "useradd", "--create-home", "--shell", "/bin/bash", USER)
        (making / PROJECT[1:]).mkdir()
        making.rename(self.folder)

    def is_there(self) -> bool:
        """Tell whether it has been made."""
        return self.folder.is_dir()


@dataclass(frozen=True, kw_only=True)
class Machine(NumberedLab):
    """A running Debian; those with different numbers (0 to 9) share nothing but the image."""

    image: Image
    host_name: str = "node1"
    address: str = "10.78.0.1"

    @property
    def name(self) -> str:
        """What it is called outside."""
        return f"{self.image.name}-{self.number}"

    @property
    def files(self) -> Path:
        """What it has written; also there when it is down."""
        return self.folder / "files"

    def start(self) -> None:
        """Start it with nothing but a process that waits; what an earlier one left is removed."""
        if not self.image.is_there():
            raise LabError(
                f"{self.image.name} is not here: run python3 ci/{self.image.name} install"
            )
        self.stop()
        folder = self.folder
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("files", "work", "root"):
            (folder / part).mkdir(parents=True)
        argv = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
        with (folder / "start.log").open("w") as log:
            outside = subprocess.Popen(
                [*argv, "sh", "-ec", self._boot(folder)],
                env={"PATH": PATH, MARK: self.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self.is_up, f"{self.name} to start; see {folder / 'start.log'}", outside)

    def stop(self) -> None:
        """End all its processes."""
        kill(self._first, f"{self.name}")

    def is_up(self) -> bool:
        """Tell whether it runs."""
        return bool(self._first())

    def run(self, *argv: str | Path) -> str:
        """Run a command inside, as root; give what it prints."""
        return run(*self.inside("root", argv))

    def succeeds(self, *argv: str | Path) -> bool:
        """Tell whether a command inside ends with 0."""
        return succeeds(*self.inside("root", argv))

    def path(self, path: str) -> Path:
        """Return where a file of the running machine is seen from outside."""
        return Path(f"/proc/{self._first_or_error()}/root{path}")

    def inside(
        self, user: str, argv: Sequence[str | Path], variables: Sequence[str] = ()
    ) -> list[str]:
        """Return the command that runs a command inside, in `/project`.

        Parameters
        ----------
        user
            Whose command it is; nothing of the caller's environment goes with it.
        argv
            The command.
        variables
            Words ``NAME=value`` for its environment.
        """
        first = self._first_or_error()
        enter = ["nsenter", f"--target={first}", "--mount", "--pid", "--net", "--uts", "--ipc"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        settings = [f"PATH={PATH}", "LANG=C.UTF-8", *variables]
        return [
            *(*enter, "--root"),
            *(*become, "env", f"--chdir={PROJECT}", *settings, *map(str, argv)),
        ]

    def _boot(self, folder: Path) -> str:
        """Return what its first process does before it only waits.

        As process 1 it inherits all orphans; it ignores their ends, and the kernel forgets them.
        """
        root = shlex.quote(str(folder / "root"))
        layers = f"lowerdir={self.image.folder},upperdir={self.files},workdir={folder / 'work'}"
        hosts = f"127.0.0.1 localhost\\n{self.address} {self.host_name}\\n"
        return f"""
mount -t overlay overlay -o {shlex.quote(layers)} {root}
mount -t proc proc {root}/proc
mount --rbind /sys {root}/sys
mount --rbind /dev {root}/dev
mount -t tmpfs tmpfs {root}/run
mount --bind -o ro {shlex.quote(str(REPOSITORY))} {root}{PROJECT}
hostname {self.host_name}
echo {self.host_name} > {root}/etc/hostname
printf '{hosts}' > {root}/etc/hosts
chroot {root} ip link set lo up
chroot {root} ip link add eth0 type veth peer name cable
chroot {root} ip link set cable up
chroot {root} ip link set eth0 up
chroot {root} ip address add {self.address}/24 dev eth0
exec chroot {root} env --ignore-signal=CHLD sleep infinity
"""

    def _first_or_error(self) -> int:
        if first := self._first():
            return first[0]
        raise LabError(f"{self.name} is down: run python3 ci/{self.image.name} up")

    def _first(self) -> list[int]:
        """Find the process whose end is the machine's, [] if there is none."""
        mark = f"{MARK}={self.name}\0".encode()
        return [
            pid for pid in live_processes() if name_of(pid) == "sleep" and mark in strings_of(pid)
        ]


def _install_packages(root: Path, packages: Sequence[str]) -> None:
    """Install Debian's packages without letting them start anything."""
    deny = root / "usr/sbin/policy-rc.d"
    deny.write_text("#!/bin/sh\nexit 101\n")
    deny.chmod(0o755)
    options = [f"-o{option}" for option in APT_OPTIONS]
    wanted = ["install", "-y", "-q", "--no-install-recommends", *packages]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run("chroot", root, "apt-get", *options, *wanted, env=environment)
    run("chroot", root, "apt-get", "clean")


def _install_python_packages(root: Path) -> None:
    """Install what the project depends on, by this Python's pip for the other: no network inside.

    The project itself is not installed: it is found where it lies.
    """
    (library,) = (root / "usr/local/lib").glob("python3.*/dist-packages")
    version = library.parent.name.removeprefix("python")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    tools = [
        requirement
        for requirement in project["optional-dependencies"]["dev"]
        if requirement.partition(">")[0] in TEST_TOOLS
    ]
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"),
        *("--target", library, "--python-version", version, "--only-binary=:all:"),
        *(*project["dependencies"], *tools),
    )
    (library / "project.pth").write_text(f"{PROJECT}\n")
