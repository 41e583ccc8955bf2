"""Finding a scheduler: scheduler files, and where a user's own schedulers leave their credentials.

A *scheduler file* says where a scheduler is. It lies wherever the user said, is replaced as a
whole, and is believed only if nobody else can have written it: whoever it names gets to run code.

Schedulers started by hand also leave one, and the credentials, below the state folder, so that
clients and workers of the same user need nothing but an address::

    ~/.local/state/jobqueue/schedulers/   $JOBQUEUE_STATE_DIRECTORY or $XDG_STATE_HOME move it
        login1-8786/                      0700; gone when the scheduler has ended
            scheduler.json                as above
            worker/  client/              see `jobqueue.comm.credentials`

All of this reads and writes files, so an event loop calls it in a thread.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from jobqueue.comm.addresses import parse_address
from jobqueue.comm.credentials import Credentials, make_private, write_private
from jobqueue.comm.handshake import CERTIFICATE_ROLES
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError

FILE = "scheduler.json"

POLL = 0.2
"""Seconds between two looks whether a scheduler file is there."""

_SIZE_MAX = 64 << 10


class SchedulerFile(NamedTuple):
    """What a scheduler file says.

    Parameters
    ----------
    addresses
        Where workers find the scheduler, best first.
    client_addresses
        Where clients do; the same unless it listens for them apart.
    credentials
        Folder with one folder for each role, or None where the transport needs none.
    name
        The scheduler's.
    host, pid
        The machine and process that it runs in.

    Examples
    --------
    >>> file = SchedulerFile.read("scheduler.json")  # doctest: +SKIP
    >>> file.addresses, file.folder("worker")  # doctest: +SKIP
    (('tls://10.0.0.1:8786',), '/home/me/.local/state/jobqueue/schedulers/login1-8786/worker')
    """

    addresses: tuple[str, ...]
    client_addresses: tuple[str, ...]
    credentials: str | None = None
    name: str = ""
    host: str = ""
    pid: int = 0

    def addresses_for(self, role: str) -> tuple[str, ...]:
        """Return where a role (as in a hello) finds the scheduler."""
        return self.client_addresses if role == "client" else self.addresses

    def folder(self, role: str) -> str | None:
        """Return the folder with the credentials of a role (as in a hello), or None."""
        if self.credentials is None:
            return None
        return os.path.join(self.credentials, CERTIFICATE_ROLES[role])

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it, for this user only; whoever reads meanwhile gets the old one or the new one.

        Raises
        ------
        ConfigError
            It cannot be written there.
        """
        target = Path(path).expanduser()
        try:
            write_private(target, json.dumps(self._asdict(), indent=1).encode() + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot write scheduler file {target}: {error.strerror}") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> SchedulerFile:
        """Read what `write` wrote.

        Raises
        ------
        CommError
            It is not there (yet), or was left by a scheduler of this machine that is gone.
        AuthenticationFailed
            It belongs to somebody else, or others may have written it.
        ConfigError
            It is no scheduler file.
        """
        found = cls._read(Path(path).expanduser())
        if found.gone:
            raise CommError(
                f"scheduler file {os.fspath(path)} was left by process {found.pid} of this "
                "machine, which is gone: start the scheduler again"
            )
        return found

    @property
    def gone(self) -> bool:
        """Whether the scheduler is known to have been killed: it ran on this machine."""
        return self.pid > 0 and self.host == socket.gethostname() and not _runs(self.pid)

    @classmethod
    def _read(cls, target: Path) -> SchedulerFile:
        content = _read_own(target)
        try:
            fields = json.loads(content)
            found = cls(
                tuple(map(str, fields["addresses"])),
                tuple(map(str, fields.get("client_addresses") or fields["addresses"])),
                fields.get("credentials"),
                str(fields.get("name", "")),
                str(fields.get("host", "")),
                int(fields.get("pid", 0)),
            )
            for address in (*found.addresses, *found.client_addresses):
                parse_address(address)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{target} is no scheduler file ({error!r}): `jobqueue scheduler --scheduler-file` "
                "writes one"
            ) from error
        return found

    def remove(self, path: str | os.PathLike[str]) -> None:
        """Remove the file, unless it is another scheduler's by now."""
        try:
            target = Path(path).expanduser()
            if SchedulerFile._read(target) == self:
                target.unlink()
        except (CommError, ConfigError, OSError):
            return


def wait_for_scheduler_file(
    path: str | os.PathLike[str],
    timeout: float,
    *,
    pause: Callable[[float], object] = time.sleep,
) -> SchedulerFile:
    """Read a scheduler file that may be written only later.

    Parameters
    ----------
    path
        Where it will be.
    timeout
        Seconds to wait for it.
    pause
        Called with the seconds until the next look.

    Raises
    ------
    CommError
        It is still not there.
    AuthenticationFailed, ConfigError
        As for `SchedulerFile.read`: waiting does not help.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            return SchedulerFile.read(path)
        except AuthenticationFailed:
            raise
        except CommError:
            left = end - time.monotonic()
            if left <= 0:
                raise
            pause(min(POLL, left))


# -- where a user's own schedulers are ------------------------------------------------------------


def state_directory() -> Path:
    """Return the folder below which schedulers and clusters keep what has to outlive a crash."""
    if own := os.environ.get("JOBQUEUE_STATE_DIRECTORY"):
        return Path(own).expanduser()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "jobqueue"


def publish(
    credentials: Credentials,
    *,
    addresses: Iterable[str],
    client_addresses: Iterable[str] = (),
) -> SchedulerFile:
    """Leave a scheduler's credentials where this user's workers and clients look for them.

    Parameters
    ----------
    credentials
        The scheduler's own; only what workers and clients need is written.
    addresses, client_addresses
        As in `SchedulerFile`.

    Returns
    -------
    SchedulerFile
        To be given to `withdraw` at the end.

    Raises
    ------
    ConfigError
        The folder cannot be written to.
    AuthenticationFailed
        Others may enter it.
    """
    addresses = tuple(addresses)
    host = socket.gethostname()
    parent = state_directory() / "schedulers"
    try:
        make_private(parent)
        _sweep(parent, addresses)
        folder = _free_name(parent, f"{host}-{parse_address(addresses[0]).port}")
        for one in credentials.others.values():
            one.save(folder)
        found = SchedulerFile(
            addresses,
            tuple(client_addresses) or addresses,
            str(folder.absolute()),
            credentials.cluster,
            host,
            os.getpid(),
        )
        found.write(folder / FILE)
    except OSError as error:
        if isinstance(error, CommError):
            raise
        raise ConfigError(
            f"credentials cannot be written below {parent}: {error.strerror}; set "
            "JOBQUEUE_STATE_DIRECTORY to a folder of your own that all nodes see"
        ) from error
    return found


def withdraw(published: SchedulerFile) -> None:
    """Remove what `publish` left."""
    if published.credentials is not None:
        shutil.rmtree(published.credentials, ignore_errors=True)


def find_scheduler(address: str) -> SchedulerFile | None:
    """Return what one of this user's schedulers left, or None if none has this address.

    Parameters
    ----------
    address
        As the user knows it: a name, an alias or an IP address of its machine, or the near end of
        a tunnel. If only one scheduler has the port, it is that one; should it be a stranger's
        after all, its certificate tells.
    """
    wanted = parse_address(address)
    if wanted.scheme not in ("tls", "tcp"):
        return None
    found = []
    for each in _published(state_directory() / "schedulers"):
        if each.gone:
            continue
        parsed = [parse_address(one) for one in (*each.addresses, *each.client_addresses)]
        if any(one.port == wanted.port and one.scheme == wanted.scheme for one in parsed):
            found.append((each, {one.host for one in parsed} | {each.host}))
    if len(found) == 1:
        return found[0][0]
    same = [each for each, hosts in found if wanted.host in hosts]
    if not same:
        addresses = _ip_addresses(wanted.host) if found else set()
        same = [each for each, hosts in found if hosts & addresses]
    return same[0] if len(same) == 1 else None


def find_credentials(address: str, role: str) -> str | None:
    """Return the folder with a role's credentials for one of this user's schedulers, or None.

    Parameters
    ----------
    address
        As for `find_scheduler`.
    role
        As in a hello: ``client``, ``worker``, ``agent``, …

    Examples
    --------
    >>> find_credentials("tls://login1:8786", "client")  # doctest: +SKIP
    '/home/me/.local/state/jobqueue/schedulers/login1-8786/client'
    """
    found = find_scheduler(address)
    return None if found is None else found.folder(role)


def _published(parent: Path) -> list[SchedulerFile]:
    found = []
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        try:
            found.append(SchedulerFile._read(folder / FILE)._replace(credentials=str(folder)))
        except (CommError, ConfigError):  # half made, half removed, or not ours
            continue
    return found


def _sweep(parent: Path, addresses: tuple[str, ...]) -> None:
    """Remove what killed schedulers left here: their process is gone, or their port is ours."""
    for each in _published(parent):
        here = each.host == socket.gethostname()
        if each.gone or (here and set(each.addresses) & set(addresses)):
            withdraw(each)


def _free_name(parent: Path, name: str) -> Path:
    """Return a name that is not in use: with several addresses, a machine has a port twice."""
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _ip_addresses(host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _read_own(path: Path) -> bytes:
    """Read a file that only this user, or root, can have written."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CommError(
            f"no scheduler file {path}: {error.strerror}; the scheduler may not have started yet, "
            "or this machine does not see the folder"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AuthenticationFailed(f"{path} is not a regular file")
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            raise AuthenticationFailed(
                f"scheduler file {path} belongs to uid {status.st_uid} and has mode "
                f"{stat.S_IMODE(status.st_mode):04o}: others may have written it, and whoever it "
                "names gets to run code; start the scheduler again, with a path of your own"
            )
        return file.read(_SIZE_MAX)
