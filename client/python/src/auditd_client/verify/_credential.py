"""Credentials: the tokens that entries commit to, verified again without the server."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from auditd_client.verify._errors import MalformedError, MismatchError, quote
from auditd_client.verify._jwt import is_signature, read_base64url, read_object, thumbprint
from auditd_client.verify._leaf import Leaf
from auditd_client.verify._strict import check_hash, read_text

MAX_CREDENTIAL_BYTES = 256 * 1024

_FORMAT = "auditd.v1/credential"
_MEMBERS = ("format", "credential", "issuer", "header", "payload", "signature_hash", "signature", "waits", "key")
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class TokenVerdict(StrEnum):
    """What verifying a recorded token again gives.

    VERIFIED: the key made its signature. NOT_YET_RECORDED: the server keeps the signature apart until the token has
    expired. SIGNATURE_LOST: there is none. KEY_UNKNOWN: the key is not at hand, or none of those trusted.
    CLAIMS_DROPPED: claims are kept as hashes alone, so there is nothing that the signature is of. INVALID: the key did
    not make the signature, or the token is not the credential's.
    """

    VERIFIED = "VERIFIED"
    NOT_YET_RECORDED = "NOT_YET_RECORDED"
    SIGNATURE_LOST = "SIGNATURE_LOST"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    CLAIMS_DROPPED = "CLAIMS_DROPPED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Credential:
    """The evidence of an identity, as a log has it; nothing in it is verified.

    `header`, `payload` and `signature` are a token's three parts, base64url; `payload` is a JSON object instead where
    claims were dropped, and `signature` None where the log has none, `waits` if it will have. `key_jwk` is the issuer's
    public key, a JSON Web Key; None if it is not known. `credential` and `signature_hash` are 32 bytes.
    """

    credential: bytes
    issuer: str
    header: str
    payload: str
    signature_hash: bytes
    signature: str | None = field(repr=False)
    key_jwk: str | None
    waits: bool = False

    def __post_init__(self) -> None:
        check_hash(self.credential, "credential")
        check_hash(self.signature_hash, "credential: signature_hash")

    def format(self) -> str:
        """Return the credential as one line of JSON, as a file holds it."""
        members: dict[str, Any] = {
            "format": _FORMAT,
            "credential": self.credential.hex(),
            "issuer": self.issuer,
            "header": self.header,
            "payload": self.payload,
            "signature_hash": self.signature_hash.hex(),
        }
        if self.signature is not None:
            members["signature"] = self.signature
        if self.waits:
            members["waits"] = True
        if self.key_jwk is not None:
            members["key"] = _read("key", self.key_jwk)
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def parse(cls, text: str | bytes) -> Credential:
        """Read what `format` wrote. Raises MalformedError."""
        members = _read("the text", read_text(text, "credential", MAX_CREDENTIAL_BYTES))
        if members.get("format") != _FORMAT:
            raise MalformedError("credential", f"format is {quote(members.get('format'))}, expected {_FORMAT!r}")
        for name in members:
            if name not in _MEMBERS:
                raise MalformedError("credential", f"unknown member {quote(name)}")
        key = members.get("key")
        if not isinstance(key, dict | None):
            raise MalformedError("credential", "key is no JSON object")
        if not isinstance(members.get("waits", False), bool):
            raise MalformedError("credential", "waits is neither true nor false")
        return cls(
            credential=_hash(members, "credential"),
            issuer=_text(members, "issuer"),
            header=_text(members, "header"),
            payload=_text(members, "payload"),
            signature_hash=_hash(members, "signature_hash"),
            signature=_text(members, "signature") if "signature" in members else None,
            key_jwk=None if key is None else json.dumps(key, separators=(",", ":")),
            waits=members.get("waits", False),
        )


@dataclass(frozen=True, slots=True)
class VerifiedCredential:
    """What became of a credential.

    `claims` are those that the credential commits to, whatever the verdict; of INVALID nothing is to be believed.
    `dropped_claims` maps the names of those that are kept as hashes alone to the hashes. `key_thumbprint` (RFC 7638)
    names the key that verified the token: ask the log `control`, or the issuer, whether it is the issuer's.
    """

    verdict: TokenVerdict
    claims: Mapping[str, Any]
    dropped_claims: Mapping[str, Any]
    key_thumbprint: str | None


def verify_credential(
    credential: Credential, trusted_keys: Iterable[Mapping[str, Any]] | None = None
) -> VerifiedCredential:
    """Verify the token of a credential again, whatever its age.

    `trusted_keys` are JSON Web Keys known to be the issuer's; without them the key recorded with the credential is
    believed, and named in the answer.

    Raises MalformedError where what is recorded is no token.
    """
    claims, dropped = _claims(credential)
    if _name_of(credential) != credential.credential:
        return VerifiedCredential(TokenVerdict.INVALID, claims, dropped, None)
    if dropped:
        return VerifiedCredential(TokenVerdict.CLAIMS_DROPPED, claims, dropped, None)
    recorded = [_read("key", credential.key_jwk)] if credential.key_jwk else []
    keys = recorded if trusted_keys is None else _matching(credential, list(trusted_keys), recorded)
    if not keys:
        return VerifiedCredential(TokenVerdict.KEY_UNKNOWN, claims, dropped, None)
    if credential.signature is None:
        verdict = TokenVerdict.NOT_YET_RECORDED if credential.waits else TokenVerdict.SIGNATURE_LOST
        return VerifiedCredential(verdict, claims, dropped, None)
    for key in keys:
        if _signed_by(credential, credential.signature, key, claims):
            return VerifiedCredential(TokenVerdict.VERIFIED, claims, dropped, thumbprint(key))
    return VerifiedCredential(TokenVerdict.INVALID, claims, dropped, None)


def named_as(leaf: Leaf, credential: Credential) -> str:
    """Return whose token an entry names by this credential: `caller`, or `actor`.

    Raises MismatchError if the entry names it as neither, or is of a caller of another issuer.
    """
    name = credential.credential.hex()
    actor = leaf.event.get("actor")
    if leaf.caller.get("credential") == name:
        if leaf.caller.get("iss") != credential.issuer:
            raise MismatchError("leaf: caller.iss", credential.issuer, leaf.caller.get("iss"))
        return "caller"
    if isinstance(actor, Mapping) and actor.get("credential") == name:
        return "actor"
    raise MismatchError("leaf: caller.credential", name, leaf.caller.get("credential"), "nor is it that of the actor")


def _name_of(credential: Credential) -> bytes:
    signed = hashlib.sha256(f"{credential.header}.{credential.payload}".encode()).digest()
    return hashlib.sha256(signed + credential.signature_hash).digest()


def _claims(credential: Credential) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if credential.payload.startswith("{"):
        reduced = _read("payload", credential.payload)
        claims, dropped = reduced.get("claims"), reduced.get("dropped_claims")
        if not isinstance(claims, dict) or not isinstance(dropped, dict) or not dropped:
            raise MalformedError("credential", "payload is neither a token's nor one without some claims")
        return claims, dropped
    try:
        return _read("payload", read_base64url(credential.payload)), {}
    except ValueError as error:
        raise MalformedError("credential", f"payload: {error}") from error


def _matching(
    credential: Credential, trusted: list[Mapping[str, Any]], recorded: list[dict[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the trusted keys that may have made the signature: the recorded one, or those that the header names."""
    if recorded:
        names = {_thumbprint(key) for key in recorded}
        return [key for key in trusted if _thumbprint(key) in names]
    kid = _header(credential).get("kid")
    return [key for key in trusted if kid is None or key.get("kid") in (kid, None)]


def _signed_by(credential: Credential, signature: str, key: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    if hashlib.sha256(signature.encode()).digest() != credential.signature_hash:
        return False
    if claims.get("iss") != credential.issuer:
        return False
    signed = f"{credential.header}.{credential.payload}".encode()
    try:
        return is_signature(read_base64url(signature), signed, str(_header(credential).get("alg")), key)
    except ValueError:
        return False


def _header(credential: Credential) -> dict[str, Any]:
    try:
        return _read("header", read_base64url(credential.header))
    except ValueError as error:
        raise MalformedError("credential", f"header: {error}") from error


def _thumbprint(key: Mapping[str, Any]) -> str:
    try:
        return thumbprint(key)
    except ValueError as error:
        raise MalformedError("key", str(error)) from error


def _read(what: str, text: str | bytes) -> dict[str, Any]:
    try:
        return read_object(text)
    except ValueError as error:
        raise MalformedError("credential", f"{what} is no JSON object: {error}") from error


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise MalformedError("credential", f"{name} is missing or no text")
    return value


def _hash(members: Mapping[str, Any], name: str) -> bytes:
    value = _text(members, name)
    if not _HEX.fullmatch(value):
        raise MalformedError("credential", f"{name} is not 64 lower-case hex digits: {quote(value)}")
    return bytes.fromhex(value)
