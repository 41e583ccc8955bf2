"""Credentials: what a process needs to prove that it belongs to a cluster, and its files.

On disk each role has a folder of its own, so that a job sees only what its workers need::

    folder/              0700
        worker/          0700
            identity     0600   the cluster's name and the role, as JSON
            authority.pem
            certificate.pem
            key.pem
            token               for plain TCP
        client/ ...
        scheduler/ ...

Files are believed only if nobody else can have read or written them.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobqueue.comm.certificates import LIFETIME, issue
from jobqueue.errors import AuthenticationFailed, ConfigError

_TOKEN_BYTES = 32
_FILE_MAX = 64 << 10
_FILES = ("identity", "authority.pem", "certificate.pem", "key.pem", "token")


@dataclass(frozen=True)
class Credentials:
    """One role's credentials in one cluster.

    Attributes
    ----------
    cluster
        The cluster's name.
    role
        `scheduler`, `worker` (also for job agents) or `client`.
    authority, certificate, key
        PEM: the cluster's certificate authority, and this role's own certificate and key.
    token
        The secret of plain TCP connections.
    others
        The credentials of the other roles, where the cluster was made.

    Examples
    --------
    >>> credentials = Credentials.create("example")
    >>> credentials.role, sorted(credentials.others)
    ('scheduler', ['client', 'worker'])
    """

    cluster: str
    role: str
    authority: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    token: bytes = field(repr=False)
    others: Mapping[str, Credentials] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def create(cls, cluster: str, *, lifetime: datetime.timedelta = LIFETIME) -> Credentials:
        """Make the credentials of a new cluster; nothing is written to disk.

        Parameters
        ----------
        cluster
            The cluster's name, any text.
        lifetime
            How long the certificates are valid.

        Returns
        -------
        Credentials
            The scheduler's, with those of the other roles in `others`.
        """
        token = secrets.token_bytes(_TOKEN_BYTES)
        by_role = {
            role: cls(cluster, role, pem.authority, pem.certificate, pem.key, token)
            for role, pem in issue(cluster, lifetime).items()
        }
        scheduler = by_role.pop("scheduler")
        return replace(scheduler, others=by_role)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder for each role, readable by this user only.

        Parameters
        ----------
        folder
            Made if it is missing. Workers are given ``folder/worker``, clients ``folder/client``.

        Raises
        ------
        AuthenticationFailed
            The folder is there, and others may enter it.
        """
        root = Path(folder).expanduser()
        make_private(root)
        for one in (self, *self.others.values()):
            make_private(root / one.role)
            for name, content in one._files().items():
                write_private(root / one.role / name, content)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Credentials:
        """Read the credentials of one role.

        Parameters
        ----------
        folder
            One role's folder, as `save` wrote it.

        Raises
        ------
        AuthenticationFailed
            A file is missing or broken, belongs to somebody else, or others may read it.
        """
        path = Path(folder).expanduser()
        _check_private_folder(path)
        identity, authority, certificate, key, token = (_read_private(path / n) for n in _FILES)
        try:
            fields = json.loads(identity)
            cluster, role = str(fields["cluster"]), str(fields["role"])
        except (ValueError, KeyError, TypeError) as error:
            raise AuthenticationFailed(f"{path / 'identity'} is broken: {error}") from error
        return cls(cluster, role, authority, certificate, key, token)

    def _files(self) -> dict[str, bytes]:
        identity = json.dumps({"cluster": self.cluster, "role": self.role}).encode()
        contents = (identity, self.authority, self.certificate, self.key, self.token)
        return dict(zip(_FILES, contents, strict=True))


def require_credentials(credentials: Credentials | None, address: object) -> Credentials:
    """Return the credentials, or say that the address needs some.

    Raises
    ------
    ConfigError
        There are none.
    """
    if credentials is None:
        raise ConfigError(
            f"{address} needs credentials, and no running scheduler of this user has left any for "
            "it: is the address right, and the scheduler running? else pass their folder"
        )
    return credentials


def make_private(folder: Path) -> None:
    """Make a folder of mode 0700, or see that the one that is there is private.

    Raises
    ------
    AuthenticationFailed
        Others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        _check_private_folder(folder)


def _check_private_folder(folder: Path) -> None:
    try:
        status = folder.stat()
    except OSError as error:
        raise AuthenticationFailed(
            f"no credentials in {folder}: {error.strerror}; it must be one role's folder as "
            "Credentials.save wrote it, on a file system that this machine sees"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise AuthenticationFailed(f"no credentials in {folder}: it is not a folder")
    _check_private(folder, status, "700")


def _check_private(path: Path, status: os.stat_result, wanted: str) -> None:
    """Of a symbolic link, this sees the status of what it points to: that is what is read."""
    if status.st_uid != os.geteuid():
        raise AuthenticationFailed(
            f"{path} belongs to uid {status.st_uid}, this process runs as {os.geteuid()}; "
            "only one's own credentials are used"
        )
    if status.st_mode & 0o077:
        raise AuthenticationFailed(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so that others may have read or "
            f"changed it; make new credentials, or if you are sure: chmod {wanted} {path}"
        )


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise AuthenticationFailed(
            f"cannot read {path}: {error.strerror}; it must be in one role's folder as "
            "Credentials.save wrote it"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        # The status of the opened file, so that nobody can exchange it between check and use.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AuthenticationFailed(f"{path} is not a regular file")
        _check_private(path, status, "600")
        return file.read(_FILE_MAX)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that is never there with half its content or for others to read."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)
