"""The job agent with real processes: small programs that behave as workers may."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobqueue.worker import agent as agent_module
from jobqueue.worker.agent import Agent, main
from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions, parse_arguments
from jobqueue.worker.nodes import RANKS
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.orders import Policy
from jobqueue.worker.watch import Watch

IMPATIENT = Policy(
    grace=0.05, drain=0.1, last_wait=60.0, settled=3600.0, restart_delays=(0.0, 0.0, 0.0)
)
# For workers that end when asked: nobody is killed, however slow the machine.
PATIENT = IMPATIENT._replace(grace=60.0, drain=60.0)

PREAMBLE = """
import os, signal, sys
print("worker", os.getpid(), file=sys.stderr)
def tell_agent(signum): os.kill(os.getppid(), signum)
def nth():  # how many workers were started before this one
    with open(sys.argv[1] + "/starts", "a") as file:
        file.write(".")
        return file.tell()
"""


class Outcome(NamedTuple):
    code: int
    log: str
    record: dict[str, Any]

    @property
    def last_line(self) -> str:
        return self.log.splitlines()[-1]


RunAgent = Callable[..., Outcome]


@pytest.fixture
def run_agent(tmp_path: Path) -> RunAgent:
    """Run an agent in this process, over workers that execute the given code."""

    def run(code: str, *, policy: Policy = PATIENT, argv: Any = None, **options: Any) -> Outcome:
        record = tmp_path / "record.json"
        options = {"exit_record": str(record), **options}
        agent_options = AgentOptions(addresses=("tls://10.0.0.1:4000",), name="jq", **options)
        argv = argv or [sys.executable, "-I", "-S", "-c", PREAMBLE + code, str(tmp_path)]
        with (tmp_path / "log").open("w+b") as log:
            agent = Agent(agent_options, argv=argv, policy=policy, log=Log(log.fileno()))
            status = agent.run()
            log.seek(0)
            text = log.read().decode()
        return Outcome(status, text, json.loads(record.read_text()) if record.exists() else {})

    return run


def test_workers_that_were_told_to_end(run_agent: RunAgent) -> None:
    """Status 0, and the log tells of each start and end."""
    outcome = run_agent("", nworkers=2, job_id="17")
    assert outcome.code == 0
    assert " started host=" in outcome.log.splitlines()[0]
    assert " job=17 " in outcome.log.splitlines()[0]
    assert outcome.log.count("worker started worker=jq-") == 2
    assert outcome.log.count('cause="exit 0: told to end"') == 2
    assert outcome.last_line.endswith('ends exit_code=0 cause="all workers were told to end"')
    assert outcome.record["cause"] == "all workers were told to end"
    assert outcome.record["job"] == "17"
    assert {worker["worker"] for worker in outcome.record["workers"]} == {"jq-0", "jq-1"}


def test_options_of_dask_are_explained(run_agent: RunAgent) -> None:
    """Each in one line of the job's log, and the workers work."""
    words = ["tls://10.0.0.1:4000", "--no-dashboard", "--nanny-port", "10000:10070"]
    outcome = run_agent("", ignored=parse_arguments(words).ignored)
    assert outcome.code == 0
    lines = [line for line in outcome.log.splitlines() if "option without effect" in line]
    assert lines[0].endswith('option=--no-dashboard why="workers have no dashboard"')
    assert "option=--nanny-port value=10000:10070 why=" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("status", "cause"),
    [(3, "no scheduler within the death timeout"), (4, "the scheduler refused the workers")],
)
def test_workers_without_a_scheduler(run_agent: RunAgent, status: int, cause: str) -> None:
    """They are not restarted; status, cause and the worker's last words are handed on."""
    outcome = run_agent(f"print('it is so', file=sys.stderr); sys.exit({status})")
    assert outcome.code == outcome.record["exit_code"] == status
    assert f'ends exit_code={status} cause="{cause}" said="it is so"' in outcome.last_line
    assert outcome.record["said"] == "it is so"
    assert outcome.log.count("worker started") == 1


def test_a_crashed_worker_is_replaced(run_agent: RunAgent) -> None:
    """Killed by SIGKILL twice, told to end the third time."""
    code = "if nth() < 3: os.kill(os.getpid(), signal.SIGKILL)"
    outcome = run_agent(code)
    assert outcome.code == 0
    assert outcome.log.count('cause="killed by signal 9 (SIGKILL)"') == 2
    assert "will be restarted worker=jq-0 delay=0s crashes_in_a_row=2" in outcome.log
    assert [end["status"] for end in outcome.record["workers"]] == [-9, -9, 0]


def test_workers_that_cannot_work(run_agent: RunAgent) -> None:
    """The agent gives up, with the worker's last words in the last line and in the record."""
    outcome = run_agent("raise OSError('no such luck')")
    assert outcome.code == 5
    assert outcome.log.count("worker started") == 4
    assert 'said="OSError: no such luck"' in outcome.last_line
    assert outcome.record["said"] == "OSError: no such luck"
    assert outcome.record["workers"][-1]["last_lines"][-1] == "OSError: no such luck"


def test_workers_that_are_not_to_be_restarted(run_agent: RunAgent) -> None:
    """Without a nanny, the first crash of each is its end; the others work on."""
    outcome = run_agent("sys.exit(9) if nth() == 1 else None", nworkers=2, nanny=False)
    assert outcome.code == 5
    assert outcome.log.count("worker started") == 2
    assert "worker given up" in outcome.log
    assert outcome.record["cause"] == "its workers crashed"


def test_a_command_that_does_not_exist(run_agent: RunAgent) -> None:
    """A start that fails counts as a crash and names the reason."""
    outcome = run_agent("", argv=["/does/not/exist"], nworkers=2)
    assert outcome.code == 5
    assert "No such file or directory" in outcome.log
    assert outcome.record["workers"][0]["pid"] is None


@pytest.mark.parametrize(
    ("name", "status"),
    [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129), ("SIGUSR1", 0), ("SIGUSR2", 0)],
)
def test_signals_end_workers_and_agent(run_agent: RunAgent, name: str, status: int) -> None:
    """An order and a warning both become SIGTERM to all workers; only an order is a failure."""
    code = f"tell_agent(signal.{name}) if nth() == 1 else None; signal.pause()"
    outcome = run_agent(code, nworkers=2)
    assert outcome.code == status
    assert outcome.log.count('cause="killed by signal 15 (SIGTERM)"') == 2
    assert f"by {name}" in outcome.last_line
    assert "is killed" not in outcome.log


def test_a_worker_that_ignores_sigterm_is_killed(run_agent: RunAgent) -> None:
    """After the grace, SIGKILL."""
    code = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell_agent(signal.SIGTERM)\n"
        "while True: signal.pause()"
    )
    outcome = run_agent(code, policy=IMPATIENT)
    assert outcome.code == 143
    assert "worker does not end, is killed worker=jq-0" in outcome.log
    (cause,) = [end["cause"] for end in outcome.record["workers"]]
    assert cause == "killed by signal 9 (SIGKILL); its job ended: asked to end by SIGTERM"


def test_the_end_of_the_walltime(run_agent: RunAgent) -> None:
    """Workers are told so ahead of it; log and record say what it was."""
    outcome = run_agent("signal.pause()", walltime=3600.0, walltime_margin=3600.0,
                        job_started=time.time() - 3599.0)  # fmt: skip
    assert outcome.code == 0
    assert "deadline at=" in outcome.log
    assert "known_from=--walltime" in outcome.log
    assert outcome.record["kind"] == "walltime"
    assert outcome.record["cause"].startswith("its walltime is nearly over: the job ends in ")


STUBBORN = """
import sys
from jobqueue.worker.agent import Agent
from jobqueue.worker.arguments import AgentOptions
worker = '''
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True: signal.pause()
'''
options = AgentOptions(("tls://10.0.0.1:4000",), "jq", exit_record=sys.argv[1])
sys.exit(Agent(options, argv=[sys.executable, "-c", worker]).run())
"""


def test_what_an_agent_that_is_killed_while_it_ends_leaves(
    tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    """Its record says already that, and why, it was about to end; an older one is gone."""
    record = tmp_path / "17.json"
    record.write_text("of an earlier life of the job")
    argv = [sys.executable, "-c", STUBBORN, str(record)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, **pipes) as agent:  # type: ignore[call-overload]
        worker = int(agent.stdout.readline())
        assert not record.exists()
        agent.terminate()
        wait_until(record.exists, 60)
        agent.kill()
        agent.wait()
        os.kill(worker, signal.SIGKILL)
    told = json.loads(record.read_text())
    assert (told["exit_code"], told["kind"]) == (143, "")
    assert told["cause"] == "asked to end by SIGTERM"


def test_where_no_scheduler_was_found(run_agent: RunAgent) -> None:
    """Each address, with what came of it, in the last line and in the record."""
    code = """
os.write(0, b'[["tls://10.1.2.3:4000", "refused, nobody listens there"],'
            b' ["tls://192.168.0.5:4000", "timed out after 10 s"]]\\n' + bytes([128 + 3]))
sys.exit(3)"""
    outcome = run_agent(code)
    tried = "10.1.2.3:4000 refused, 192.168.0.5:4000 timed out after 10 s"
    assert f'tried="{tried}"' in outcome.last_line
    assert outcome.record["tried"][0] == ["tls://10.1.2.3:4000", "refused, nobody listens there"]
    assert outcome.record["kind"] == "crashed"


def test_a_real_worker_tells_where_it_has_looked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All addresses, not only the last; in the time that it waits for a scheduler."""
    monkeypatch.setattr(agent_module, "Watch", lambda _: Watch(60.0))  # however long it starts
    addresses = (f"unix://{folder}/one", f"unix://{folder}/other")
    options = AgentOptions(addresses, "jq", death_timeout=0.5, exit_record=f"{folder}/record")
    with open(os.devnull, "wb") as log:
        assert Agent(options, log=Log(log.fileno())).run() == 3
    told = json.loads((folder / "record").read_text())
    outcome = "no such socket; has the scheduler ended?"
    assert told["tried"] == [[address, outcome] for address in addresses]
    assert told["cause"] == "no scheduler within the death timeout"


def test_the_first_node_of_several(run_agent: RunAgent, tmp_path: Path) -> None:
    """Its first worker offers the whole job, and finds the names of its nodes in a file."""
    code = """
path = os.environ.get("JOBQUEUE_NODEFILE")
print("got", path, path and open(path).read().split(), file=sys.stderr)"""
    outcome = run_agent(code, nworkers=2, nodes=2, hosts=("n1", "n2"),
                        local_directory=str(tmp_path))  # fmt: skip
    assert "got None None" in outcome.log
    assert f"got {tmp_path}/jobqueue-nodes-" in outcome.log
    assert "['n1', 'n2']" in outcome.log
    assert not list(tmp_path.glob("jobqueue-nodes-*"))
    assert outcome.record["rank"] == 0


def test_a_node_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent ends, and its record says what is missing."""
    for name in (*RANKS, "SLURM_JOB_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    record = tmp_path / "17.json"
    words = ["tcp://a:1", "--nodes", "2", "--credentials", "/c", "--exit-record", str(record)]
    assert main(words) == 3
    assert "which of the job's 2 nodes" in json.loads(record.read_text())["cause"]


def test_lifetime(run_agent: RunAgent) -> None:
    """When it is over, workers get SIGTERM and the agent ends with status 0."""
    outcome = run_agent("signal.pause()", lifetime=0.01, lifetime_stagger=0.005)
    assert outcome.code == 0
    assert "its lifetime of 0 s is over" in outcome.last_line


def test_workers_get_their_options(run_agent: RunAgent) -> None:
    """One line on standard input."""
    outcome = run_agent(
        "print('got', sys.stdin.readline(), file=sys.stderr)", nworkers=2, nthreads=3
    )
    lines = [line[4:] for line in outcome.log.splitlines() if line.startswith("got ")]
    options = sorted(map(WorkerOptions.from_json, lines), key=lambda o: o.slot)
    assert [o.name for o in options] == ["jq-0", "jq-1"]
    assert [o.slot for o in options] == [0, 1]
    assert {o.agent_pid for o in options} == {os.getpid()}
    assert {o.nthreads for o in options} == {3}


def test_all_that_workers_write_reaches_the_log(run_agent: RunAgent) -> None:
    """More than a pipe holds, to the last byte, while the record keeps only the end."""
    code = "sys.stderr.write('x' * 3_000_000 + '\\nfarewell'); sys.stderr.flush(); sys.exit(3)"
    outcome = run_agent(code)
    assert outcome.log.count("x") > 3_000_000
    assert outcome.record["said"] == "farewell"
    assert len(json.dumps(outcome.record)) < 10_000


def test_a_broken_log_and_a_missing_folder(tmp_path: Path) -> None:
    """Neither a full disk nor a record that can't be written changes how the agent ends."""
    options = AgentOptions(("a",), "jq", exit_record=str(tmp_path / "missing" / "record.json"))
    argv = [sys.executable, "-I", "-S", "-c", PREAMBLE + "sys.exit(3)", str(tmp_path)]
    with open("/dev/full", "wb", buffering=0) as full:
        assert Agent(options, argv=argv, policy=PATIENT, log=Log(full.fileno())).run() == 3


def test_a_requeued_job_does_not_end_by_what_its_first_run_left(
    run_agent: RunAgent, tmp_path: Path
) -> None:
    """It runs under the same id, so the exit record of the run before goes when the next begins."""
    (tmp_path / "record.json").write_text("of the first run")
    outcome = run_agent("sys.exit(os.path.exists(sys.argv[1] + '/record.json'))")
    assert outcome.code == 0


def test_a_missing_folder_is_named(run_agent: RunAgent, tmp_path: Path) -> None:
    """The log says where the record could not be written, and why."""
    path = str(tmp_path / "missing" / "record.json")
    outcome = run_agent("", exit_record=path)
    assert outcome.code == 0
    assert f"exit record not written path={path} error=" in outcome.log


def test_a_folder_that_was_taken_away_is_no_trouble(run_agent: RunAgent, tmp_path: Path) -> None:
    """The cluster was closed: a log that is kept does not end with an error."""
    (tmp_path / "cluster").mkdir()
    outcome = run_agent(
        "os.rmdir(sys.argv[1] + '/cluster')",
        exit_record=str(tmp_path / "cluster" / "record.json"),
    )
    assert outcome.code == 0
    assert "not written" not in outcome.log


def test_what_a_dead_worker_leaves_behind_is_killed(run_agent: RunAgent, tmp_path: Path) -> None:
    """A process that its tasks started does not compete with those of its successor."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = """
if nth() == 1:
    here, there = os.pipe()
    if not os.fork():
        fifo = os.open(sys.argv[1] + "/fifo", os.O_WRONLY)
        os.write(fifo, b"left behind")
        os.write(there, b".")
        signal.pause()
    os.read(here, 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    try:
        assert run_agent(code).code == 0
        assert os.read(reading, 100) == b"left behind"
        readable, _, _ = select.select([reading], [], [], 60)
        assert readable, "it lives on"
        assert os.read(reading, 100) == b""
    finally:
        os.close(reading)


def test_a_daemon_that_holds_the_pipe_open_does_not_hold_the_agent(
    run_agent: RunAgent, tmp_path: Path
) -> None:
    """A task may leave a process in a session of its own; nobody waits for that one."""
    code = (
        "pid = os.fork()\n"
        "if not pid: os.setsid(); signal.pause()\n"
        "open(sys.argv[1] + '/daemon', 'w').write(str(pid))"
    )
    try:
        assert run_agent(code).code == 0
    finally:
        os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


def test_the_process_is_left_as_it_was(run_agent: RunAgent) -> None:
    """Signal handlers, wake-up descriptor and open files are those from before."""
    signums = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP]
    before = [signal.getsignal(signum) for signum in signums], os.listdir("/proc/self/fd")
    run_agent("sys.exit(1)")
    assert before == ([signal.getsignal(s) for s in signums], os.listdir("/proc/self/fd"))
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_is_ignored_stays_ignored(run_agent: RunAgent) -> None:
    """`nohup` means that the agent lives on when the terminal is closed."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = run_agent("tell_agent(signal.SIGHUP)")
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert outcome.code == 0
    assert "all workers were told to end" in outcome.last_line


def test_workers_that_cannot_end_themselves(run_agent: RunAgent) -> None:
    """Without a sign of life, and without a scheduler, the agent ends them and says why."""
    outcome = run_agent("signal.pause()", nworkers=2, death_timeout=0.2)
    assert outcome.code == outcome.record["exit_code"] == 3
    assert outcome.log.count("worker cannot end itself, is killed worker=jq-") == 2
    assert outcome.log.count("worker started") == 2
    assert 'said="no scheduler for 0.2 s; a task that lets nothing else run' in outcome.last_line
    assert [end["status"] for end in outcome.record["workers"]] == [3, 3]


def test_a_fault_of_the_agent_leaves_no_worker(
    run_agent: RunAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the agent itself fail, its workers end with it, and the record says so."""

    def fault(self: Agent) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Agent, "_turn", fault)
    with pytest.raises(RuntimeError, match="a fault"):
        run_agent("signal.pause()")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["cause"] == "the agent failed: RuntimeError('a fault')"
    assert record["exit_code"] == 1


def test_memory_that_is_not_there_is_not_promised(run_agent: RunAgent) -> None:
    """More than the job has, less the agent's part, is cut down, and the log says to what."""
    outcome = run_agent("", memory_limit=10**18)
    assert "workers' memory reduced to leave room for the agent asked=1000000000000000000" in (
        outcome.log
    )


AGENT = """
import sys
from jobqueue.worker.agent import Agent
from jobqueue.worker.arguments import AgentOptions
worker = '''
import os, signal
from jobqueue.worker.launch import die_with_parent
from jobqueue.worker.options import WorkerOptions
die_with_parent(WorkerOptions.from_json(input()).agent_pid)
os.write(1, b".")
signal.pause()
'''
options = AgentOptions(("tls://10.0.0.1:4000",), "jq", nworkers=2)
sys.exit(Agent(options, argv=[sys.executable, "-c", worker]).run())
"""


def test_a_killed_agent_takes_its_workers_along() -> None:
    """SIGKILL to the agent: its standard output, held open by the workers too, comes to an end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", AGENT], **pipes) as agent:  # type: ignore[call-overload]
        assert agent.stdout.read(2) == b".."
        agent.kill()
        readable, _, _ = select.select([agent.stdout], [], [], 60)
        assert readable, "workers live on"
        assert agent.stdout.read() == b""


def test_the_agent_starts_light(tmp_path: Path) -> None:
    """Workers wait for the agent's imports, so those are few."""
    code = "import sys, jobqueue.worker.agent; print(*sys.modules)"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, cwd=tmp_path)
    heavy = {"asyncio", "ssl", "dataclasses", "inspect", "logging", "importlib.metadata",
             "multiprocessing", "psutil", "msgpack", "cloudpickle", "cryptography", "tornado",
             "jinja2", "yaml", "rich"}  # fmt: skip
    assert not heavy & set(done.stdout.split())
