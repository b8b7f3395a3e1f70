"""A trusted issuer: what the operator configured about it, and its keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from auditd.errors import FolderError
from auditd.identity._jwks import MAX_JWKS_BYTES, KeySet, parse_jwks
from auditd.identity._strict import check_name, shown

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256")
MAX_ISSUER_BYTES = 512
MAX_LEEWAY_S = 60
MAX_LIFETIME_S = 366 * 86_400

TokenType: TypeAlias = Literal["at+jwt", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """What the operator says of one issuer.

    issuer: the exact claim `iss`, at most 512 bytes; never normalized as a URL.
    jwks_file: the issuer's public keys as a JSON Web Key Set, at most 512 KiB.
    audience: the claim `aud` its tokens carry for this server; None for the server's own.
    algorithms: the signature algorithms it may use, out of `ALGORITHMS`.
    typ: "at+jwt" takes access tokens of RFC 9068 only; "any" also takes what issuers without that standard
        send, and with it their ID tokens, unless the audience keeps them apart.
    leeway_s: how far the clocks may differ, 0 to 60 seconds.
    max_lifetime_s: the longest time from `iat` to `exp` that is accepted, 1 second to 366 days.
    roles_claim: the claim that holds the array of roles.

    Raises FolderError: `ISSUER_CONFIG_INVALID`, when a setting breaks its rule.
    """

    issuer: str
    jwks_file: Path
    audience: str | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    typ: TokenType = "at+jwt"
    leeway_s: int = 30
    max_lifetime_s: int = 3600
    roles_claim: str = "roles"

    def __post_init__(self) -> None:
        _check_setting(self.issuer, "issuer", self.issuer, MAX_ISSUER_BYTES)
        if self.audience is not None:
            _check_setting(self.issuer, "audience", self.audience, MAX_ISSUER_BYTES)
        _check_setting(self.issuer, "roles_claim", self.roles_claim, MAX_ISSUER_BYTES)
        foreign = [name for name in self.algorithms if name not in ALGORITHMS]
        if foreign or not self.algorithms:
            given = shown(foreign[0]) if foreign else "none given"
            raise _config_error(self.issuer, "algorithms", f"{given}, expected some of {', '.join(ALGORITHMS)}")
        if self.typ not in ("at+jwt", "any"):
            raise _config_error(self.issuer, "typ", f"{shown(self.typ)}, expected 'at+jwt' or 'any'")
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise _config_error(self.issuer, "leeway_s", f"{self.leeway_s}, expected 0 to {MAX_LEEWAY_S}")
        if not 1 <= self.max_lifetime_s <= MAX_LIFETIME_S:
            message = f"{self.max_lifetime_s}, expected 1 to {MAX_LIFETIME_S}"
            raise _config_error(self.issuer, "max_lifetime_s", message)


def _config_error(issuer: str, setting: str, problem: str) -> FolderError:
    return FolderError("ISSUER_CONFIG_INVALID", f"issuer {shown(issuer)}: {setting}: {problem}")


def _check_setting(issuer: str, setting: str, value: str, max_bytes: int) -> None:
    try:
        check_name(value, max_bytes)
    except ValueError as error:
        raise _config_error(issuer, setting, str(error)) from error


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key as it is recorded, so that tokens can be verified again years later.

    `jwk_json` is its canonical JSON Web Key (RFC 7638 section 3); `thumbprint` the base64url of that
    text's SHA-256, 43 characters.
    """

    issuer: str
    kid: str | None
    thumbprint: str
    jwk_json: str


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose keys are loaded."""

    config: IssuerConfig
    key_set: KeySet

    @classmethod
    def from_jwks(cls, config: IssuerConfig, jwks: bytes) -> Issuer:
        """Make an issuer from the bytes of its JSON Web Key Set; `config.jwks_file` is not read.

        Raises FolderError: `ISSUER_KEYS_INVALID`, when the set is malformed, too large, holds a private
        key or one name twice, or has no usable key.
        """
        try:
            return cls(config, parse_jwks(jwks))
        except ValueError as error:
            message = f"issuer {shown(config.issuer)}: {config.jwks_file}: {error}"
            raise FolderError("ISSUER_KEYS_INVALID", message) from error

    @classmethod
    def from_jwks_file(cls, config: IssuerConfig) -> Issuer:
        """Read `config.jwks_file`.

        Raises FolderError: `ISSUER_KEYS_INVALID`, as `from_jwks`, and when the file cannot be read.
        """
        try:
            with config.jwks_file.open("rb") as file:
                jwks = file.read(MAX_JWKS_BYTES + 1)
        except OSError as error:
            message = f"issuer {shown(config.issuer)}: {config.jwks_file}: cannot be read: {error.strerror}"
            raise FolderError("ISSUER_KEYS_INVALID", message) from error
        return cls.from_jwks(config, jwks)

    @property
    def keys(self) -> tuple[IssuerKey, ...]:
        """Its usable keys, in the order of the set, as they are recorded."""
        return tuple(IssuerKey(self.config.issuer, key.kid, key.thumbprint, key.jwk_json) for key in self.key_set.keys)

    @property
    def ignored_keys(self) -> tuple[str, ...]:
        """What was wrong with each key that is not used, such as `keys[2]: use: 'enc', expected 'sig'`."""
        return self.key_set.ignored
