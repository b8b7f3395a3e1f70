"""Compact JSON Web Signatures (RFC 7515): read more strictly than PyJWT reads them, and verified by it."""

from __future__ import annotations

from dataclasses import dataclass, field

import jwt
from jwt.algorithms import OKPAlgorithm

from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._keys import PrivateKey, PublicKey
from auditd.identity._strict import decode_base64url, parse_json_object, shown

MAX_TOKEN_BYTES = 16_384

# All that this process can verify. PyJWT's own registry also has `none` and HMAC; this instance does not, so
# no mistake elsewhere can bring them back.
_JWS = jwt.PyJWS(algorithms=["EdDSA", "ES256", "ES384", "RS256", "PS256"])
_JWS.register_algorithm("Ed25519", OKPAlgorithm())  # RFC 9864: the new name of EdDSA over Ed25519

_HEADER_STRINGS = ("kid", "typ", "cty")


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A compact JWS taken apart; nothing of it is verified.

    `header_text`, `payload_text` and `signature_text` are the three base64url parts as received; `header`,
    `payload` and `signature` are decoded.
    """

    header_text: str
    payload_text: str
    signature_text: str = field(repr=False)
    header: dict[str, object]
    payload: bytes
    signature: bytes = field(repr=False)
    algorithm: str

    @property
    def kid(self) -> str | None:
        """The header's `kid`, if any."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


def require_token_size(token: str) -> None:
    """Do nothing for a token of at most 16 KiB; raise TokenError `TOKEN_MALFORMED`."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError(TokenReason.MALFORMED, f"token: {len(token)} characters, limit {MAX_TOKEN_BYTES}")


def split_compact(token: str) -> CompactJws:
    """Take a compact JWS apart under the rules of RFC 7515 sections 5.2 and 7.1, without verifying it.

    Raises TokenError: `TOKEN_MALFORMED` when it is over 16 KiB, has not exactly three parts of strict
    unpadded base64url, its header is not one unambiguous JSON object, or asks for what is not implemented
    (any `crit`, any `zip`, a `b64` other than true); `TOKEN_ALGORITHM` when `alg` is missing or no string.
    """
    require_token_size(token)
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError(TokenReason.MALFORMED, f"token: {len(parts)} parts, expected 3 parted by dots")
    header_bytes, payload, signature = (
        _decode_part(name, part) for name, part in zip(("header", "payload", "signature"), parts, strict=True)
    )
    try:
        header = parse_json_object(header_bytes)
    except ValueError as error:
        raise TokenError(TokenReason.MALFORMED, f"token header: {error}") from error
    _check_header(header)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenError(TokenReason.ALGORITHM, "token header alg: missing or no string")
    header_text, payload_text, signature_text = parts
    return CompactJws(header_text, payload_text, signature_text, header, payload, signature, algorithm)


def _decode_part(name: str, text: str) -> bytes:
    try:
        return decode_base64url(text)
    except ValueError as error:
        raise TokenError(TokenReason.MALFORMED, f"token {name}: {error}") from error


def _check_header(header: dict[str, object]) -> None:
    for name in ("crit", "zip"):
        if name in header:
            raise TokenError(TokenReason.MALFORMED, f"token header {name}: no such extension is implemented")
    if header.get("b64", True) is not True:
        raise TokenError(TokenReason.MALFORMED, "token header b64: unencoded payloads are not implemented")
    for name in _HEADER_STRINGS:
        if not isinstance(header.get(name, ""), str):
            raise TokenError(TokenReason.MALFORMED, f"token header {name}: not a string")


def verify_signature(jws: CompactJws, key: PublicKey) -> None:
    """Verify the signature of `jws` by `key` and the algorithm of its header.

    The caller has found that this key is for this algorithm (`KeySet.select`).

    Raises TokenError: `TOKEN_BAD_SIGNATURE`.
    """
    signed = f"{jws.header_text}.{jws.payload_text}".encode("ascii")
    try:
        # Not `decode`: it would take the token apart a second time, less strictly, at twice the cost.
        good = _JWS.get_algorithm_by_name(jws.algorithm).verify(signed, key, jws.signature)
    except (jwt.PyJWTError, NotImplementedError, ValueError, TypeError) as error:
        raise _bad_signature(jws) from error
    if not good:
        raise _bad_signature(jws)


def _bad_signature(jws: CompactJws) -> TokenError:
    message = f"token signature: does not verify as {shown(jws.algorithm)} by the issuer's key"
    return TokenError(TokenReason.BAD_SIGNATURE, message)


def sign_compact(header: dict[str, object], payload: bytes, key: PrivateKey) -> str:
    """Return `payload` signed by an Ed25519 key as compact JWS; `header` gets `alg` "EdDSA".

    EdDSA is the name that every library knows; RFC 9864's `Ed25519` is still rare.
    """
    return _JWS.encode(payload, key, algorithm="EdDSA", headers=header)
