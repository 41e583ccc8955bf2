"""The first words of a connection, before either side believes the other.

Rules:

- No I/O: a `Handshake` takes one message and returns the messages to answer with. It is one side;
  two of them can be run against each other.
- Whoever knows the peer already (a TLS certificate, the uid behind a Unix socket) begins with the
  hello. Over plain TCP both sides first prove that they know the cluster's token.
- A side that refuses says why before it ends, so that both sides can tell their users.

The course over TLS and Unix sockets::

    server: hello       client: hello       server: welcome

and over plain TCP before that::

    client: challenge   server: challenge   client: proof       server: proof

A proof is HMAC-SHA256, with the token as its key, of the prover's side and both challenges. The
side is in it, so that a proof cannot be reflected to the one who made it; both challenges are
random, so that none can be replayed. This keeps strangers out. It does not protect from somebody
who can change packets between two honest sides: that is what TLS is for.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from jobqueue.comm.base import Hello
from jobqueue.errors import AuthenticationFailed, CommError, FrameError, HandshakeRefused
from jobqueue.protocol.frames import Message

PROTOCOL_VERSION = 2
"""Number of the protocol: what messages look like. It changes with every change of them."""

CERTIFICATE_ROLES = {
    "scheduler": "scheduler",
    "client": "client",
    "task": "worker",  # a client inside of a task: whoever runs tasks may submit some
    "worker": "worker",  # a worker, as the scheduler sees it
    "agent": "worker",  # the job agent that started it
    "peer": "worker",  # a worker, as another worker sees it
}
"""The roles that a hello may name, and the role that the certificate must have for it."""

ROLES = frozenset(CERTIFICATE_ROLES)

LEFT = (
    "ended the connection in mid-handshake; it may refuse these credentials, or want tls:// "
    "instead of tcp:// or the reverse; its log says more"
)
"""What is known of a peer that leaves before it has said anything."""

_NONCE_BYTES = 32


class Redundant(HandshakeRefused):
    """The connecting side needs this connection no more: another address answered first."""


Admit = Callable[[Hello], str | None]
"""A server's own opinion of a hello: None, or the reason why the peer is refused."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one side brings to its handshakes.

    Parameters
    ----------
    hello
        What this side says of itself.
    peer_roles
        The roles that the peer may have.
    token
        The cluster's secret, if the peer must prove that it knows it (plain TCP).
    admit
        Asked for its opinion of the peer's hello.
    wanted
        Asked by the connecting side before it says its own hello: is this still the connection that
        it wants? A peer must not count the same caller twice because two addresses answered.
    """

    hello: Hello
    peer_roles: Collection[str]
    token: bytes | None = field(default=None, repr=False)
    admit: Admit | None = None
    wanted: Callable[[], bool] | None = None


class Handshake:
    """One side of a handshake.

    Parameters
    ----------
    terms
        What this side brings.
    server
        Whether this side accepted the connection.

    Attributes
    ----------
    done
        Whether the peer may be believed and has agreed as well.
    peer
        The peer's hello, once `done`.
    certificate_role
        The role that the peer's certificate gives it; to be set before the first message if the
        connection is by TLS. None lets every role pass.
    """

    def __init__(self, terms: Terms, *, server: bool) -> None:
        self.done = False
        self.peer: Hello = {}
        self.certificate_role: str | None = None
        self._terms = terms
        self._server = server
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._peer_nonce = b""
        self._refused = False
        # What the peer may say next.
        self._expected = "challenge" if terms.token is not None else "hello"

    def begin(self) -> list[Message]:
        """Return what this side says without being asked."""
        if self._terms.token is not None:
            return [] if self._server else [self._challenge_message()]
        return [self._hello_message()] if self._server else []

    def receive(self, message: Message) -> list[Message]:
        """Take the peer's next message and return the answer.

        Raises
        ------
        AuthenticationFailed
            The peer is not who it must be, or says so of this side.
        HandshakeRefused
            The peer refuses this side for another reason, or is refused: for its version, or by
            `admit`.
        FrameError
            The peer does not keep to the course of a handshake.
        """
        operation, *fields = message
        if operation == "refused":
            self._refused = True
            raise _refusal(fields)
        if operation != self._expected:
            raise FrameError(
                f"the peer said {operation!r:.40} where a handshake needs {self._expected!r}"
            )
        return _STEPS[operation](self, fields)

    def farewell(self, error: BaseException) -> list[Message]:
        """Return what to tell the peer before the connection ends because of `error`."""
        if self._refused:
            return []
        if isinstance(error, AuthenticationFailed):
            return [("refused", "authentication", str(error))]
        if isinstance(error, Redundant):
            return [("refused", "redundant", str(error))]
        if isinstance(error, HandshakeRefused):
            return [("refused", "other", str(error))]
        return []

    def _challenge_message(self) -> Message:
        return ("challenge", PROTOCOL_VERSION, self._nonce)

    def _hello_message(self) -> Message:
        return ("hello", PROTOCOL_VERSION, dict(self._terms.hello))

    def _on_challenge(self, fields: list[Any]) -> list[Message]:
        self._check_version(fields)
        nonce = fields[1] if len(fields) == 2 else None
        if type(nonce) is not bytes or len(nonce) != _NONCE_BYTES:
            raise FrameError("the peer's challenge is malformed")
        if hmac.compare_digest(nonce, self._nonce):
            raise AuthenticationFailed("the peer sent our own challenge back")
        self._peer_nonce = nonce
        self._expected = "proof"
        return [self._challenge_message() if self._server else self._proof_message()]

    def _on_proof(self, fields: list[Any]) -> list[Message]:
        proof = fields[0] if len(fields) == 1 else None
        if type(proof) is not bytes:
            raise FrameError("the peer's proof is malformed")
        if not hmac.compare_digest(proof, self._proof(by_server=not self._server)):
            raise AuthenticationFailed(
                "the peer does not know this cluster's token; "
                "both sides need the credentials of the same cluster"
            )
        self._expected = "hello"
        return [self._proof_message(), self._hello_message()] if self._server else []

    def _proof_message(self) -> Message:
        return ("proof", self._proof(by_server=self._server))

    def _proof(self, *, by_server: bool) -> bytes:
        token = self._terms.token
        assert token is not None
        ours, theirs = self._nonce, self._peer_nonce
        client, server = (theirs, ours) if self._server else (ours, theirs)
        side = b"server" if by_server else b"client"
        return hmac.digest(token, b"jobqueue proof " + side + client + server, "sha256")

    def _on_hello(self, fields: list[Any]) -> list[Message]:
        self._check_version(fields)
        hello = fields[1] if len(fields) == 2 else None
        if not isinstance(hello, dict) or not all(type(key) is str for key in hello):
            raise FrameError("the peer's hello is malformed")
        self._check_role(hello.get("role"))
        reason = self._opinion(hello)
        if reason is not None:
            raise HandshakeRefused(reason)
        self.peer = hello
        if self._server:
            self.done = True
            return [("welcome",)]
        if self._terms.wanted is not None and not self._terms.wanted():
            raise Redundant("another address answered first")
        self._expected = "welcome"
        return [self._hello_message()]

    def _opinion(self, hello: Hello) -> str | None:
        if self._terms.admit is None:
            return None
        try:
            return self._terms.admit(hello)
        except Exception as error:
            # Its fields come from outside: whatever they do to `admit`, they are the peer's.
            return f"the hello of this {hello['role']} is malformed: {error!r:.200}"

    def _on_welcome(self, fields: list[Any]) -> list[Message]:
        self.done = True
        return []

    def _check_version(self, fields: list[Any]) -> None:
        version = fields[0] if fields else None
        if version != PROTOCOL_VERSION:
            # Both sides read this sentence.
            ours, theirs = f"{PROTOCOL_VERSION}", f"{version!r:.20}"
            client, server = (theirs, ours) if self._server else (ours, theirs)
            raise HandshakeRefused(
                f"the connecting side speaks version {client} of the protocol, the listening side "
                f"version {server}; install the same version of jobqueue on both"
            )

    def _check_role(self, role: object) -> None:
        certificate = self.certificate_role
        if (
            certificate is not None
            and isinstance(role, str)
            and CERTIFICATE_ROLES.get(role) != certificate
        ):
            raise AuthenticationFailed(
                f"the peer calls itself a {role!r:.40}, its certificate is a {certificate}'s"
            )
        if role not in ROLES or role not in self._terms.peer_roles:
            raise AuthenticationFailed(
                f"the peer is a {role!r:.40}, this connection is for: "
                + ", ".join(sorted(self._terms.peer_roles))
            )


_STEPS: dict[str, Callable[[Handshake, list[Any]], list[Message]]] = {
    "challenge": Handshake._on_challenge,
    "proof": Handshake._on_proof,
    "hello": Handshake._on_hello,
    "welcome": Handshake._on_welcome,
}


def _refusal(fields: list[Any]) -> CommError:
    """The exception for a peer's refusal; its text comes from outside and is shown as such."""
    kind, text = fields if len(fields) == 2 else ("", "")
    shown = "".join(c if c.isprintable() else "?" for c in str(text)[:500]) or "no reason given"
    if kind == "authentication":
        return AuthenticationFailed(f"refused by the peer: {shown}")
    if kind == "redundant":
        return Redundant(shown)
    return HandshakeRefused(f"refused by the peer: {shown}")


def introduce(client: Handshake, server: Handshake) -> None:
    """Run the two sides of a handshake against each other, without a connection between them.

    Raises
    ------
    CommError
        One of them refused the other.
    """
    to_server, to_client = client.begin(), server.begin()
    while to_server or to_client:
        to_server += [answer for message in to_client for answer in client.receive(message)]
        to_client = [answer for message in to_server for answer in server.receive(message)]
        to_server = []
