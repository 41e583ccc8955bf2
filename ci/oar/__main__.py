"""A real OAR of one host, in a Debian 12 of its own, for the tests.

    python3 ci/oar test               all of the following, and tests/oar in between
    python3 ci/oar test -x tests/oar  the same with arguments for pytest

    python3 ci/oar install            the Debian, once; the machine itself is left as it is
    python3 ci/oar up                 a fresh cluster, in some seconds
    python3 ci/oar status
    python3 ci/oar exec oarstat -f    a command inside, as its ordinary user, in the repository
    python3 ci/oar exec python3 -m pytest -p no:cacheprovider tests/oar
    python3 ci/oar down

Needs root, and debootstrap. `--lab N` chooses one of ten clusters that can be up side by side.
Its files are in /tmp/jobqueue-ci/oar-N/files, `var/log/oar.log` among them.
"""

from __future__ import annotations

import cluster
from guest import System, main

OAR = System(cluster.IMAGE, cluster.start, cluster.ready, cluster.STATUS, "JOBQUEUE_TEST_OAR")

if __name__ == "__main__":
    main(OAR, __doc__)
