"""`jobqueue cleanup`: cancels what killed programs left behind, and says what that was."""

from __future__ import annotations

import asyncio
from datetime import datetime

from jobqueue.cluster.cleanup import Cleaned, cleanup


def run(*, elsewhere: bool = False) -> int:
    """Clean up, and return the command's exit status: 1 if something could not be.

    Parameters
    ----------
    elsewhere
        Whether to do so as well for programs that ran on other machines.
    """
    outcomes = asyncio.run(cleanup(elsewhere=elsewhere))
    for outcome in outcomes:
        print(described(outcome))
    if not outcomes:
        print("Nothing was left behind by programs that are gone.")
    return 1 if any(outcome.error for outcome in outcomes) else 0


def described(outcome: Cleaned) -> str:
    """Say whose jobs they were and what became of them, in one line."""
    entry = outcome.ledger.entry
    begun = datetime.fromtimestamp(entry.created).strftime("%Y-%m-%d %H:%M")
    process = f"process {entry.owner.pid} on {entry.owner.host}"
    whose = f"{entry.cluster} ({entry.system}, {process}, {begun})"
    if outcome.error is not None:
        return f"{whose}: kept for another try: {outcome.error}"
    if not outcome.cancelled:
        return f"{whose}: no jobs left"
    return f"{whose}: cancelled {', '.join(outcome.cancelled)}"
