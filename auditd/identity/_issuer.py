"""A trusted issuer: what the operator configured about it, and its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

from auditd.errors import FolderError, Violation
from auditd.identity._claim_mapping import ClaimMapping, role_mapping
from auditd.identity._jwks import MAX_JWKS_BYTES, KeySet, parse_jwks
from auditd.identity._strict import check_name, shown
from auditd.identity._urls import check_url
from auditd.regular_file import open_regular
from auditd.settings import check_settings, optional, read_flag, read_path, read_text, setting, table, whole

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256")
MAX_ISSUER_BYTES = 512
MAX_LEEWAY_S = 60
MAX_LIFETIME_S = 366 * 86_400

_AGES = ("jwks_min_age_s", "jwks_max_age_s", "jwks_max_stale_s")

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


class Party(StrEnum):
    """Whose identity a token proves: who calls this server, or who did what is recorded."""

    CALLER = "caller"
    ACTOR = "actor"


def parties(value: object) -> tuple[Party, ...]:
    """Read an array of parties; raise ValueError for what is none."""
    if not isinstance(value, list | tuple) or not value or not set(value) <= set(Party):
        raise ValueError("expected one or both of 'caller' and 'actor', in an array")
    return tuple(Party(one) for one in value)


def _names(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError("must be text, or an array of text")
    return tuple(map(_name, names))


def _droppable(value: object) -> tuple[str, ...]:
    names = _names(value)
    needed = sorted(_REGISTERED & set(names))
    if needed:
        raise ValueError(f"{shown(needed[0])} says what the token is, and must be kept")
    return names


_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """What the operator says of one issuer.

    issuer: the exact claim `iss`, at most 512 bytes; never normalized as a URL.
    jwks_file, jwks_url, discovery: where its public keys come from, exactly one of them: a JSON Web Key Set of
        at most 512 KiB in a file, or at an HTTPS URL, or what OpenID Connect Discovery says of `issuer`.
    ca_file: who may vouch for the provider's certificate (PEM); None for whom the system trusts.
    allow_plain_http: whether keys may come over http, which only loopback addresses may be asked by.
    jwks_min_age_s: keys are not asked for again sooner, whatever the provider or an unknown `kid` says.
    jwks_max_age_s: nor later, whatever the provider says.
    jwks_max_stale_s: how long keys are used when newer ones cannot be had.
    jwks_timeout_s: how long one attempt may take.
    audience: the claim `aud` its tokens carry for this server; None for the server's own.
    identifies: whose identity its tokens prove: "caller", who calls this server, and "actor", the end user whose
        token comes along in an event.
    actor_audience: the claims `aud` of actors' tokens, one or several; none for `audience`.
    drop_claims: names of claims, such as `email`, of which only a hash is kept: tokens that have one can never be
        verified again.
    algorithms: the signature algorithms it may use, out of `ALGORITHMS`.
    typ: "at+jwt" takes access tokens of RFC 9068 only; "any" also takes what issuers without that standard
        send, and with it their ID tokens, unless the audience keeps them apart.
    leeway_s: how far the clocks may differ, 0 to 60 seconds.
    max_lifetime_s: the longest time from `iat` to `exp` that is accepted, 1 second to 366 days.
    refuse_replayed_jti: whether each of its tokens is good for one call only.
    claims: which of its claims say what.
    roles: from its role names to ours; None: its names are taken as they are.

    Raises ConfigError: `ISSUER_CONFIG_INVALID`, when settings break their rules.
    """

    issuer: str = setting(MISSING, _name)
    jwks_file: Path | None = setting(None, optional(read_path))
    jwks_url: str | None = setting(None, optional(read_text))
    discovery: bool = setting(False, read_flag)
    ca_file: Path | None = setting(None, optional(read_path))
    allow_plain_http: bool = setting(False, read_flag)
    jwks_min_age_s: int = setting(60, whole(1, 3_600))
    jwks_max_age_s: int = setting(3_600, whole(1, 7 * 86_400))
    jwks_max_stale_s: int = setting(86_400, whole(1, 30 * 86_400))
    jwks_timeout_s: int = setting(10, whole(1, 60))
    audience: str | None = setting(None, optional(_name))
    identifies: tuple[Party, ...] = setting((Party.CALLER,), parties)
    actor_audience: tuple[str, ...] = setting((), _names)
    drop_claims: tuple[str, ...] = setting((), _droppable)
    algorithms: tuple[str, ...] = setting(ALGORITHMS, _algorithms)
    typ: TokenType = setting("at+jwt", _typ)
    leeway_s: int = setting(30, whole(0, MAX_LEEWAY_S))
    max_lifetime_s: int = setting(3600, whole(1, MAX_LIFETIME_S))
    refuse_replayed_jti: bool = setting(False, read_flag)
    claims: ClaimMapping = table(ClaimMapping)
    roles: Mapping[str, tuple[str, ...]] | None = setting(None, optional(role_mapping))

    def __post_init__(self) -> None:
        check_settings(self, "ISSUER_CONFIG_INVALID", f"issuer {shown(self.issuer)}: ")

    @staticmethod
    def violations_together(values: Mapping[str, Any]) -> Iterator[Violation]:
        """Ask for one source of keys, at an address that may be asked, and for ages in their order."""
        # One that is wrong in itself is given all the same.
        given = [name for name in ("jwks_file", "jwks_url", "discovery") if values.get(name, True)]
        if len(given) != 1:
            problem = f"given are {' and '.join(given)}" if given else "none is given"
            where = given[-1] if given else "issuer"
            yield Violation(where, f"expected one of jwks_file, jwks_url and discovery, {problem}")
        name = "issuer" if values.get("discovery") else "jwks_url"
        url = values.get(name)
        if url is not None and given and given[-1] != "jwks_file":
            try:
                check_url(url, allow_plain_http=values.get("allow_plain_http", False))
            except ValueError as error:
                yield Violation(name, str(error))
        ages = [(name, values[name]) for name in _AGES if name in values]
        for (shorter, low), (longer, high) in pairwise(ages):
            if low > high:
                yield Violation(longer, f"{high}, expected at least {low}, which is {shorter}")

    @property
    def key_source(self) -> str:
        """Where its keys come from, as messages say it."""
        return str(self.jwks_file or self.jwks_url or f"discovery of {self.issuer}")


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
    """An issuer with its keys; without any as long as none could be had."""

    config: IssuerConfig
    key_set: KeySet | None

    @classmethod
    def from_jwks(cls, config: IssuerConfig, jwks: bytes) -> Issuer:
        """Make an issuer from the bytes of its JSON Web Key Set; `config` is not asked for the source.

        Raises FolderError: `ISSUER_KEYS_INVALID`, when the set is malformed, too large, holds a private
        key or one name twice, or has no usable key.
        """
        try:
            return cls(config, parse_jwks(jwks))
        except ValueError as error:
            raise _keys_error(config, str(error)) from error

    @classmethod
    def from_jwks_file(cls, config: IssuerConfig) -> Issuer:
        """Read `config.jwks_file`.

        Raises FolderError: `ISSUER_KEYS_INVALID`, as `from_jwks`, and when the file cannot be read.
        """
        assert config.jwks_file is not None
        try:
            return cls.from_jwks(config, read_jwks_file(config.jwks_file))
        except OSError as error:
            raise _keys_error(config, f"cannot be read: {error.strerror}") from error

    @property
    def keys(self) -> tuple[IssuerKey, ...]:
        """Its usable keys, in the order of the set, as they are recorded."""
        keys = self.key_set.keys if self.key_set is not None else ()
        return tuple(IssuerKey(self.config.issuer, key.kid, key.thumbprint, key.jwk_json) for key in keys)

    @property
    def ignored_keys(self) -> tuple[str, ...]:
        """What was wrong with each key that is not used, such as `keys[2]: use: 'enc', expected 'sig'`."""
        if self.key_set is None:
            return ()
        allowed = self.config.algorithms
        unfit = [
            f"kid {shown(key.kid)}: is for {' or '.join(sorted(key.algorithms))}, allowed are {', '.join(allowed)}"
            for key in self.key_set.keys
            if key.algorithms.isdisjoint(allowed)
        ]
        return (*self.key_set.ignored, *unfit)


def read_jwks_file(file: Path) -> bytes:
    """Return the bytes of a key set, or as many as show that it is too large; raise OSError."""
    with open_regular(file) as opened:
        return opened.read(MAX_JWKS_BYTES + 1)


def _keys_error(config: IssuerConfig, problem: str) -> FolderError:
    return FolderError("ISSUER_KEYS_INVALID", f"issuer {shown(config.issuer)}: {config.key_source}: {problem}")
