"""A trusted issuer: what the operator configured about it, and its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from auditd.errors import FolderError
from auditd.identity._claim_mapping import ClaimMapping, role_mapping
from auditd.identity._jwks import MAX_JWKS_BYTES, KeySet, parse_jwks
from auditd.identity._strict import check_name, shown
from auditd.settings import check_settings, optional, read_path, setting, table, whole

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256")
MAX_ISSUER_BYTES = 512
MAX_LEEWAY_S = 60
MAX_LIFETIME_S = 366 * 86_400

TokenType: TypeAlias = Literal["at+jwt", "any"]


def _name(value: object) -> str:
    return check_name(value, MAX_ISSUER_BYTES)


def _algorithms(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("must be an array of text")
    foreign = [name for name in value if name not in ALGORITHMS]
    if foreign or not value:
        given = shown(foreign[0]) if foreign else "none given"
        raise ValueError(f"{given}, expected some of {', '.join(ALGORITHMS)}")
    return tuple(value)


def _typ(value: object) -> TokenType:
    if value == "at+jwt":
        return "at+jwt"
    if value == "any":
        return "any"
    raise ValueError(f"{shown(value)}, expected 'at+jwt' or 'any'")


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
    claims: which of its claims say what.
    roles: from its role names to ours; None: its names are taken as they are.

    Raises ConfigError: `ISSUER_CONFIG_INVALID`, when settings break their rules.
    """

    issuer: str = setting(MISSING, _name)
    jwks_file: Path = setting(MISSING, read_path)
    audience: str | None = setting(None, optional(_name))
    algorithms: tuple[str, ...] = setting(ALGORITHMS, _algorithms)
    typ: TokenType = setting("at+jwt", _typ)
    leeway_s: int = setting(30, whole(0, MAX_LEEWAY_S))
    max_lifetime_s: int = setting(3600, whole(1, MAX_LIFETIME_S))
    claims: ClaimMapping = table(ClaimMapping)
    roles: Mapping[str, tuple[str, ...]] | None = setting(None, optional(role_mapping))

    def __post_init__(self) -> None:
        check_settings(self, "ISSUER_CONFIG_INVALID", f"issuer {shown(self.issuer)}: ")


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
