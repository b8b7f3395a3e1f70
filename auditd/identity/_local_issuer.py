"""The issuer that a server folder brings along, so that everything works without an identity provider."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditd.errors import FolderError, InvalidRequestError, Violation
from auditd.identity._claims import MAX_JTI_BYTES, MAX_SUBJECT_BYTES
from auditd.identity._issuer import MAX_ISSUER_BYTES
from auditd.identity._jws import sign_compact
from auditd.identity._keys import VerificationKey, parse_key
from auditd.identity._roles import ROLES
from auditd.identity._strict import check_name, encode_base64url, shown
from auditd.regular_file import open_regular

DEFAULT_MAX_LIFETIME_S = 3600

_MAX_KEY_FILE_BYTES = 65_536


class LocalIssuer:
    """An issuer with an Ed25519 key of its own.

    `issuer` is the claim `iss` of its tokens; `max_lifetime_s` the longest `ttl_s` it gives.
    """

    def __init__(
        self, issuer: str, private_key: Ed25519PrivateKey, max_lifetime_s: int = DEFAULT_MAX_LIFETIME_S
    ) -> None:
        self.issuer = issuer
        self.max_lifetime_s = max_lifetime_s
        self._private_key = private_key
        self._key = _public_part(private_key)

    @classmethod
    def create(cls, issuer: str, max_lifetime_s: int = DEFAULT_MAX_LIFETIME_S) -> LocalIssuer:
        """Make an issuer with a new key, which lives in memory until `write_key`."""
        return cls(issuer, Ed25519PrivateKey.generate(), max_lifetime_s)

    @classmethod
    def load(cls, issuer: str, key_file: Path, max_lifetime_s: int = DEFAULT_MAX_LIFETIME_S) -> LocalIssuer:
        """Read the key from a PEM (PKCS #8) file that only its owner can read.

        Raises FolderError: `KEY_FILE_INVALID`, saying what to do, when the file is missing, others may
        read or write it, or it holds no unencrypted Ed25519 private key.
        """
        return cls(issuer, _read_private_key(key_file), max_lifetime_s)

    def write_key(self, key_file: Path) -> None:
        """Write the private key as PEM (PKCS #8) to a new file with mode 0600, and sync it.

        Raises FolderError: `KEY_FILE_INVALID`, when the file exists already or cannot be written.
        """
        pem = self._private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        try:
            descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise FolderError("KEY_FILE_INVALID", f"{key_file}: cannot be created: {error.strerror}") from error

    @property
    def kid(self) -> str:
        """The key's name in headers and key set: its RFC 7638 thumbprint, 43 characters."""
        return self._key.thumbprint

    def jwks(self) -> bytes:
        """Return the JSON Web Key Set that holds the public key."""
        jwk = {**json.loads(self._key.jwk_json), "alg": "EdDSA", "kid": self.kid, "use": "sig"}
        return json.dumps({"keys": [jwk]}, indent=2, sort_keys=True).encode("ascii") + b"\n"

    def issue(
        self,
        subject: str,
        roles: Sequence[str],
        ttl_s: int,
        audience: str,
        now: float,
        jti: str | None = None,
        certificate_sha256: bytes = b"",
    ) -> str:
        """Return an access token (RFC 9068) good from `now` (Unix seconds) for `ttl_s` seconds.

        `jti` is 128 random bits in base64url unless given. With `certificate_sha256` (32 bytes) the token is good
        only on connections with that client certificate (RFC 8705 section 3.1).

        Raises InvalidRequestError: `INVALID_TOKEN_REQUEST`, naming the argument at fault: a name that is
        empty, too long or holds control characters, a role that does not exist, a lifetime over the
        limit, or a hash of another length.
        """
        jti = secrets.token_urlsafe(16) if jti is None else jti
        _check_argument("subject", subject, MAX_SUBJECT_BYTES)
        _check_argument("audience", audience, MAX_ISSUER_BYTES)
        _check_argument("jti", jti, MAX_JTI_BYTES)
        for role in roles:
            if role not in ROLES:
                raise _argument_error("roles", f"{shown(role)} is none of {', '.join(ROLES)}")
        if not 1 <= ttl_s <= self.max_lifetime_s:
            raise _argument_error("ttl_s", f"{ttl_s} seconds, expected 1 to {self.max_lifetime_s}")
        if len(certificate_sha256) not in (0, 32):
            raise _argument_error("certificate_sha256", f"{len(certificate_sha256)} bytes, must be 32")
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": subject,
            "client_id": subject,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + ttl_s,
            "jti": jti,
            "roles": list(roles),
        }
        if certificate_sha256:
            claims["cnf"] = {"x5t#S256": encode_base64url(certificate_sha256)}
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        return sign_compact({"typ": "at+jwt", "kid": self.kid}, payload, self._private_key)


def _public_part(private_key: Ed25519PrivateKey) -> VerificationKey:
    raw = private_key.public_key().public_bytes_raw()
    return parse_key({"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)})


def _read_private_key(key_file: Path) -> Ed25519PrivateKey:
    try:
        with open_regular(key_file) as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise FolderError("KEY_FILE_INVALID", f"{key_file}: cannot be read: {error.strerror}") from error
    if mode & 0o077:
        message = f"{key_file}: others may use this key (mode {mode & 0o777:04o}); run `chmod 600 {key_file}`"
        raise FolderError("KEY_FILE_INVALID", message)
    try:
        private_key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{key_file}: no unencrypted private key in PEM (PKCS #8); restore it from where it is kept"
        raise FolderError("KEY_FILE_INVALID", message) from error
    if not isinstance(private_key, Ed25519PrivateKey):
        raise FolderError("KEY_FILE_INVALID", f"{key_file}: not an Ed25519 key")
    return private_key


def _check_argument(name: str, value: str, max_bytes: int) -> None:
    try:
        check_name(value, max_bytes)
    except ValueError as error:
        raise _argument_error(name, str(error)) from error


def _argument_error(name: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError("INVALID_TOKEN_REQUEST", f"{name}: {problem}", [Violation(name, problem)])
