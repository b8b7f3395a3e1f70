"""Tokens verified again, years later, from what was recorded of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from auditd.identity._dropped import is_reduced
from auditd.identity._errors import TokenError
from auditd.identity._jws import split_compact, verify_signature
from auditd.identity._keys import parse_key
from auditd.identity._strict import parse_json_object


class TokenVerdict(StrEnum):
    """What verifying a recorded token again gives, whatever its age.

    VERIFIED: the recorded key made its signature. NOT_YET_RECORDED: the signature is kept apart until the token has
    expired. SIGNATURE_LOST: it was lost before that. KEY_UNKNOWN: the issuer's key was never known here.
    CLAIMS_DROPPED: claims are kept as hashes alone, so there is nothing that the signature is of. INVALID: what is
    recorded contradicts itself, or the signature is not the key's.
    """

    VERIFIED = "VERIFIED"
    NOT_YET_RECORDED = "NOT_YET_RECORDED"
    SIGNATURE_LOST = "SIGNATURE_LOST"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    CLAIMS_DROPPED = "CLAIMS_DROPPED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class RecordedToken:
    """What a log holds of a token; `credential` is the name that entries have for it.

    `signature` is None where it is not recorded, and `waits` says that it will be; `key_jwk` is None, or empty, where
    the key that `key_thumbprint` names is not recorded.
    """

    credential: bytes
    issuer: str
    header: str
    payload: str
    signature_hash: bytes
    key_thumbprint: str
    key_jwk: str | None
    signature: str | None = field(repr=False)
    waits: bool = False


def verify_again(token: RecordedToken) -> TokenVerdict:
    """Verify a recorded token by the key recorded for it; its times do not matter."""
    signed_hash = hashlib.sha256(f"{token.header}.{token.payload}".encode()).digest()
    if hashlib.sha256(signed_hash + token.signature_hash).digest() != token.credential:
        return TokenVerdict.INVALID
    if is_reduced(token.payload):
        return TokenVerdict.CLAIMS_DROPPED
    if not token.key_jwk:
        return TokenVerdict.KEY_UNKNOWN
    if token.signature is None:
        return TokenVerdict.NOT_YET_RECORDED if token.waits else TokenVerdict.SIGNATURE_LOST
    try:
        _verify(token, token.signature, token.key_jwk)
    except (ValueError, TokenError):
        return TokenVerdict.INVALID
    return TokenVerdict.VERIFIED


def _verify(token: RecordedToken, signature: str, jwk: str) -> None:
    """Raise ValueError or TokenError unless the signature is that of the recorded key."""
    jws = split_compact(f"{token.header}.{token.payload}.{signature}")
    key = parse_key(parse_json_object(jwk.encode()))
    if hashlib.sha256(signature.encode()).digest() != token.signature_hash:
        raise ValueError("another signature than the one that was seen")
    if parse_json_object(jws.payload).get("iss") != token.issuer:
        raise ValueError("a token of another issuer")
    if key.thumbprint != token.key_thumbprint or jws.algorithm not in key.algorithms:
        raise ValueError("another key than the one that it names")
    verify_signature(jws, key.public_key)
