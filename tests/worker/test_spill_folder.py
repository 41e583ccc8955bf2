"""Values as files, and what killed processes leave of them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.protocol.payload import Payload
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.spill_folder import PREFIX, SpillFolder, sweep


@given(head=st.binary(max_size=70_000), buffers=st.lists(st.binary(max_size=30), max_size=5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, head, buffers):
    """Pickle and buffers, however many and of any size, empty ones too."""
    folder = SpillFolder(str(tmp_path_factory.getbasetemp()))
    try:
        found = folder.read(folder.write(Payload(head, buffers) if buffers else head))
    finally:
        folder.close()
    if isinstance(found, bytes):
        found = Payload(found, [])
    assert (bytes(found.head), [bytes(b) for b in found.buffers]) == (head, buffers)


def test_what_is_read_may_be_changed(tmp_path: Path):
    """As what comes over the wire: an array that was read back can be written to."""
    folder = SpillFolder(str(tmp_path))
    value = loads(folder.read(folder.write(dumps(bytearray(50_000)))))
    value[0] = 1
    assert len(value) == 50_000
    folder.close()


def test_nobody_else_may_look(tmp_path: Path):
    """A folder of mode 0700, made when it is first needed, and files of mode 0600."""
    folder = SpillFolder(str(tmp_path / "made" / "too"))
    assert not (tmp_path / "made").exists()
    number = folder.write(b"x")
    assert folder.path is not None
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{folder.path}/{number}").st_mode) == 0o600
    folder.close()
    assert os.listdir(tmp_path / "made" / "too") == []
    folder.close()


def test_what_is_removed_is_gone(tmp_path: Path):
    """Twice is no error; reading it is one of the operating system's."""
    folder = SpillFolder(str(tmp_path))
    numbers = [folder.write(b"x"), folder.write(b"y")]
    folder.remove(numbers[:1])
    folder.remove(numbers[:1])
    with pytest.raises(FileNotFoundError):
        folder.read(numbers[0])
    assert folder.read(numbers[1]) == b"y"
    folder.close()
    for late in (lambda: folder.read(numbers[1]), lambda: folder.write(b"z")):
        with pytest.raises(FileNotFoundError):
            late()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("keep", [0, 7, 16, 20, -1])
def test_half_a_file_is_not_taken_for_a_value(tmp_path: Path, keep: int):
    """A file that was cut, by a quota or a crash, is an error of reading."""
    folder = SpillFolder(str(tmp_path))
    number = folder.write(Payload(b"head", [b"buffer"]))
    path = Path(f"{folder.path}/{number}")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(OSError, match="is damaged"):
        folder.read(number)
    folder.close()


def test_numbers_that_cannot_be_are_not_believed(tmp_path: Path):
    """Damage at the beginning of a file does not make a worker ask for a terabyte."""
    folder = SpillFolder(str(tmp_path))
    number = folder.write(b"x" * 100)
    Path(f"{folder.path}/{number}").write_bytes(b"\xff" * 100)
    with pytest.raises(OSError, match="is damaged"):
        folder.read(number)
    folder.close()


def test_a_folder_that_somebody_removed_is_made_anew(tmp_path: Path):
    """One value finds it gone; what was in it is lost, and the next ones have another."""
    folder = SpillFolder(str(tmp_path))
    lost = folder.write(b"x")
    os.unlink(f"{folder.path}/{lost}")
    assert folder.path is not None
    os.rmdir(folder.path)
    with pytest.raises(FileNotFoundError):
        folder.write(b"y")
    number = folder.write(b"z")
    assert folder.read(number) == b"z"
    with pytest.raises(FileNotFoundError):
        folder.read(lost)
    folder.close()


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The error comes through, and the space is free again."""
    folder = SpillFolder(str(tmp_path))
    folder.write(b"x")
    code = (
        "import resource, signal, sys, os\n"
        "from jobqueue.worker.spill_folder import SpillFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "folder = SpillFolder(sys.argv[1])\n"
        "try: folder.write(bytes(100_000))\n"
        "except OSError as error: print(error.errno, os.listdir(folder.path))\n"
        "folder.close()\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    assert done.stdout.split(maxsplit=1)[1].strip() == "[]"
    folder.close()


def test_what_a_killed_process_left_is_swept(tmp_path: Path):
    """And nothing else: not what is in use, nor what others have named so."""
    code = (
        "import os, sys\n"
        "from jobqueue.worker.spill_folder import SpillFolder\n"
        "folder = SpillFolder(sys.argv[1]); folder.write(b'x'); print(folder.path)\n"
        "os._exit(1)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    left = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    assert os.path.isdir(left)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("")
    folder = SpillFolder(str(tmp_path))
    folder.write(b"y")  # sweeps first
    assert not os.path.exists(left)
    assert sweep(str(tmp_path)) == []
    assert folder.path is not None
    assert os.path.isdir(folder.path)
    assert elsewhere.is_dir()
    assert (tmp_path / f"{PREFIX}file").exists()
    folder.close()
    assert sweep(str(tmp_path / "missing")) == []
