"""TLS as all our connections use it: version 1.3, both sides with certificates of the cluster."""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path

from jobqueue.comm.credentials import Credentials
from jobqueue.errors import AuthenticationFailed, CommError


@functools.lru_cache(maxsize=16)
def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the TLS settings of a side that accepts connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # Sessions are not resumed, and a peer that closes at once should leave no unread ticket.
    context.num_tickets = 0
    return _prepare(context, credentials)


@functools.lru_cache(maxsize=16)
def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the TLS settings of a side that connects; it checks the name in the certificate."""
    return _prepare(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), credentials)


def _prepare(context: ssl.SSLContext, credentials: Credentials) -> ssl.SSLContext:
    import tempfile  # local workers, which start without TLS, do without

    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=credentials.authority.decode())
    # The ssl module reads a certificate and its key from files only: of what was checked when
    # the credentials were loaded, in a folder that only this process's user may enter.
    with tempfile.TemporaryDirectory(prefix="jobqueue-") as folder:
        path = Path(folder, "identity.pem")
        path.touch(mode=0o600)
        path.write_bytes(credentials.certificate + credentials.key)
        try:
            context.load_cert_chain(os.fspath(path))
        except ssl.SSLError as error:
            raise AuthenticationFailed(
                f"the {credentials.role}'s certificate or key of cluster {credentials.cluster!r} "
                f"is broken ({error.reason}); make new credentials"
            ) from error
    return context


_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE")


def explain(error: ssl.SSLError) -> CommError:
    """Return what a TLS failure means to the user."""
    same = "both sides need the credentials of the same cluster"
    reason = getattr(error, "reason", None) or str(error)  # asyncio raises some without
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message
        if "ostname" in message:
            return AuthenticationFailed(
                "the peer's certificate is for another role or cluster than is expected there "
                f"({message})"
            )
        if "expired" in message or "not yet valid" in message:
            return AuthenticationFailed(
                f"the peer's certificate: {message}; compare the clocks of both machines, "
                "or make new credentials"
            )
        return AuthenticationFailed(f"the peer's certificate is refused ({message}); {same}")
    if "ALERT" in reason:
        return AuthenticationFailed(f"the peer refused our certificate ({reason}); {same}")
    if "DID_NOT_RETURN_A_CERTIFICATE" in reason:
        return AuthenticationFailed(f"the peer has no certificate; {same}")
    if any(text in reason for text in _NOT_TLS):
        return CommError(
            f"the peer does not speak TLS ({reason}); is it tcp:// there and tls:// here?"
        )
    return CommError(f"TLS failed: {reason}")
