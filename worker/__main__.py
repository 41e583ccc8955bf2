"""`python -m jobqueue.worker`: the job agent's command."""

from __future__ import annotations

import sys

from jobqueue.worker.agent import main

sys.exit(main())
