"""Docker or podman: which of them is here, and how it is called."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from layout import Machine
from machine import LabError, run, wait_for

HERE = Path(__file__).resolve().parent
CHOICE = "JOBQUEUE_CONTAINERS"  # "docker" or "podman", where both are here
CAP_SYS_RESOURCE = 24  # its number in the kernel

KNOWN = ("docker", "podman")
COMPOSERS = (("docker", "compose"), ("docker-compose",))  # podman is understood by them, too


@dataclass(frozen=True)
class Engine:
    """What runs containers on this machine."""

    name: str
    composer: tuple[str, ...]
    env: dict[str, str] = field(repr=False)

    def run(self, *argv: str | Path) -> str:
        """Run one of its commands, which must succeed; give what it printed."""
        return run(self.name, *argv, env=self.env)

    def succeeds(self, *argv: str | Path) -> bool:
        """Tell whether one of its commands ends with 0."""
        return _quietly([self.name, *map(str, argv)], self.env)

    def compose(self, *argv: str, **settings: str) -> None:
        """Run a command about compose.yaml, with settings for the variables that it names."""
        file = HERE / "compose.yaml"
        command = [*self.composer, "-p", "jobqueue", "-f", str(file), *argv]
        with self._service() as place:
            env = {**self.env, **settings, **place}
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr + done.stdout).strip()
            raise LabError(f"{' '.join(command)} ended with {done.returncode}: {words}")

    @contextmanager
    def _service(self) -> Iterator[dict[str, str]]:
        """Give the variables by which a compose command finds the engine; podman has no daemon."""
        if self.name == "docker":
            yield {}
            return
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "podman.sock"
            argv = [self.name, "system", "service", "--time=0", f"unix://{place}"]
            service = subprocess.Popen(argv, env=self.env, stderr=subprocess.DEVNULL)
            try:
                wait_for(place.exists, "podman's socket", service)
                yield {"DOCKER_HOST": f"unix://{place}"}
            finally:
                service.terminate()
                service.wait()

    def inside(self, machine: Machine, *argv: str) -> str:
        """Run a command in a running container, which must succeed; give what it printed."""
        return self.run("exec", machine.container, *argv)

    def ask(self, machine: Machine, *argv: str) -> str:
        """Give what a command in a container prints, "" if it has nothing to say within 20 s.

        Some versions of docker wait for ever if the container ends meanwhile.
        """
        command = [self.name, "exec", machine.container, *argv]
        with suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                command, env=self.env, capture_output=True, text=True, timeout=20
            ).stdout
        return ""

    def log(self, machine: Machine) -> str:
        """Give the last lines of what a container has printed."""
        argv = [self.name, "logs", "--tail", "20", machine.container]
        out, both = subprocess.PIPE, subprocess.STDOUT
        return subprocess.run(argv, env=self.env, stdout=out, stderr=both, text=True).stdout

    def running(self) -> list[str]:
        """Name the containers that run."""
        return self.run("ps", "--format", "{{.Names}}").split()


def choose() -> Engine:
    """Find the one to use: the first that answers, and a compose command."""
    wanted = os.environ.get(CHOICE, "")
    if wanted not in ("", *KNOWN):
        raise LabError(f"{CHOICE}={wanted}: choose {' or '.join(KNOWN)}")
    composers = [each for each in COMPOSERS if _quietly([*each, "version"], dict(os.environ))]
    for name in [wanted] if wanted else KNOWN:
        env = {**os.environ, **_settings(name)}
        if composers and _quietly([name, "info"], env):
            return Engine(name, composers[0], env)
    missing = f"{wanted or ' or '.join(KNOWN)} that answers" if composers else "docker compose"
    raise LabError(
        f"there is no {missing}: containers need docker or podman, and docker compose with either."
        " On Debian: apt-get install --no-install-recommends docker-compose podman runc netavark"
        " aardvark-dns iptables"
    )


def _settings(name: str) -> dict[str, str]:
    if name == "podman" and "CONTAINERS_CONF" not in os.environ and not _may_raise_limits():
        return {"CONTAINERS_CONF": str(HERE / "containers.conf")}
    return {}


def _may_raise_limits() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True


def _quietly(argv: list[str], env: dict[str, str]) -> bool:
    try:
        return not subprocess.run(argv, capture_output=True, env=env, check=False).returncode
    except FileNotFoundError:
        return False
