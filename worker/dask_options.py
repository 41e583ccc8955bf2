"""Options of dask's worker command that mean nothing here, as a table.

A site's `worker_extra_args` was often written for dask. What does the same here has its place in
`jobqueue.worker.arguments`; what cannot is accepted, and the job's log says why it has no effect:
a job that ended over `--no-dashboard` would help nobody.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple


class Ignored(NamedTuple):
    """An option of dask's that was given.

    Parameters
    ----------
    option
        As it was written.
    value
        What was said to it, None if it takes nothing.
    why
        Why it has no effect.
    """

    option: str
    value: str | None
    why: str


_DASHBOARD = "workers have no dashboard"
_PORTS = "the job agent listens on no port"
_LISTEN = "workers listen where --host, --interface and --worker-port say"
_TLS = "the cluster makes its own certificates"
_RESTART = "the cluster replaces the jobs that end"
_RECONNECT = "workers look for a lost scheduler until the death timeout"
_AGENT = "the job agent runs no code of yours; --preload runs it in each worker"
_ARGUMENTS = "what is preloaded gets no arguments"
_CLASS = "workers are jobqueue's own"
_PID = "the job's log tells process ids"

DASK_OPTIONS: tuple[tuple[str, bool, str], ...] = (
    # option, whether a value follows, why it has no effect
    ("--dashboard", False, _DASHBOARD),
    ("--no-dashboard", False, _DASHBOARD),
    ("--dashboard-address", True, _DASHBOARD),
    ("--dashboard-prefix", True, _DASHBOARD),
    ("--bokeh", False, _DASHBOARD),  # the dashboard's name until 2019
    ("--no-bokeh", False, _DASHBOARD),
    ("--bokeh-port", True, _DASHBOARD),
    ("--bokeh-prefix", True, _DASHBOARD),
    ("--nanny-port", True, _PORTS),
    ("--listen-address", True, _LISTEN),
    ("--contact-address", True, _LISTEN),
    ("--tls-ca-file", True, _TLS),
    ("--tls-cert", True, _TLS),
    ("--tls-key", True, _TLS),
    ("--scheduler-sni", True, _TLS),
    ("--reconnect", False, _RECONNECT),
    ("--no-reconnect", False, _RECONNECT),
    ("--lifetime-restart", False, _RESTART),
    ("--no-lifetime-restart", False, _RESTART),
    ("--preload-nanny", True, _AGENT),
    ("--preload-nanny-argv", True, _AGENT),
    ("--preload-argv", True, _ARGUMENTS),
    ("--worker-class", True, _CLASS),
    ("--pid-file", True, _PID),
)


def add_dask_options(parser: argparse.ArgumentParser) -> None:
    """Let a parser accept them, unseen in its help; they are gathered in `ignored`."""
    parser.set_defaults(ignored=())
    for option, takes_value, why in DASK_OPTIONS:
        parser.add_argument(
            option,
            dest="ignored",
            action=_Gather,
            nargs=None if takes_value else 0,
            const=why,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )


class _Gather(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        value = values if isinstance(values, str) else None
        namespace.ignored += (Ignored(str(option_string), value, str(self.const)),)
