"""The keys of one issuer: a JSON Web Key Set (RFC 7517 section 5), and which of them verifies a token."""

from __future__ import annotations

from dataclasses import dataclass

from auditd.identity._errors import TokenError, TokenReason, UnknownKeyError
from auditd.identity._keys import UnusableKeyError, VerificationKey, parse_key
from auditd.identity._strict import parse_json_object, shown

MAX_JWKS_BYTES = 524_288
MAX_KEYS = 100  # each is recorded when it comes and when it goes

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of an issuer, and what was wrong with each of the others (`keys[2]: n: even`)."""

    keys: tuple[VerificationKey, ...]
    ignored: tuple[str, ...]

    def names(self, kid: str | None) -> bool:
        """Whether a key has this very name."""
        return any(key.kid == kid for key in self.keys)

    def select(self, kid: str | None, algorithm: str) -> VerificationKey:
        """Return the one key for a token with this `kid` and `alg`; nothing else in a header plays a part.

        With a `kid` that is the key of that very name; without, the only key that fits the algorithm.

        Raises TokenError: `TOKEN_UNKNOWN_KEY`, or `TOKEN_ALGORITHM` when the named key is not for this
        algorithm.
        """
        if kid is None:
            fitting = [key for key in self.keys if algorithm in key.algorithms]
            if len(fitting) != 1:
                message = f"token header kid: missing, and {len(fitting)} of the issuer's keys are for {algorithm}"
                raise UnknownKeyError(message, None)
            return fitting[0]
        key = next((key for key in self.keys if key.kid == kid), None)
        if key is None:
            raise UnknownKeyError(f"token header kid: {shown(kid)} is no key of the issuer", kid)
        if algorithm not in key.algorithms:
            fitting_names = " or ".join(sorted(key.algorithms))
            message = f"token header alg: {shown(algorithm)}, but key {shown(kid)} is for {fitting_names}"
            raise TokenError(TokenReason.ALGORITHM, message)
        return key


def parse_jwks(data: bytes) -> KeySet:
    """Read a JSON Web Key Set. Keys that cannot verify tokens here are ignored one by one.

    Raises ValueError: when it is over 512 KiB, not one unambiguous JSON object with an array `keys` of
    objects, holds a private key, names two usable keys alike, or has no usable key or over 100.
    """
    if len(data) > MAX_JWKS_BYTES:
        raise ValueError(f"{len(data)} bytes, limit {MAX_JWKS_BYTES}")
    entries = parse_json_object(data).get("keys")
    if not isinstance(entries, list):
        raise ValueError("keys: missing or no array")
    keys: list[VerificationKey] = []
    ignored: list[str] = []
    for number, jwk in enumerate(entries):
        if not isinstance(jwk, dict):
            raise ValueError(f"keys[{number}]: not an object")
        private = sorted(_PRIVATE_MEMBERS & jwk.keys())
        if private:
            raise ValueError(f"keys[{number}].{private[0]}: a private key; replace it, and list only public members")
        try:
            keys.append(parse_key(jwk))
        except UnusableKeyError as error:
            ignored.append(f"keys[{number}]: {error}")
    _refuse_duplicate_names(keys)
    if len(keys) > MAX_KEYS:
        raise ValueError(f"keys: {len(keys)}, limit {MAX_KEYS}")
    if not keys:
        raise ValueError("; ".join(["keys: none is usable", *ignored[:8]]))
    return KeySet(tuple(keys), tuple(ignored))


def _refuse_duplicate_names(keys: list[VerificationKey]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key.kid is None:
            continue
        if key.kid in seen:
            raise ValueError(f"keys: kid {shown(key.kid)} names two keys")
        seen.add(key.kid)
