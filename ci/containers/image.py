"""The image: from Debian's own, or from a root made by debootstrap; wheels for its Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from engine import HERE, Engine
from layout import Lab
from machine import LabError, run

IMAGE = "jobqueue-slurm"
PUBLISHED = "docker.io/library/debian:12"
OWN = "localhost/jobqueue-debian:12"  # where no registry can be reached
RELEASE = "bookworm"
PYTHON = "3.11"  # what that Debian has
EXTRAS = ("dev", "examples")  # the same environment as ci/check's
WHEELS = HERE / "wheels"


def build(engine: Engine, lab: Lab) -> None:
    """Make the image; what was made from the same input before comes from the engine's cache."""
    collect_wheels()
    engine.run("build", "-q", "-t", IMAGE, "--build-arg", f"BASE={_base(engine)}", HERE)


def collect_wheels() -> None:
    """Have this machine's pip fetch what the project needs, unless that is done already.

    Here, and not while the image is built: this machine knows its proxy, its mirror and whom to
    trust.
    """
    wanted = "\n".join(_requirements()) + "\n"
    file = WHEELS / "requirements.txt"
    if file.exists() and file.read_text() == wanted:
        return
    WHEELS.mkdir(exist_ok=True)
    for old in WHEELS.iterdir():
        old.unlink()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write(wanted)
        listed.flush()
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        for_image = ["--only-binary=:all:", f"--python-version={PYTHON}", f"--dest={WHEELS}"]
        run(*pip, *for_image, "-r", listed.name)
    file.write_text(wanted)


def _requirements() -> list[str]:
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return sorted({*project["dependencies"], *(each for name in EXTRAS for each in optional[name])})


def _base(engine: Engine) -> str:
    if engine.succeeds("image", "inspect", OWN):
        return OWN
    if engine.succeeds("image", "inspect", PUBLISHED) or engine.succeeds("pull", PUBLISHED):
        return PUBLISHED
    _bootstrap(engine)
    return OWN


def _bootstrap(engine: Engine) -> None:
    print(f"{PUBLISHED} cannot be pulled: making a Debian of our own", flush=True)
    if os.getuid() != 0:
        raise LabError("debootstrap makes a Debian without a registry as root only")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", RELEASE, root)
        tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
        argv = [engine.name, "import", "-", OWN]
        done = subprocess.run(argv, stdin=tar.stdout, capture_output=True, env=engine.env)
        if tar.wait() or done.returncode:
            raise LabError(f"{' '.join(argv)} failed: {done.stderr.decode().strip()}")
