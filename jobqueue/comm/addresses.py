"""Addresses: what they look like, and which ones this machine has.

========================  ==================================================================
`tls://host:port`         mutual TLS with a cluster's own certificates; host may be `[::1]`
`tcp://host:port`         plain TCP with a challenge both ways, only when asked for by name
`unix:///folder/socket`   a Unix socket in a folder that only its owner may enter
`memory://name`           both ends in one event loop
========================  ==================================================================
"""

from __future__ import annotations

import socket
from typing import Literal, NamedTuple, cast

from jobqueue.errors import ConfigError

Scheme = Literal["tls", "tcp", "unix", "memory"]

_EXAMPLES = "tls://host:port, tcp://host:port, unix:///folder/socket or memory://name"


class Address(NamedTuple):
    """An address, taken apart.

    Attributes
    ----------
    scheme
        How to connect.
    host, port
        For `tls` and `tcp`; the host without brackets.
    path
        For `unix` the path of the socket, for `memory` the name.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.scheme in ("unix", "memory"):
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises
    ------
    ConfigError
        It is not an address; says what one looks like.

    Examples
    --------
    >>> parse_address("tls://[fd00::2]:4000")
    Address(scheme='tls', host='fd00::2', port=4000, path='')
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("tls", "tcp", "unix", "memory"):
        raise ConfigError(f"{text!r} is not an address; one looks like {_EXAMPLES}")
    if scheme == "memory":
        return Address("memory", path=rest)
    if scheme == "unix":
        if not rest.startswith("/"):
            raise ConfigError(f"{text!r} has no absolute path; write unix:///folder/socket")
        return Address("unix", path=rest)
    host, port = _split_port(text, rest)
    return Address(cast(Scheme, scheme), host=host, port=port)


def _split_port(text: str, rest: str) -> tuple[str, int]:
    host, separator, port = rest.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{text!r}: an IPv6 address stands in brackets, as in tls://[::1]:4000")
    if not separator or not host or not port.isascii() or not port.isdigit():
        raise ConfigError(f"{text!r} has no host and port; write tls://host:port")
    if int(port) > 65535:
        raise ConfigError(f"{text!r}: port {port} is larger than 65535")
    return host, int(port)


def interface_addresses() -> dict[str, list[str]]:
    """Return this machine's network interfaces with their IP addresses, IPv4 first.

    Link-local IPv6 addresses are left out: they mean nothing without the interface's name.
    """
    import ipaddress  # these two take 20 ms that most processes can do without

    import psutil

    found: dict[str, list[str]] = {}
    for name, entries in psutil.net_if_addrs().items():
        v4 = [entry.address for entry in entries if entry.family == socket.AF_INET]
        v6 = [entry.address for entry in entries if entry.family == socket.AF_INET6]
        found[name] = v4 + [a for a in v6 if not ipaddress.ip_address(a).is_link_local]
    return found


def interface_address(name: str) -> str:
    """Return the first IP address of a network interface.

    Parameters
    ----------
    name
        As `ip addr` prints it, for example ``ib0``.

    Raises
    ------
    ConfigError
        This machine has no such interface (says which it has), or it has no address.
    """
    interfaces = interface_addresses()
    usable = ", ".join(interface for interface, addresses in interfaces.items() if addresses)
    if name not in interfaces:
        raise ConfigError(f"interface {name!r} does not exist; this machine has: {usable}")
    if not interfaces[name]:
        raise ConfigError(f"interface {name!r} has no IP address; those that have one: {usable}")
    return interfaces[name][0]


def is_loopback(host: str) -> bool:
    """Return whether a host, by address or name, is the machine that one is on, and no other.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("localhost")
    (True, True, True)
    >>> is_loopback("10.0.0.1"), is_loopback("login.site")
    (False, False)
    """
    return host.startswith("127.") or host.strip("[]").lower() in ("::1", "localhost")


def host_addresses() -> list[str]:
    """Return the IP addresses by which other machines may reach this one, IPv4 first.

    Loopback is left out, unless there is nothing else.
    """
    addresses = [address for found in interface_addresses().values() for address in found]
    addresses.sort(key=lambda address: ":" in address)
    return [a for a in addresses if not is_loopback(a)] or addresses


def contact_addresses(address: str) -> tuple[str, ...]:
    """Return where a listener can be reached from other machines, best first.

    Parameters
    ----------
    address
        A listener's address. If it is bound to all addresses (0.0.0.0 or ::), each address of
        this machine is a candidate.

    Examples
    --------
    >>> contact_addresses("tls://10.0.0.1:4000")
    ('tls://10.0.0.1:4000',)
    """
    parsed = parse_address(address)
    if parsed.host not in ("0.0.0.0", "::"):
        return (address,)
    candidates = [a for a in host_addresses() if parsed.host == "::" or ":" not in a]
    return tuple(str(Address(parsed.scheme, host=a, port=parsed.port)) for a in candidates)
