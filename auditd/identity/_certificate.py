"""Client certificates: what a connection proves by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._strict import encode_base64url

NAME_KINDS: Mapping[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
    x509.RFC822Name: "EMAIL",
    x509.IPAddress: "IP",
}


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate of a connection's client, whose chain and possession the TLS handshake has verified.

    `credential_id` (32 bytes) is the SHA-256 of `der`. `names` are its subject alternative names, such as
    `DNS:billing.internal` or `URI:spiffe://acme/billing`; `distinguished_name` is its subject by RFC 4514. It is
    good before `expires_at` (Unix seconds).
    """

    der: bytes = field(repr=False)
    credential_id: bytes
    names: frozenset[str]
    distinguished_name: str
    expires_at: int

    @classmethod
    def from_pem(cls, pem: bytes) -> ClientCertificate:
        """Read the first certificate in PEM text.

        Raises TokenError: `TOKEN_MALFORMED`, if it cannot be read.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            names = _alternative_names(certificate)
            distinguished_name = certificate.subject.rfc4514_string()
        except ValueError as error:
            raise TokenError(TokenReason.MALFORMED, "client certificate: cannot be read") from error
        return cls(
            der=certificate.public_bytes(Encoding.DER),
            credential_id=certificate.fingerprint(SHA256()),
            names=names,
            distinguished_name=distinguished_name,
            expires_at=int(certificate.not_valid_after_utc.timestamp()),
        )

    @property
    def thumbprint(self) -> str:
        """Its `x5t#S256` (RFC 8705 section 3.1), 43 characters."""
        return encode_base64url(self.credential_id)


def _alternative_names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(f"{NAME_KINDS[type(name)]}:{name.value}" for name in extension.value if type(name) in NAME_KINDS)
