"""Whom the operator takes the holder of a client certificate for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from auditd.errors import Violation
from auditd.identity._caller import Caller
from auditd.identity._certificate import NAME_KINDS, ClientCertificate
from auditd.identity._claims import MAX_SUBJECT_BYTES
from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._revocations import Revocations
from auditd.identity._roles import ROLES, permissions_of
from auditd.identity._strict import check_name, decode_base64url, shown
from auditd.settings import optional, setting

_SHA256_BYTES = 32
_MAX_NAME_BYTES = 1_024
_MAX_FOUND = 2_048


def _sha256(value: object) -> bytes:
    """Read a SHA-256 as `x5t#S256` (43 characters of base64url) or in hex, with or without colons."""
    if isinstance(value, bytes) and len(value) == _SHA256_BYTES:
        return value
    if isinstance(value, str):
        try:
            data = decode_base64url(value) if len(value) == 43 else bytes.fromhex(value.replace(":", ""))
        except ValueError:
            data = b""
        if len(data) == _SHA256_BYTES:
            return data
    raise ValueError(f"{shown(value)}, must be a SHA-256: 43 characters of base64url, or 64 hex digits")


def _subject(value: object) -> str:
    return check_name(value, MAX_SUBJECT_BYTES)


def _name(value: object) -> str:
    return check_name(value, _MAX_NAME_BYTES)


def _alternative_name(value: object) -> str:
    name = check_name(value, _MAX_NAME_BYTES)
    if name.partition(":")[0] not in NAME_KINDS.values():
        raise ValueError(f"{shown(name)}, must begin with {', '.join(f'{kind}:' for kind in NAME_KINDS.values())}")
    return name


def _roles(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"must be an array of some of {', '.join(ROLES)}")
    foreign = [role for role in value if role not in ROLES]
    if foreign:
        raise ValueError(f"{shown(foreign[0])} is none of {', '.join(ROLES)}")
    return tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateConfig:
    """A caller known by its client certificate.

    subject: what the caller is called, at most 256 bytes.
    roles: built-in roles it holds.
    sha256: the certificate's own SHA-256; or
    name: a subject alternative name that it has, such as `URI:spiffe://acme/billing`; or
    distinguished_name: its whole subject by RFC 4514, such as `CN=billing,O=Acme`.
    """

    subject: str = setting(MISSING, _subject)
    roles: tuple[str, ...] = setting(MISSING, _roles)
    sha256: bytes | None = setting(None, optional(_sha256))
    name: str | None = setting(None, optional(_alternative_name))
    distinguished_name: str | None = setting(None, optional(_name))

    @staticmethod
    def violations_together(values: Mapping[str, Any]) -> Iterator[Violation]:
        """Say by exactly one thing which certificate is meant."""
        given = [name for name in ("sha256", "name", "distinguished_name") if values.get(name) is not None]
        if len(given) != 1:
            problem = "is given with others" if given else "is missing"
            problem += ": expected one of sha256, name, distinguished_name"
            yield Violation(given[0] if given else "sha256", problem)

    def means(self, certificate: ClientCertificate) -> bool:
        """Whether this is the certificate's holder."""
        if self.sha256 is not None:
            return self.sha256 == certificate.credential_id
        if self.name is not None:
            return self.name in certificate.names
        return self.distinguished_name == certificate.distinguished_name


class CertificateCallers:
    """Takes holders of certificates for the callers that the operator configured; the first that fits counts.

    `issuer` is what stands for the claim `iss` in entries of such callers. Belongs to one thread.
    """

    def __init__(self, issuer: str, configs: Sequence[CertificateConfig], revocations: Revocations) -> None:
        self._issuer = issuer
        self._configs = configs
        self._revocations = revocations
        self._found: dict[bytes, Caller | None] = {}

    def find(self, certificate: ClientCertificate, now: float) -> Caller | None:
        """Return the caller that the certificate stands for, if it stands for one; `now` is Unix time in seconds.

        Raises TokenError: `TOKEN_EXPIRED`, for a certificate that expired after the connection was made,
        `TOKEN_REVOKED`.
        """
        digest = certificate.credential_id
        if digest not in self._found:
            if len(self._found) >= _MAX_FOUND:
                self._found.clear()
            self._found[digest] = self._caller(certificate)
        caller = self._found[digest]
        if caller is None:
            return None
        if now >= caller.expires_at:
            error = TokenError(TokenReason.EXPIRED, "client certificate: expired since the connection was made")
            error.unverified_subject = caller.subject
            raise error
        self._revocations.require_good(caller)
        return caller

    def _caller(self, certificate: ClientCertificate) -> Caller | None:
        config = next((config for config in self._configs if config.means(certificate)), None)
        if config is None:
            return None
        return Caller(
            issuer=self._issuer,
            subject=config.subject,
            jti=None,
            roles=config.roles,
            permissions=permissions_of(config.roles),
            kid=None,
            key_thumbprint=certificate.thumbprint,
            key_jwk="",
            credential=certificate,
        )
