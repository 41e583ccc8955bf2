"""A cluster's own certificate authority, and the certificates that it issues once.

The authority's key exists only while `issue` runs. Each role has a certificate of its own, and its
DNS name says which: the TLS library itself refuses a worker that poses as the scheduler.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LIFETIME = datetime.timedelta(days=90)
"""How long a cluster's certificates are valid: longer than clusters live."""

CLOCK_SKEW = datetime.timedelta(days=1)
"""How far a node's clock may be behind without refusing a new certificate."""

# Whether a role's certificate may accept connections, and whether it may make them.
_USES = {"scheduler": (True, False), "worker": (True, True), "client": (False, True)}


class Issued(NamedTuple):
    """PEM files of one role.

    Attributes
    ----------
    authority
        The certificate that all certificates of the cluster are checked against.
    certificate, key
        The role's own.
    """

    authority: bytes
    certificate: bytes
    key: bytes


def dns_name(cluster: str, role: str) -> str:
    """Return the name in a role's certificate; a cluster's name may hold what DNS forbids."""
    return f"{role}.{hashlib.sha256(cluster.encode()).hexdigest()[:32]}.jobqueue"


def role_of(certificate: dict[str, object]) -> str:
    """Return the role in a peer's certificate, as `ssl.SSLSocket.getpeercert` gives it.

    Examples
    --------
    >>> role_of({"subjectAltName": (("DNS", "worker.1f.jobqueue"),)})
    'worker'
    """
    names = certificate.get("subjectAltName", ())
    assert isinstance(names, tuple)
    for kind, name in names:
        if kind == "DNS" and name.endswith(".jobqueue"):
            return str(name).partition(".")[0]
    return ""


def issue(cluster: str, lifetime: datetime.timedelta = LIFETIME) -> dict[str, Issued]:
    """Make a certificate authority and a certificate for each role.

    Parameters
    ----------
    cluster
        The cluster's name.
    lifetime
        How long the certificates are valid.

    Returns
    -------
    dict
        By role: scheduler, worker, client.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    now = datetime.datetime.now(datetime.UTC)
    validity = (now - CLOCK_SKEW, now + lifetime)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(cluster, authority_key, validity)
    authority_pem = authority.public_bytes(Encoding.PEM)
    issued = {}
    for role in _USES:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(cluster, role, key, authority, authority_key, validity)
        issued[role] = Issued(
            authority_pem,
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
    return issued


def _builder(
    common_name: str,
    issuer: str,
    key: EllipticCurvePrivateKey,
    validity: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(
    cluster: str,
    key: EllipticCurvePrivateKey,
    validity: tuple[datetime.datetime, datetime.datetime],
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = dns_name(cluster, "authority")
    builder = _builder(name, name, key, validity)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    cluster: str,
    role: str,
    key: EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    validity: tuple[datetime.datetime, datetime.datetime],
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    accepts, connects = _USES[role]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * accepts + [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ] * connects
    name = dns_name(cluster, role)
    builder = _builder(name, dns_name(cluster, "authority"), key, validity)
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
