"""The cluster the other tests rely on does what they rely on."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup/memory").is_dir()  # version 1, which Slurm can use by itself


def test_every_node_runs_jobs_under_its_own_name_and_address(slurm, tmp_path, wait_until):
    """A job sees the host name of its node, and files written there are seen here."""
    jobs = [
        slurm.sbatch(f"hostname > {tmp_path}/{name}; hostname -I >> {tmp_path}/{name}", "-w", name)
        for name in slurm.nodes
    ]
    wait_until(lambda: not set(slurm.squeue()) & set(jobs), 30, "a job on each to end")
    for index, name in enumerate(slurm.nodes, 1):
        assert (tmp_path / name).read_text().split() == [name, slurm.address(index)]


def test_an_array_is_one_submission_with_numbered_elements(slurm, tmp_path, wait_until):
    """Every element runs with its own index."""
    job = slurm.sbatch(f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID", "--array=0-7")
    wait_until(lambda: len(list(tmp_path.iterdir())) == 8, 30, "eight elements to run")
    wait_until(lambda: not slurm.squeue(), 30, "the array to end")
    wait_until(
        lambda: slurm.accounting(job) == {f"{job}_{index}": "COMPLETED" for index in range(8)},
        message="the accounting to know all elements",
    )


def test_a_node_that_dies_takes_its_job_along(slurm, wait_until):
    """A job whose node went down ends as NODE_FAIL."""
    job = slurm.sbatch("sleep 600", "--no-requeue", "-w", slurm.nodes[1])
    wait_until(lambda: slurm.state(job) == "RUNNING", message="the job to run")
    slurm.kill_node(2, noticed=True)
    wait_until(lambda: slurm.state(job) == "NODE_FAIL", message="the job to be given up")
    slurm.start_node(2)
    assert slurm.exec(2, ["hostname"]).strip() == slurm.nodes[1]


def test_a_cut_node_falls_silent_and_comes_back(slurm, wait_until):
    """Slurm gives a silent node up by itself, and takes it back once its cable is plugged in."""
    job = slurm.sbatch("sleep 600", "--no-requeue", "-w", slurm.nodes[-1])
    wait_until(lambda: slurm.state(job) == "RUNNING", message="the job to run")
    slurm.cut(len(slurm.nodes))
    wait_until(lambda: slurm.state(job) == "NODE_FAIL", 90, "the silent node to be given up")
    slurm.heal(len(slurm.nodes))
    wait_until(slurm.nodes_ready, 60, "the node to serve again")


def test_a_job_reaches_this_machine_from_its_node(slurm):
    """A listener here is reached from a node under the login address."""
    with socket.create_server((slurm.login_address, 0)) as listener:
        listener.settimeout(30)
        port = listener.getsockname()[1]
        slurm.sbatch(f"exec bash -c 'echo hello > /dev/tcp/login/{port}'", "-w", slurm.nodes[0])
        connection, (address, _) = listener.accept()
        with connection, connection.makefile() as lines:
            assert lines.readline() == "hello\n"
        assert address == slurm.address(1)


def test_a_time_limit_can_be_brought_forward(slurm, wait_until):
    """A job past its time limit ends as TIMEOUT."""
    job = slurm.sbatch("sleep 600", "--time=10")
    wait_until(lambda: slurm.state(job) == "RUNNING", message="the job to run")
    slurm.advance_walltime(job, 1)
    wait_until(lambda: slurm.state(job) == "TIMEOUT", 90, "the time limit to be enforced")


def test_a_job_over_its_memory_is_killed(slurm, wait_until):
    """The memory a job asked for is a limit; how its end is called depends on the kernel."""
    hold = "import time; held = b'1' * 300_000_000; time.sleep(600)"
    job = slurm.sbatch(f'exec {sys.executable} -c "{hold}"', "--mem=50M")
    expected = "OUT_OF_MEMORY" if CGROUPS else "FAILED"
    wait_until(lambda: slurm.state(job) == expected, 30, "the job to be killed")


def test_qsub_hands_a_pbs_script_to_slurm(pbs_over_slurm, tmp_path, wait_until):
    """A script with PBS directives, submitted by qsub, runs as a job of Slurm."""
    script = tmp_path / "job.pbs"
    script.write_text(
        "#!/bin/bash\n#PBS -N greeting\n#PBS -l select=1:ncpus=3:mem=1GB\n"
        f"hostname > {tmp_path}/out; exec sleep 600\n"
    )
    job = pbs_over_slurm.run("qsub", "-o", "/dev/null", "-e", "/dev/null", str(script)).strip()
    assert job in pbs_over_slurm.squeue()
    wait_until(lambda: (tmp_path / "out").exists(), message="the job to run")
    assert pbs_over_slurm.squeue("%j %C", "-j", job) == ["greeting 3"]
    pbs_over_slurm.run("qdel", job)
    wait_until(lambda: job not in pbs_over_slurm.squeue(), message="the job to be deleted")
