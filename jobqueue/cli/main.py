"""The `jobqueue` command: what it understands. Each subcommand's work is in a module of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import jobqueue
from jobqueue.cli import systems
from jobqueue.errors import JobQueueError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as of shells: 128 + SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    argv
        Its arguments; None takes those of this process.

    Examples
    --------
    >>> main(["config", "slurm"])  # doctest: +SKIP
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["worker"]:  # has a command line of its own, and starts without delay
        from jobqueue.worker import agent

        return agent.main(arguments[1:], prog="jobqueue worker")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except JobQueueError as error:
        print(f"jobqueue: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("jobqueue: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output, `head` for instance, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    from jobqueue.cli import scheduler  # asyncio, which `jobqueue worker` starts without

    parser = argparse.ArgumentParser(
        prog="jobqueue", description="Interactive, futures-style Python on HPC batch queues."
    )
    parser.add_argument("--version", action="version", version=f"jobqueue {jobqueue.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(
        commands.add_parser(
            "demo",
            help="show the whole way once: job script, jobs, a computation",
            description="Submit jobs, watch them come up, compute something on them, and end them.",
        )
    )
    _add_doctor(
        commands.add_parser(
            "doctor",
            help="submit one small job, and say what is wrong where it runs",
            description="Submit one small job, and say what it finds where it runs, with "
            "remedies: versions, network, shared folder, clock, disk, limits. "
            "Status 0: all is well; 1: something has to be put right.",
        )
    )
    config = commands.add_parser(
        "config",
        help="show what jobqueue.yaml says, and from which file and line",
        description="Show each value of a section of jobqueue.yaml, and where it comes from.",
    )
    config.add_argument("section", nargs="?", help="by default that of the batch system found")
    config.set_defaults(run=_config)
    _add_jobs(
        commands.add_parser(
            "jobs",
            help="show the jobs of all your clusters, and what killed programs left behind",
            description="Show the jobs of all clusters of yours that this machine's home knows: "
            "state, reason, node, workers, and why they ended. Running programs tell it "
            "themselves; the batch system is asked only for those that were killed.",
        )
    )
    _add_logs(
        commands.add_parser(
            "logs",
            help="show a job's output",
            description="Print what a job has written to its log. Status 1: it has none.",
        )
    )
    cleanup = commands.add_parser(
        "cleanup",
        help="cancel the jobs that killed programs left behind",
        description="Cancel the jobs of programs that were killed, and remove their folders: "
        "scripts, logs and credentials. What belongs to a running program is left alone.",
    )
    cleanup.add_argument(
        "--elsewhere",
        action="store_true",
        help="also of programs on other machines, of which cannot be seen here whether they run",
    )
    cleanup.set_defaults(run=_cleanup)
    scheduler.add_arguments(
        commands.add_parser(
            "scheduler",
            help="a scheduler by itself, for workers and clients from wherever they are",
            description="Run a scheduler until SIGINT or SIGTERM, which end it in order (status "
            "0). Status 1: it could not begin.",
        )
    )
    commands.add_parser("worker", help="what job scripts start: a job agent and its workers")
    return parser


def _add_choice(command: argparse.ArgumentParser) -> None:
    """Add what says where jobs go."""
    command.add_argument(
        "--cluster",
        choices=("auto", *systems.SYSTEMS),
        default="auto",
        help="auto: the batch system whose commands are on PATH and which answers, else the "
        "embedded one, which runs job scripts as processes of this machine",
    )
    command.add_argument("--config-name", metavar="SECTION", help="section of jobqueue.yaml to use")
    command.add_argument("--queue", metavar="Q", help="queue or partition")
    command.add_argument("--account", metavar="A", help="account to charge")


def _add_demo(demo: argparse.ArgumentParser) -> None:
    _add_choice(demo)
    demo.add_argument("--jobs", type=_count, default=4, metavar="N", help="jobs to submit (4)")
    demo.add_argument("--cores", type=_count, default=1, metavar="N", help="cores of a job (1)")
    demo.add_argument("--memory", default="1GB", metavar="M", help="memory of a job (1GB)")
    demo.add_argument(
        "--walltime", default="00:10:00", metavar="T", help="time limit of a job (00:10:00)"
    )
    demo.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give up if no worker has come by then (600)",
    )
    demo.add_argument("--verbose", action="store_true", help="show the log as well")
    demo.set_defaults(run=_demo)


def _add_doctor(doctor: argparse.ArgumentParser) -> None:
    _add_choice(doctor)
    doctor.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give up if the job has not come up by then (600)",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    jobs.add_argument(
        "--all", action="store_true", help="also clusters that have ended, and each ended job"
    )
    shape = jobs.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, with the logs' paths")
    shape.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    jobs.set_defaults(run=_jobs)


def _add_logs(logs: argparse.ArgumentParser) -> None:
    logs.add_argument("id", help="the job, as `jobqueue jobs` names it")
    logs.add_argument("--follow", action="store_true", help="go on until the job has ended")
    logs.add_argument("--tail", type=_count, metavar="N", help="of what is there, the last N lines")
    logs.set_defaults(run=_logs)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _system(options: argparse.Namespace) -> tuple[systems.System, tuple[str, ...]]:
    """Return where jobs go, by what was chosen, and what is to be said about it."""
    from jobqueue.cli.answering import choose

    choice = options.cluster
    if choice == "auto" and options.config_name:
        choice = systems.of_section(options.config_name) or choice
    return choose(systems.candidates(choice))


def _demo(options: argparse.Namespace) -> int:
    from jobqueue.cli.demo import Demo

    system, notes = _system(options)
    return Demo(
        system,
        systems.keywords(system, vars(options)),
        jobs=options.jobs,
        timeout=options.timeout,
        verbose=options.verbose,
        notes=notes,
    ).run()


def _config(options: argparse.Namespace) -> int:
    from jobqueue.config import explain

    print(explain(options.section or systems.find("auto").section or "slurm"))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from jobqueue.cli import doctor

    system, notes = _system(options)
    if options.cluster == "auto" and not system.command and not notes:
        notes = ("No batch system's commands are on PATH: what follows is about this machine.",)
    keywords = doctor.small(system, vars(options))
    return doctor.run(system, keywords, timeout=options.timeout, as_json=options.json, notes=notes)


def _jobs(options: argparse.Namespace) -> int:
    from jobqueue.cli import jobs

    return jobs.run(everything=options.all, as_json=options.json, watch=options.watch)


def _logs(options: argparse.Namespace) -> int:
    from jobqueue.cli import logs

    return logs.run(options.id, follow=options.follow, tail=options.tail)


def _cleanup(options: argparse.Namespace) -> int:
    from jobqueue.cli import cleanup

    return cleanup.run(elsewhere=options.elsewhere)


if __name__ == "__main__":
    sys.exit(main())
