"""How a worker process starts, and that it does not outlive its agent."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.launch import Order, Signs, give_order, start_worker, worker_argv
from jobqueue.worker.options import WorkerOptions

OPTIONS = WorkerOptions(addresses=("tls://10.0.0.1:4000",), name="a-0", credentials="/secret/place")

REPORT = """
import json, os, sys
leads_group = os.getpgid(0) == os.getpid()
print(json.dumps([sys.stdin.readline(), leads_group, os.getsid(0)]), file=sys.stderr)
"""

# An agent in miniature: its worker says `ready` when the kernel has been told.
PARENT = """
import subprocess, sys
worker = '''
import os, signal, sys
from jobqueue.worker.launch import die_with_parent
die_with_parent(int(sys.argv[1]))
os.write(1, b"ready")
signal.pause()
'''
import os
subprocess.Popen([sys.executable, "-c", worker, str(os.getpid())]).wait()
"""


def test_the_command_is_this_interpreter() -> None:
    """Workers run in the environment that the agent runs in."""
    assert worker_argv() == (sys.executable, "-m", "jobqueue.worker.process")


def test_options_arrive_on_standard_input_alone() -> None:
    """As one line; the process leads a group, but stays in the session."""
    argv = [sys.executable, "-c", REPORT]
    with start_worker(argv, OPTIONS) as process:
        process.wait(60)
        assert process.stderr is not None
        text, leads_group, session = json.loads(process.stderr.read())
    assert WorkerOptions.from_json(text) == OPTIONS
    assert text.count("\n") == 1
    assert leads_group
    assert session == os.getsid(0)


def test_signs_of_life(tmp_path: Path) -> None:
    """What a worker shows, its agent reads, however it comes in pieces."""
    code = (
        "import os\n"
        "from jobqueue.worker.launch import ToAgent\n"
        "agent = ToAgent.take(); agent.read_options(); agent.show_life(); agent.show_work()\n"
        "agent.show_tried([('tls://a:1', 'refused'), ('tls://b:1', 'wow [1]')])\n"
        "agent.show_life(); agent.sign_off(6); print(os.read(0, 1))"
    )
    with start_worker([sys.executable, "-c", code], OPTIONS) as process:
        assert process.wait(60) == 0
        assert process.stdin is not None
        shown = os.read(process.stdin.fileno(), 1000)
    for pieces in ([shown], [bytes([sign]) for sign in shown]):
        signs = Signs()
        assert (signs.worked, signs.signed_off) == (False, None)
        for piece in pieces:
            signs.read(piece)
        assert (signs.worked, signs.signed_off) == (True, 6)
        assert signs.tried == [("tls://a:1", "refused"), ("tls://b:1", "wow [1]")]


def test_signs_that_are_cut() -> None:
    """What a full socket has swallowed is missing, and nothing else."""
    signs = Signs()
    signs.read(b'.[["tls://a:1", "ref\n.w' + bytes([128 + 3]))
    assert (signs.worked, signs.signed_off, signs.tried) == (True, 3, [])


def test_an_order(capfd: pytest.CaptureFixture[str]) -> None:
    """It is there when the signal comes, and none is there when others have sent that."""
    code = (
        "import os, signal\n"
        "from jobqueue.worker.launch import ToAgent\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "agent = ToAgent.take(); agent.read_options(); print(agent.orders())\n"
        "agent.show_work(); signal.sigwait({signal.SIGTERM}); print(agent.orders())\n"
    )
    with start_worker([sys.executable, "-c", code], OPTIONS) as process:
        assert process.stdin is not None
        assert select.select([process.stdin], [], [], 60)[0]
        give_order(process, Order(2.5, "its time is over"))
        assert process.wait(60) == 0
    assert capfd.readouterr().out == "[]\n[Order(seconds=2.5, cause='its time is over')]\n"


def test_what_is_only_for_one_worker_stands_in_its_environment() -> None:
    """Its devices, by the variables that libraries obey."""
    code = "import os, sys; sys.stderr.write(os.environ['CUDA_VISIBLE_DEVICES'])"
    options = OPTIONS._replace(devices={"CUDA_VISIBLE_DEVICES": ("2", "3")})
    with start_worker([sys.executable, "-c", code], options) as process:
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b"2,3"


def test_options_that_no_pipe_can_hold() -> None:
    """An error, where a smaller agent would hang."""
    huge = OPTIONS._replace(preload=("x" * 1_000_000,))
    with pytest.raises(OSError, match="do not fit into a socket"):
        start_worker(["true"], huge)


def test_no_descriptor_is_left_behind() -> None:
    """Neither a start nor a failure to start leaks."""
    before = os.listdir("/proc/self/fd")
    with start_worker(["true"], OPTIONS):
        pass
    with pytest.raises(FileNotFoundError):
        start_worker(["/does/not/exist"], OPTIONS)
    assert os.listdir("/proc/self/fd") == before


def test_a_killed_agent_takes_its_workers_along() -> None:
    """SIGKILL to the parent ends the child: the pipe that both hold open ends."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.read(5) == b"ready"
        parent.send_signal(signal.SIGKILL)
        readable, _, _ = select.select([parent.stdout], [], [], 60)
        assert readable, "the worker lives on"
        assert parent.stdout.read() == b""


def test_an_agent_that_died_before_its_worker_could_say_so(tmp_path: Path) -> None:
    """A worker whose parent is another than its agent ends at once."""
    code = "from jobqueue.worker.launch import die_with_parent as d; d(1); print('alive')"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == ExitCode.TERMINATED
    assert done.stdout == b""
