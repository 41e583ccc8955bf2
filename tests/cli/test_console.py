"""Signals and log lines."""

from __future__ import annotations

import logging
import signal

import pytest

from jobqueue.cli.console import Ended, ended_by_signals, log_on


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_runs_in_order(signum):
    """It comes up through the program as an exception, and is itself again afterwards."""
    before = signal.getsignal(signum)
    with pytest.raises(Ended) as caught, ended_by_signals():
        signal.raise_signal(signum)
    assert caught.value.signum == signum
    assert signal.getsignal(signum) is before


def test_the_log_is_shown_from_a_level_on(console):
    """And as it was afterwards."""
    logger = logging.getLogger("jobqueue.cluster")
    before = logging.getLogger("jobqueue").level
    with log_on(console, logging.INFO):
        logger.debug("too much")
        logger.info("submitted jobs=%d", 4)
        logger.warning("[odd] brackets")
    logger.info("afterwards")
    assert console.file.getvalue() == "info: submitted jobs=4\nwarning: [odd] brackets\n"
    assert logging.getLogger("jobqueue").level == before


def test_without_a_level_nothing_is_shown(console, capsys):
    """Not even by Python's own last resort for warnings that nobody handles."""
    with log_on(console, None):
        logging.getLogger("jobqueue.cluster").warning("shown in other words elsewhere")
    assert console.file.getvalue() == ""
    assert capsys.readouterr().err == ""
