"""TLS settings, and what TLS failures are called."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.comm.tls import client_context, explain, server_context
from jobqueue.errors import AuthenticationFailed, CommError


@pytest.mark.parametrize("make", [server_context, client_context])
def test_both_sides_want_a_certificate_and_tls_13(credentials: Credentials, make: object) -> None:
    """Nothing older, and nobody without a certificate of the cluster."""
    assert callable(make)
    context = make(credentials)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is (make is client_context)
    (authority,) = context.get_ca_certs()
    assert authority["subject"][0][0][1].startswith("authority.")


def test_no_key_is_left_in_a_temporary_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ssl module needs a file for a moment, and for no longer."""
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    server_context(Credentials.create("fresh"))
    assert list(folder.iterdir()) == []


def test_a_broken_key_is_named_as_such(credentials: Credentials) -> None:
    """Files that were cut off or mixed up are no puzzle."""
    for broken in (b"", credentials.others["client"].key, b"nonsense"):
        with pytest.raises(AuthenticationFailed, match=r"scheduler's certificate or key .* broken"):
            server_context(replace(credentials, key=broken))


@pytest.mark.parametrize(
    ("number", "reason", "kind", "text"),
    [
        (1, "TLSV1_ALERT_UNKNOWN_CA", AuthenticationFailed, "refused our certificate"),
        (1, "PEER_DID_NOT_RETURN_A_CERTIFICATE", AuthenticationFailed, "has no certificate"),
        (1, "WRONG_VERSION_NUMBER", CommError, "does not speak TLS"),
        (1, "HTTP_REQUEST", CommError, "does not speak TLS"),
        (1, "SOMETHING_NEW", CommError, "TLS failed: SOMETHING_NEW"),
    ],
)
def test_failures_are_explained(number: int, reason: str, kind: type[CommError], text: str) -> None:
    """Each says what it means here, with OpenSSL's own word."""
    error = ssl.SSLError(number, reason)
    error.reason = reason
    explained = explain(error)
    assert type(explained) is kind
    assert text in str(explained)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Hostname mismatch, certificate is not valid for 'x'.", "another role or cluster"),
        ("certificate has expired", "compare the clocks"),
        ("certificate is not yet valid", "compare the clocks"),
        ("self-signed certificate in certificate chain", "credentials of the same cluster"),
    ],
)
def test_refused_certificates_are_explained(message: str, text: str) -> None:
    """The remedy depends on what is wrong with them."""
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_message = message
    explained = explain(error)
    assert isinstance(explained, AuthenticationFailed)
    assert text in str(explained)
    assert message in str(explained)
