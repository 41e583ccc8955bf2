"""Running commands: what they say, and how those that hang are ended."""

from __future__ import annotations

import asyncio
import shlex
import sys
import threading
from pathlib import Path

import psutil
import pytest

from jobqueue.batch import commands
from jobqueue.batch.answers import Completed
from jobqueue.errors import CommandNotFound, CommandTimeout

SHORT = 0.2  # seconds given to commands that would take for ever


def shell(text: str, **options: object) -> Completed:
    return asyncio.run(commands.run(["sh", "-c", text], **options))  # type: ignore[arg-type]


def test_what_a_command_says() -> None:
    """Exit status, stdout and stderr arrive apart; whether it failed is not judged here."""
    done = shell("echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert done.words == "err\nout"


def test_standard_input() -> None:
    """Text is handed over whole, and without any there is nothing to read."""
    text = "a line\n" * 50_000
    assert shell("cat", stdin=text).stdout == text
    assert shell("cat").stdout == ""


def test_command_that_does_not_read_its_input() -> None:
    """A command may end without having read what it was given."""
    assert shell("exit 0", stdin="x" * 5_000_000).returncode == 0


def test_arguments_are_not_interpreted() -> None:
    """No shell stands between us and the command."""
    done = asyncio.run(commands.run(["echo", "$HOME", "a b", "*"]))
    assert done.stdout == "$HOME a b *\n"


def test_the_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PWD` names the folder we are in, by the name it was entered by; oarsub goes by that."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    for entered, told in ((folder, folder), (link, folder)):
        monkeypatch.chdir(entered)
        monkeypatch.delenv("PWD", raising=False)
        assert _pwd() == str(told)
        monkeypatch.setenv("PWD", "/")
        assert _pwd() == str(told)
    monkeypatch.setenv("PWD", str(link))
    assert _pwd() == str(link)
    folder.rmdir()
    assert _pwd() == str(link)


def _pwd() -> str:
    return asyncio.run(commands.run(["printenv", "PWD"])).stdout.strip()


def test_bytes_that_are_no_text() -> None:
    """Output that is not UTF-8 is no error."""
    assert shell(r"printf 'caf\351'").stdout == "caf�"


def test_command_that_hangs(tmp_path: Path, wait_until: object) -> None:
    """After its time the command and its children are ended, and the error says what to try."""
    pids = tmp_path / "pids"
    with pytest.raises(CommandTimeout) as caught:
        shell(f"echo asking >&2; sleep 600 & echo $$ $! > {pids}; wait", timeout=SHORT)
    assert "sh did not answer within 0.2 s" in str(caught.value)
    assert "in a terminal" in str(caught.value)
    assert caught.value.output == "asking"
    assert pids.read_text().split()
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: _ended(pid), message=f"{pid} to be ended")  # type: ignore[operator]


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_command_that_ignores_term() -> None:
    """A command that does not want to end is ended all the same."""
    with pytest.raises(CommandTimeout):
        shell("trap '' TERM INT HUP; while :; do sleep 600; done", timeout=SHORT)


def test_child_that_keeps_the_pipes_open(tmp_path: Path) -> None:
    """A command's answer counts when it has ended, though a child of it holds on to its output."""
    pid = tmp_path / "pid"
    done = shell(f"sleep 600 & echo $! > {pid}; echo 5")
    assert (done.returncode, done.stdout) == (0, "5\n")
    psutil.Process(int(pid.read_text())).kill()


def test_cancelled_while_a_command_runs() -> None:
    """Whoever gives up waiting leaves no process behind."""

    async def give_up() -> None:
        before = set(psutil.Process().children())
        task = asyncio.create_task(commands.run(["sleep", "600"]))
        # Nobody tells when a process has started.
        while not set(psutil.Process().children()) - before:  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(psutil.Process().children()) <= before

    asyncio.run(give_up())


@pytest.mark.parametrize("turns", range(8))
def test_cancelled_while_a_command_is_being_started(turns: int) -> None:
    """Before asyncio has connected its pipes: the wait ends all the same, and so does it."""

    async def give_up() -> None:
        before = set(psutil.Process().children())
        task = asyncio.create_task(commands.run(["sleep", "600"]))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done
        assert task.cancelled()
        assert set(psutil.Process().children()) <= before

    pipes = _open_files()
    asyncio.run(give_up())
    assert _open_files() <= pipes


def test_cancelled_twice(tmp_path: Path) -> None:
    """An event loop that is taken down cancels whoever still ends a command: its pipes close."""
    begun = tmp_path / "begun"

    async def give_up() -> None:
        script = f"touch {shlex.quote(str(begun))}; exec sleep 600"
        task = asyncio.create_task(commands.run(["sh", "-c", script]))
        while not begun.exists():  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(100):  # turns in which asyncio connects the pipes of what it has started
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    pipes = _open_files()
    asyncio.run(give_up())
    assert _open_files() == pipes


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_such_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command and what to do; it says how far the search went."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/nonexistent")
    with pytest.raises(CommandNotFound, match=r"sbatch-x is not on PATH \(3 folders .* module"):
        asyncio.run(commands.run(["sbatch-x"]))
    assert not commands.available("sbatch-x")
    assert commands.available("sh")


def test_file_that_cannot_be_run(tmp_path: Path) -> None:
    """A file without leave to run it is said to be that."""
    path = tmp_path / "sbatch"
    path.write_text("")
    with pytest.raises(CommandNotFound, match="Permission denied"):
        asyncio.run(commands.run([str(path)]))


def test_in_a_thread_of_its_own() -> None:
    """Commands run on an event loop that is not the main thread's, many at a time."""
    done: list[Completed] = []

    async def many() -> None:
        done.extend(
            await asyncio.gather(*(commands.run(["echo", str(number)]) for number in range(8)))
        )

    thread = threading.Thread(target=asyncio.run, args=(many(),))
    thread.start()
    thread.join()
    assert [each.stdout for each in done] == [f"{number}\n" for number in range(8)]


def test_python_of_this_interpreter() -> None:
    """An ordinary program with more output than a pipe holds is read to its end."""
    code = "import sys; sys.stdout.write('x' * 3_000_000)"
    assert len(asyncio.run(commands.run([sys.executable, "-c", code])).stdout) == 3_000_000
