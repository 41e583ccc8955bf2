"""Where Slurm's files are in a lab's folder, whatever its machines are made of."""

from __future__ import annotations

from pathlib import Path


class Places:
    """What is found by a lab's folder alone."""

    @property
    def folder(self) -> Path:
        """Everything on disk: configuration, state, logs."""
        raise NotImplementedError

    @property
    def conf(self) -> Path:
        """What `SLURM_CONF` has to name."""
        return self.folder / "etc" / "slurm.conf"

    @property
    def munge_key(self) -> Path:
        """What all machines of the cluster share: who holds it can vouch for anybody."""
        return self.folder / "munge" / "munge.key"

    @property
    def database_socket(self) -> Path:
        """Where slurmdbd finds its database."""
        return self.folder / "db" / "my.sock"
