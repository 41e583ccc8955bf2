"""Connections between client, scheduler and workers: one interface, four transports.

The scheduler listens; `on_comm` gets each connection whose peer has proved itself::

    credentials = Credentials.create("my-cluster")        # for tls:// and tcp:// only
    credentials.save(folder)                              # workers load folder / "worker"
    listener = await listen("tls://0.0.0.0:0", hello={"role": "scheduler"},
                            credentials=credentials, on_comm=on_comm)
    contact_addresses(listener.address)                   # what workers are told

The others connect, to whichever of the addresses answers first::

    comm = await connect_any(addresses, hello={"role": "worker", "name": "w-0"},
                             credentials=Credentials.load(folder / "worker"), timeout=30)
    comm.peer                                             # the scheduler's hello
    comm.start(on_messages, on_closed)                    # on_messages(tuple of messages)
    comm.send([("ready", 1), ("done", "inc-2f", b"...")]) # one frame, never blocks
    await comm.drain()                                    # backpressure, where it matters
    comm.close(); await comm.wait_closed()                # flushes; on_closed(reason) comes once

Between workers: `listen(..., hello={"role": "worker"}, roles={"peer"})` and
`connect(..., hello={"role": "peer"}, expect="worker")`.
"""

from jobqueue.comm.addresses import (
    Address,
    contact_addresses,
    interface_address,
    parse_address,
)
from jobqueue.comm.base import Comm, Hello, Listener
from jobqueue.comm.credentials import Credentials
from jobqueue.comm.dial import connect, connect_any
from jobqueue.comm.listener import CLIENT_SIDE, SCHEDULER_PEERS, WORKER_SIDE, listen
from jobqueue.comm.sending import send
from jobqueue.protocol.frames import Message

__all__ = [
    "CLIENT_SIDE",
    "SCHEDULER_PEERS",
    "WORKER_SIDE",
    "Address",
    "Comm",
    "Credentials",
    "Hello",
    "Listener",
    "Message",
    "connect",
    "connect_any",
    "contact_addresses",
    "interface_address",
    "listen",
    "parse_address",
    "send",
]
