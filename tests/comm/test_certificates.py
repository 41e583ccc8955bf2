"""What stands in a cluster's certificates."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from jobqueue.comm.certificates import dns_name, issue, role_of


@pytest.mark.parametrize(
    ("role", "uses"),
    [
        ("scheduler", {ExtendedKeyUsageOID.SERVER_AUTH}),
        ("worker", {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        ("client", {ExtendedKeyUsageOID.CLIENT_AUTH}),
    ],
)
def test_a_role_can_do_what_it_must_and_no_more(role: str, uses: set[object]) -> None:
    """Its certificate is for P-256, cannot issue others, and names the role."""
    issued = issue("cluster")
    certificate = x509.load_pem_x509_certificate(issued[role].certificate)
    authority = x509.load_pem_x509_certificate(issued[role].authority)
    certificate.verify_directly_issued_by(authority)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    extensions = certificate.extensions
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == uses
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [dns_name("cluster", role)]


def test_certificates_are_valid_a_day_ago_and_for_as_long_as_told() -> None:
    """A node whose clock is behind accepts a certificate that was made a moment ago."""
    issued = issue("cluster", datetime.timedelta(days=3))
    now = datetime.datetime.now(datetime.UTC)
    for pem in (issued["worker"].certificate, issued["worker"].authority):
        certificate = x509.load_pem_x509_certificate(pem)
        assert certificate.not_valid_before_utc < now - datetime.timedelta(hours=23)
        left = certificate.not_valid_after_utc - now
        assert datetime.timedelta(days=2.9) < left < datetime.timedelta(days=3.1)


@pytest.mark.parametrize("cluster", ["plain", "with space", "ünïcode", "x" * 300, "", "a.b/c\n"])
def test_any_text_may_be_a_clusters_name(cluster: str) -> None:
    """DNS names are short and plain, clusters' names need not be."""
    name = dns_name(cluster, "scheduler")
    assert name.isascii()
    assert all(len(label) <= 63 for label in name.split("."))
    assert role_of({"subjectAltName": (("DNS", name),)}) == "scheduler"


@pytest.mark.parametrize(
    "certificate", [{}, {"subjectAltName": (("DNS", "worker.example.org"), ("URI", "x"))}]
)
def test_a_certificate_of_another_kind_has_no_role(certificate: dict[str, object]) -> None:
    """And no role is none that a hello could name."""
    assert role_of(certificate) == ""


def test_two_clusters_share_nothing() -> None:
    """Not even of the same name."""
    first, second = issue("same")["worker"], issue("same")["worker"]
    assert first.authority != second.authority
    assert first.key != second.key
