"""`jobqueue scheduler`: a scheduler by itself, until a signal ends it.

It ends with status 0 after SIGINT, SIGTERM, SIGHUP or the idle timeout, having told workers and
clients; 1 if it could not begin, which one line on standard error explains; 2 if its command line
cannot be understood.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobqueue.cluster.standalone_scheduler import Scheduler

PORT = 8786
"""Where a scheduler listens unless it is told otherwise."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

IDLE_POLL = 1.0
"""Seconds between two looks whether anybody is there."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command understands."""
    add = parser.add_argument
    add("--host", metavar="H", help="name or IP address of this machine to listen on (all)")
    add("--port", type=_port, default=PORT, metavar="N", help=f"0: a free one ({PORT})")
    add("--interface", metavar="I", help="network interface to listen on, as in ib0")
    add("--protocol", choices=("tls", "tcp"), default="tls", help="tcp: not encrypted (tls)")
    add("--client-host", metavar="H", help="where clients connect, if not where workers do")
    add("--client-port", type=_port, metavar="N", help="the same")
    add("--client-interface", metavar="I", help="the same")
    add("--scheduler-file", metavar="F", help="file to write, for workers and clients to read")
    add("--name", default="scheduler", help="for messages (scheduler)")
    add("--event-log", metavar="F", help="file for one line of JSON for everything that happens")
    add("--allowed-failures", type=_number, metavar="N",
        help="workers that may die under a task before it fails (3)")  # fmt: skip
    add("--worker-ttl", type=_seconds, metavar="T",
        help="after that long a silence of a worker its tasks are run by others")  # fmt: skip
    add("--idle-timeout", type=_seconds, metavar="T",
        help="end after that long without clients and tasks, as in 1h (never)")  # fmt: skip
    add("--dashboard-address", metavar="A", help="accepted, without effect: there is none")
    add("--dashboard", action=argparse.BooleanOptionalAction, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run a scheduler until it is to end; return the command's exit status."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    return asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from jobqueue.cluster.standalone_scheduler import Scheduler

    loop = asyncio.get_running_loop()
    end: asyncio.Future[str] = loop.create_future()
    for number in SIGNALS:
        loop.add_signal_handler(number, _set, end, number.name)
    given: dict[str, Any] = {
        name: value
        for name in ("allowed_failures", "worker_ttl")
        if (value := getattr(options, name)) is not None
    }
    scheduler = Scheduler(
        host=options.host,
        port=options.port,
        interface=options.interface,
        protocol=options.protocol,
        client_host=options.client_host,
        client_port=options.client_port,
        client_interface=options.client_interface,
        scheduler_file=options.scheduler_file,
        name=options.name,
        event_log=options.event_log,
        asynchronous=True,
        **given,
    )
    async with scheduler:
        if options.dashboard_address or options.dashboard:
            print("--dashboard-address: there is no dashboard, so it has no effect")
        print(*introduction(scheduler, options.scheduler_file), sep="\n", flush=True)
        idling = asyncio.create_task(_wait_until_idle(scheduler, options.idle_timeout, end))
        cause = await end
        idling.cancel()
        print(f"Ends: {cause}", flush=True)
    return 0


def introduction(scheduler: Scheduler, scheduler_file: str | None) -> Sequence[str]:
    """Say where a scheduler is, and what to write for its workers and clients."""
    worker, client = scheduler.address, repr(scheduler.client_addresses[0])
    if scheduler_file is not None:
        worker = f"--scheduler-file {shlex.quote(scheduler_file)}"
        client = f"scheduler_file={scheduler_file!r}"
    addresses = dict.fromkeys((*scheduler.addresses, *scheduler.client_addresses))
    return (
        f"Scheduler at {', '.join(addresses)}",
        f"  workers:      jobqueue worker {worker}",
        f"  clients:      Client({client})",
        f"  credentials:  {scheduler.credentials} (your own processes find them)",
    )


async def _wait_until_idle(
    scheduler: Scheduler, patience: float | None, end: asyncio.Future[str]
) -> None:
    """End after `patience` seconds in a row without a client and without a task."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while patience is not None:
        state = scheduler.scheduler.state
        if state.clients or state.tasks:
            since = loop.time()
        elif loop.time() - since >= patience:
            _set(end, f"nobody was here for {patience:g} s")
            return
        await asyncio.sleep(min(IDLE_POLL, patience))


def _set(future: asyncio.Future[str], value: str) -> None:
    if not future.done():
        future.set_result(value)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return int(text)


def _seconds(text: str) -> float:
    from jobqueue.protocol.quantities import parse_seconds

    try:
        seconds = parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait: it must be more than 0")
    return seconds
