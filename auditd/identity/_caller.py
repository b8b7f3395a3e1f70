"""The authenticated party of a call, and the evidence of its identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

from auditd.errors import PermissionDeniedError
from auditd.identity._certificate import ClientCertificate
from auditd.identity._dropped import reduce_payload
from auditd.identity._issuer import IssuerConfig
from auditd.identity._jws import CompactJws
from auditd.identity._roles import Permission, Permissions, roles_allowing
from auditd.identity._strict import shown


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified token as evidence: enough to verify it again years later.

    `header`, `payload` and `signature` are its three base64url parts, as received. From them, as ASCII
    text:

        signature_hash = SHA-256(signature)                                         32 bytes
        credential_id  = SHA-256(SHA-256(header "." payload) || signature_hash)     32 bytes

    so all but `signature` can be kept and shown while the token is still good, and the identifier already
    commits to the signature. base64url is read so strictly that text and bytes stand one for one.
    `expires_at` is the Unix time in seconds from which this server refuses the token, leeway included;
    from then on `signature` is no secret here. Another server may allow its clock up to 60 seconds more.

    Where claims are dropped, `payload` is the text that `reduce_payload` makes, and `signature` None: it would verify
    nothing.
    """

    issuer: str
    header: str
    payload: str
    signature: str | None = field(repr=False)
    signature_hash: bytes
    credential_id: bytes
    expires_at: int

    @classmethod
    def from_parts(cls, issuer: str, header: str, payload: str, signature: str, expires_at: int) -> Credential:
        """Compute the two hashes of a token's base64url parts."""
        signature_hash = hashlib.sha256(signature.encode("ascii")).digest()
        signed_hash = hashlib.sha256(f"{header}.{payload}".encode("ascii")).digest()
        credential_id = hashlib.sha256(signed_hash + signature_hash).digest()
        return cls(issuer, header, payload, signature, signature_hash, credential_id, expires_at)


def credential_of(
    jws: CompactJws, config: IssuerConfig | None, claims: dict[str, object], expires_at: int
) -> Credential:
    """Return what is kept of a token; `config` says which claims are not. Without it the issuer is not known."""
    header, payload, signature = jws.header_text, jws.payload_text, jws.signature_text
    reduced = (
        reduce_payload(claims, config.drop_claims, signature) if config is not None and config.drop_claims else None
    )
    credential = Credential.from_parts(str(claims.get("iss", "")), header, reduced or payload, signature, expires_at)
    return credential if reduced is None else replace(credential, signature=None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, as a verified token says, or a client certificate that is known here.

    `roles` are all that the token names, in its order and by the issuer's mapping; `permissions` come from
    the built-in ones among them. `session`, `tenant` and `method` are None where the token does not say.
    `kid` and `key_thumbprint` (RFC 7638, 43 characters) name the issuer's key that verified the token, and
    `key_jwk` is that key in its canonical form. `credential_id` (32 bytes) and `expires_at` (Unix seconds)
    are those of `credential`. `issued_at` is the Unix time at which it was issued, None where it does not say.
    `bound_to` is the SHA-256 of the client certificate without which the token is not good, if there is one.
    Of a certificate `key_thumbprint` is its `x5t#S256`.
    """

    issuer: str
    subject: str
    jti: str | None
    roles: tuple[str, ...]
    permissions: Permissions
    kid: str | None
    key_thumbprint: str
    key_jwk: str
    credential: Credential | ClientCertificate
    session: str | None = None
    tenant: str | None = None
    method: str | None = None
    issued_at: float | None = None
    bound_to: bytes | None = None

    @property
    def kind(self) -> Literal["token", "certificate"]:
        """How the caller was known."""
        return "token" if isinstance(self.credential, Credential) else "certificate"

    @property
    def credential_id(self) -> bytes:
        """The 32 bytes that an entry holds to commit to this caller's token or certificate."""
        return self.credential.credential_id

    @property
    def expires_at(self) -> int:
        """Unix time in seconds from which the credential is refused."""
        return self.credential.expires_at

    def may(self, permission: Permission, log: str) -> bool:
        """Whether the caller holds `permission` for the log of this name."""
        return self.permissions.allow(permission, log)

    def require(self, permission: Permission, log: str) -> None:
        """Do nothing if the caller holds `permission` for the log of this name, whether or not there is one.

        Raises PermissionDeniedError: `PERMISSION_DENIED`, naming the roles that would do.
        """
        if self.permissions.allow(permission, log):
            return
        granting = roles_allowing(permission, log)
        needed = f"needs the role {' or '.join(granting)}" if granting else "is allowed to no role"
        facts = {"permission": permission, "log": log[:64], "roles": ",".join(granting)}
        message = f"{permission} on log {shown(log)} {needed}; the caller has {self._own_roles()}"
        raise PermissionDeniedError("PERMISSION_DENIED", message, facts)

    def require_any(self) -> None:
        """Do nothing if the caller holds at least one permission, as `ListLogs` asks.

        Raises PermissionDeniedError: `PERMISSION_DENIED`.
        """
        if not self.permissions:
            message = f"some permission is needed; the caller has {self._own_roles()}, which gives none"
            raise PermissionDeniedError("PERMISSION_DENIED", message)

    def _own_roles(self) -> str:
        if not self.roles:
            return "no role"
        more = ", …" if len(self.roles) > 8 else ""
        return ", ".join(map(shown, self.roles[:8])) + more
