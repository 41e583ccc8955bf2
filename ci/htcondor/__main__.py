"""A real HTCondor of one host, in a Debian 13 of its own, for the tests.

    python3 ci/htcondor test                   all of the following, and tests/htcondor in between
    python3 ci/htcondor test -x tests/htcondor the same with arguments for pytest

    python3 ci/htcondor install            the Debian, once; the machine itself is left as it is
    python3 ci/htcondor up                 a fresh cluster, in some seconds
    python3 ci/htcondor status
    python3 ci/htcondor exec condor_q      a command inside, as its ordinary user, in the repository
    python3 ci/htcondor exec python3 -m pytest -p no:cacheprovider tests/htcondor
    python3 ci/htcondor down

Needs root, and debootstrap. `--lab N` chooses one of ten clusters that can be up side by side.
Its files are in /tmp/jobqueue-ci/htcondor-N/files, the logs in `var/log/condor` among them.
"""

from __future__ import annotations

import cluster
from guest import System, main

HTCONDOR = System(
    cluster.IMAGE, cluster.start, cluster.ready, cluster.STATUS, "JOBQUEUE_TEST_HTCONDOR"
)

if __name__ == "__main__":
    main(HTCONDOR, __doc__)
