"""The interface itself, and the example in the package's docstring."""

from __future__ import annotations

import inspect

import jobqueue.comm
from jobqueue.comm import Comm, Listener
from jobqueue.comm.listener import StreamListener
from jobqueue.comm.memory import MemoryComm, MemoryListener
from jobqueue.comm.stream import StreamComm


def test_every_transport_has_the_same_methods() -> None:
    """Signatures are those of the interface, so that users need not know the transport."""
    for base, kinds in (
        (Comm, (MemoryComm, StreamComm)),
        (Listener, (MemoryListener, StreamListener)),
    ):
        for name in sorted(base.__abstractmethods__):
            expected = getattr(base, name)
            for kind in kinds:
                method = getattr(kind, name)
                if isinstance(expected, property):
                    assert isinstance(method, property)
                else:
                    assert inspect.signature(method) == inspect.signature(expected)


def test_the_docstring_names_what_is_exported() -> None:
    """What the package's first lines use can be imported from it."""
    text = jobqueue.comm.__doc__ or ""
    for name in ("Credentials", "listen", "connect_any", "connect", "contact_addresses"):
        assert name in text
        assert hasattr(jobqueue.comm, name)
