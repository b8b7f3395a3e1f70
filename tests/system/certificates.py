"""Authorities and certificates for tests, made at once and good for an hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path

    @property
    def sha256(self) -> bytes:
        return self.certificate.fingerprint(SHA256())


def make_pair(
    folder: Path,
    common_name: str,
    issuer: Pair | None = None,
    *,
    names: tuple[x509.GeneralName, ...] = (),
    lifetime: timedelta = timedelta(hours=1),
) -> Pair:
    """Make a certificate by `issuer`, or an authority without one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), *names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(issuer.key if issuer else key, SHA256())
    )
    pair = Pair(name, key, certificate, folder / f"{common_name}.crt", folder / f"{common_name}.key")
    pair.certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair
