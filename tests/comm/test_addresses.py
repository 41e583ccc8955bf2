"""Addresses, interfaces, and where others can reach this machine."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

import hypothesis.strategies as st
import psutil
import pytest
from hypothesis import given

from jobqueue.comm import addresses as module
from jobqueue.comm.addresses import (
    Address,
    contact_addresses,
    host_addresses,
    interface_address,
    parse_address,
)
from jobqueue.errors import ConfigError


class Entry(NamedTuple):
    """What psutil says of one address of an interface."""

    family: int
    address: str


def entry(address: str) -> Entry:
    return Entry(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with two networks and a loopback."""
    interfaces = {
        "lo": [entry("127.0.0.1"), entry("::1")],
        "eth0": [entry("fd00::2"), entry("10.1.2.3"), entry("fe80::1%eth0")],
        "ib0": [entry("192.168.0.5")],
        "down0": [],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tls://10.0.0.1:4000", Address("tls", host="10.0.0.1", port=4000)),
        ("tcp://node-1.cluster:0", Address("tcp", host="node-1.cluster", port=0)),
        ("tls://[fd00::2]:65535", Address("tls", host="fd00::2", port=65535)),
        ("unix:///run/user/0/s", Address("unix", path="/run/user/0/s")),
        ("memory://name", Address("memory", path="name")),
        ("memory://", Address("memory")),
    ],
)
def test_an_address_is_taken_apart_and_put_together(text: str, address: Address) -> None:
    """`parse_address` and `str` are each other's inverse."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10.0.0.1:4000", "one looks like tls://host:port"),
        ("http://10.0.0.1:4000", "one looks like tls://host:port"),
        ("", "one looks like"),
        ("tls://10.0.0.1", "has no host and port"),
        ("tls://:4000", "has no host and port"),
        ("tls://host:http", "has no host and port"),
        ("tls://host:-1", "has no host and port"),
        ("tls://host:٤", "has no host and port"),
        ("tls://host:65536", "port 65536 is larger than 65535"),
        ("tls://fd00::2:4000", "stands in brackets"),
        ("unix://relative/s", "no absolute path"),
    ],
)
def test_what_is_no_address_is_one_clear_error(text: str, complaint: str) -> None:
    """The error repeats what was given and says what an address looks like."""
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


@given(st.text() | st.from_regex(r"(tls|tcp|unix|memory)://.{0,20}"))
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(ConfigError):
        parse_address(text)


@pytest.mark.usefixtures("node")
def test_an_interface_gives_its_address() -> None:
    """IPv4 comes first."""
    assert interface_address("ib0") == "192.168.0.5"
    assert interface_address("eth0") == "10.1.2.3"


@pytest.mark.usefixtures("node")
def test_a_missing_interface_is_named_beside_those_that_exist() -> None:
    """The user sees at once what to write instead."""
    with pytest.raises(
        ConfigError, match=r"interface 'ib9' does not exist; this machine has: lo, eth0, ib0$"
    ):
        interface_address("ib9")
    with pytest.raises(ConfigError, match="'down0' has no IP address; those that have one: lo"):
        interface_address("down0")


@pytest.mark.usefixtures("node")
def test_a_host_is_reached_by_all_its_addresses_but_loopback() -> None:
    """IPv4 first; loopback and link-local addresses mean nothing elsewhere."""
    assert host_addresses() == ["10.1.2.3", "192.168.0.5", "fd00::2"]


@pytest.mark.usefixtures("node")
def test_a_listener_on_all_addresses_has_a_contact_for_each() -> None:
    """0.0.0.0 means IPv4 only, :: both; anything else is its own contact."""
    assert contact_addresses("tls://0.0.0.0:4000") == (
        "tls://10.1.2.3:4000",
        "tls://192.168.0.5:4000",
    )
    assert contact_addresses("tcp://[::]:1")[-1] == "tcp://[fd00::2]:1"
    assert contact_addresses("tls://10.9.9.9:4000") == ("tls://10.9.9.9:4000",)
    assert contact_addresses("unix:///run/s") == ("unix:///run/s",)


def test_a_machine_without_a_network_is_reached_by_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Better than nothing: a laptop on a train runs its own workers."""
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [entry("127.0.0.1")]})
    assert host_addresses() == ["127.0.0.1"]


def test_this_machine_has_a_loopback_interface() -> None:
    """The real list is read, not only the one of these tests."""
    assert any("127.0.0.1" in found for found in module.interface_addresses().values())
