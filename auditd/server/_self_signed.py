"""A certificate for a new server, by an authority of its own, so that TLS works from the first minute."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from auditd.errors import InvalidRequestError, Violation
from auditd.log import write_private_file

CA_NAME, CERTIFICATE_NAME = "ca.crt", "server.crt"
CA_KEY_NAME, KEY_NAME = "tls-ca.pem", "tls.pem"
LIFETIME = timedelta(days=3_650)
_BACKDATED = timedelta(hours=1)  # for clients whose clock is behind
_MAX_COMMON_NAME = 64


def names_of(origin: str, more: Sequence[str] = ()) -> list[str]:
    """Return the host names and addresses under which a server of this origin may be called, `more` among them.

    Raises InvalidRequestError: `INVALID_HOST`, for one of `more` that is neither.
    """
    for name in more:
        if not _is_host(name):
            problem = f"{name!r} is no host name and no address"
            raise InvalidRequestError("INVALID_HOST", f"tls-host: {problem}", [Violation("tls-host", problem)])
    host = origin.partition("/")[0].partition(":")[0]
    found = [*more, *(name for name in (host, socket.gethostname()) if _is_host(name))]
    return list(dict.fromkeys([*found, "localhost", "127.0.0.1", "::1"]))


def make_self_signed(tls: Path, keys: Path, origin: str, names: Sequence[str]) -> None:
    """Write an authority and a server certificate by it to `tls`, and their private keys (0600) to `keys`."""
    tls.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _distinguished_name(f"auditd {origin}")
    authority = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, SHA256())
    )
    certificate = (
        _builder(_distinguished_name(names[0]), ca_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, SHA256())
    )
    for name, private_key in ((CA_KEY_NAME, ca_key), (KEY_NAME, key)):
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private_file(keys / name, pem)
    (tls / CA_NAME).write_bytes(authority.public_bytes(Encoding.PEM))
    (tls / CERTIFICATE_NAME).write_bytes(certificate.public_bytes(Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _distinguished_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_MAX_COMMON_NAME])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        labels = name.removeprefix("*.").split(".")
        return len(name) <= 253 and all(
            0 < len(label) <= 63 and label.isascii() and label.replace("-", "a").isalnum() for label in labels
        )
    return True
