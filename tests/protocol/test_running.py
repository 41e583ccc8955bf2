"""What code inside of a task can know of where it runs."""

from __future__ import annotations

import pytest

from jobqueue.errors import JobQueueError
from jobqueue.protocol.running import host


def test_outside_of_a_task_there_is_no_worker() -> None:
    """It says where the call belongs."""
    with pytest.raises(JobQueueError, match="given to submit"):
        host()
