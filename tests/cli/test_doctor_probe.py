"""What the doctor's job can tell of the node that it is on."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from jobqueue.cli import doctor_probe
from jobqueue.comm import listen


def test_it_is_light():
    """A worker imports it, so it brings nothing along that workers do without."""
    code = (
        "import sys, jobqueue.cli.doctor_probe\n"
        "print([name for name in ('rich', 'jinja2', 'yaml', 'tornado') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_variables_in_the_local_directory_are_the_nodes(tmp_path, monkeypatch):
    """As they are expanded there when workers use it."""
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert doctor_probe.facts("$SCRATCH")["disk"]["folder"] == str(tmp_path)
    missing = doctor_probe.facts("$SCRATCH/none")["disk"]
    assert (missing["free"], missing["error"]) == (None, missing["error"])
    assert "No such file" in missing["error"]


@pytest.mark.parametrize(
    ("folder", "kind"), [("/", "xfs"), ("/homes", "xfs"), ("/home", "nfs4"), ("/home/u", "lustre")]
)
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(tmp_path, folder, kind):
    """`/homes` is not below `/home`, and the last mount of a place hides those before it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 / xfs rw 0 0\nserver:/home /home nfs4 rw 0 0\n"
        "mds:/u /home/u lustre rw 0 0\n"
    )
    assert doctor_probe.file_system(folder, str(mounts)) == kind
    assert doctor_probe.file_system(folder, str(tmp_path / "none")) == ""


def test_a_file_is_read_or_it_is_said_why_not(tmp_path):
    """That is what shows whether a folder is shared."""
    (tmp_path / "token").write_text("word")
    assert doctor_probe.read(str(tmp_path / "token")) == {"text": "word", "error": ""}
    assert doctor_probe.read(str(tmp_path / "none"))["error"] == "No such file or directory"


def test_each_address_is_tried(tmp_path):
    """One that answers has a time, another a reason."""

    async def run():
        folder = tmp_path / "private"
        folder.mkdir(mode=0o700)
        there, gone = f"unix://{folder}/here", f"unix://{folder}/gone"
        listener = await listen(
            there,
            hello={"role": "scheduler", "python": doctor_probe.PYTHON},
            on_comm=lambda comm: comm.start(lambda messages: None, lambda reason: None),
        )
        try:
            return there, gone, await doctor_probe.reach([gone, there], None)
        finally:
            listener.close()

    there, gone, tried = asyncio.run(run())
    assert [address for address, _, _ in tried] == [gone, there]
    assert tried[0][1] is None
    assert gone in tried[0][2]
    assert tried[1][1] is not None
    assert tried[1][2] == ""
