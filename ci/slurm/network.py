"""The cluster's network: one bridge in the machine's namespace, one cable to each node.

Nothing is forwarded to other networks: nodes reach the machine, each other, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from layout import Lab, Node
from machine import kill, run, succeeds

NOBODYS_CARD = "02:00:00:00:00:00"


def lay_bridge(lab: Lab) -> None:
    """Make the bridge and give the machine its address on it."""
    run("ip", "link", "add", lab.bridge, "type", "bridge")
    run("ip", "addr", "add", f"{lab.login_address}/24", "dev", lab.bridge)
    run("ip", "link", "set", lab.bridge, "up")


def remove_bridge(lab: Lab) -> None:
    """Take the bridge away if it is there."""
    succeeds("ip", "link", "del", lab.bridge)


def add_namespace(node: Node) -> None:
    """Make the node's network namespace and plug its cable in, unless that is done already."""
    name = node.namespace
    if namespace_path(node).exists():
        return
    run("ip", "netns", "add", name)
    run("ip", "link", "add", node.cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", node.cable, "master", node.lab.bridge, "up")
    run("ip", "-n", name, "addr", "add", f"{node.address}/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "route", "add", "default", "via", node.lab.login_address)


def remove_namespace(node: Node) -> None:
    """Take the node's namespace and its cable away if they are there."""
    succeeds("ip", "netns", "del", node.namespace)
    succeeds("ip", "link", "del", node.cable)


def namespace_path(node: Node) -> Path:
    """Give the file that stands for the node's network namespace."""
    return Path("/run/netns", node.namespace)


def members(node: Node) -> list[int]:
    """Find every process that lives in the node's namespace."""
    if not namespace_path(node).exists():
        return []
    return [int(pid) for pid in run("ip", "netns", "pids", node.namespace).split()]


def kill_members(node: Node) -> None:
    """End every process of the node without warning."""
    kill(lambda: members(node), f"the processes of {node.name}")


def cut(node: Node) -> None:
    """Pull the node's cable: packets vanish, no connection is closed."""
    run("ip", "link", "set", node.cable, "down")


def heal(node: Node) -> None:
    """Plug the node's cable in again."""
    run("ip", "link", "set", node.cable, "up")


def isolate(lab: Lab) -> None:
    """Let nodes reach the machine and not each other; what is under way stops."""
    for node in lab.nodes:
        run("bridge", "link", "set", "dev", node.cable, "isolated", "on")


def part(one: Node, other: Node) -> None:
    """Let two nodes not reach each other: what they send there goes to a card that nobody has."""
    for here, there in ((one, other), (other, one)):
        wrong = ["lladdr", NOBODYS_CARD, "dev", "eth0", "nud", "permanent"]
        run("ip", "-n", here.namespace, "neigh", "replace", there.address, *wrong)


def join(lab: Lab) -> None:
    """Let all nodes reach each other again."""
    for node in lab.nodes:
        run("bridge", "link", "set", "dev", node.cable, "isolated", "off")
        run("ip", "-n", node.namespace, "neigh", "flush", "dev", "eth0", "nud", "permanent")
