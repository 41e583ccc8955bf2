"""What the values of the job agent's command line mean: one parser for each kind of them.

Each returns the value, or raises a ValueError that says what was expected.
"""

from __future__ import annotations

import contextlib

from jobqueue.protocol.quantities import parse_bytes, parse_seconds

AUTO = -1
"""`AgentOptions.memory_limit`: as much as there is, shared among the workers; `nworkers`: as many
as suit the CPUs."""

_OFF = ("off", "no", "none", "false", "0")


def addresses(text: str) -> list[str]:
    """Read addresses that stand between commas."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise ValueError(f"{text!r} holds no address, as in tls://10.0.0.1:4000")
    return found


def protocol(text: str) -> str:
    """Read the protocol of addresses that name none."""
    scheme = text.strip().removesuffix("://")
    if scheme not in ("", "tls", "tcp"):
        raise ValueError(f"{text!r} is no protocol: write tls or tcp")
    return scheme or "tls"


def name(text: str) -> str:
    """Read a name that may be empty."""
    return text.strip()


def optional(text: str) -> str | None:
    """Read a text; an empty one, as unset shell variables give, means that nothing was said."""
    return text.strip() or None


def count(text: str) -> int:
    """Read a number of things, of which there is one at least."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{text!r} is no number from 1")
    return int(text)


def count_or_auto(text: str) -> int:
    """Read such a number, or `AUTO`."""
    return AUTO if text.strip().lower() == "auto" else count(text)


def seconds(text: str) -> float:
    """Read a time to wait."""
    found = parse_seconds(text)
    if found == 0:
        raise ValueError(f"{text!r} is no time to wait: it must be more than 0")
    return found


def optional_seconds(text: str) -> float | None:
    """Read a time to wait, or nothing."""
    return seconds(text) if text.strip() else None


def epoch(text: str) -> float | None:
    """Read a point in time, or nothing."""
    if not text.strip():
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"{text!r} is no time in seconds since 1970, as `date +%s` prints it")
    return found


def memory_limit(text: str) -> float | None:
    """Read a size in bytes, a fraction of what there is, `AUTO`, or None for no limit."""
    word = text.strip().lower()
    if word in ("", "auto"):
        return AUTO
    if word == "none":
        return None
    with contextlib.suppress(ValueError):
        if 0 < float(word) <= 1:
            return float(word)
    return parse_bytes(text) or None


def fraction(text: str) -> float | None:
    """Read a fraction of the memory limit, or None for never."""
    if text.strip().lower() in _OFF:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found <= 1:
        raise ValueError(f"{text!r} is no fraction of the memory limit: write 0.7, or off")
    return found


def ports(text: str) -> tuple[int, int] | None:
    """Read the first and the last port that will do, or None for any."""
    first, colon, last = text.strip().partition(":")
    try:
        found = int(first or 0), int(last if colon else first or 0)
    except ValueError:
        found = -1, -1
    if found == (0, 0):
        return None
    if not 1 <= found[0] <= found[1] <= 65535:
        raise ValueError(
            f"{text!r} is no port: write 3000, or 3000:3026 for the first that is free"
        )
    return found


def resources(text: str) -> dict[str, float]:
    """Read amounts by name, between commas or spaces."""
    found = {}
    for item in text.replace(",", " ").split():
        name, equals, amount = item.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            found[name] = -1.0
        if not name or not equals or not 0 <= found[name] < float("inf"):
            raise ValueError(f"{item!r} is no resource: write NAME=AMOUNT, as in GPU=2")
    return found
