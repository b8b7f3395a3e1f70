"""One public key of an issuer: read from a JSON Web Key (RFC 7517), named by its thumbprint (RFC 7638)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditd.identity._strict import check_name, decode_base64url, encode_base64url, shown

PrivateKey: TypeAlias = Ed25519PrivateKey
PublicKey: TypeAlias = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MAX_KID_BYTES = 256
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # a larger modulus makes each verification slow enough to be an attack

_ED25519_PRIME = 2**255 - 19
# The y coordinates of the eight points of small order: anyone can make a signature that such a key verifies,
# and OpenSSL accepts it.
_Y_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y = frozenset({0, 1, _ED25519_PRIME - 1, _Y_OF_ORDER_8, _ED25519_PRIME - _Y_OF_ORDER_8})

_CURVES: dict[str, tuple[ec.EllipticCurve, int, str]] = {
    "P-256": (ec.SECP256R1(), 32, "ES256"),
    "P-384": (ec.SECP384R1(), 48, "ES384"),
}


class UnusableKeyError(ValueError):
    """A JSON Web Key that this verifier has no use for; the other keys of its set stay valid."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that may verify tokens by any of `algorithms`, and by no other.

    `jwk_json` holds the members that RFC 7638 section 3.2 requires, in its canonical form; `thumbprint`
    is the base64url of its SHA-256, 43 characters.
    """

    kid: str | None
    algorithms: frozenset[str]
    public_key: PublicKey
    jwk_json: str
    thumbprint: str


def parse_key(jwk: dict[str, object]) -> VerificationKey:
    """Read one public JSON Web Key.

    Raises UnusableKeyError: when its type, curve, use, operations or algorithm are not for verifying
    tokens here, a member is missing or malformed, or the key is weak: RSA under 2,048 or over 8,192 bits,
    with an exponent that is even, under 3 or over 32 bits, or with the ROCA fingerprint; an EC point off
    its curve; an Ed25519 point of small order.
    """
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError(f"use: {shown(jwk['use'])}, expected 'sig'")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("key_ops: no 'verify'")
    kid = None
    if "kid" in jwk:
        try:
            kid = check_name(jwk["kid"], MAX_KID_BYTES)
        except ValueError as error:
            raise UnusableKeyError(f"kid: {error}") from error
    match jwk.get("kty"):
        case "OKP":
            public_key, algorithms, members = _read_ed25519(jwk)
        case "EC":
            public_key, algorithms, members = _read_ec(jwk)
        case "RSA":
            public_key, algorithms, members = _read_rsa(jwk)
        case other:
            raise UnusableKeyError(f"kty: {shown(other)}, expected 'OKP', 'EC' or 'RSA'")
    if "alg" in jwk:
        algorithm = jwk["alg"]
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            raise UnusableKeyError(f"alg: {shown(algorithm)}, expected {' or '.join(sorted(algorithms))}")
        algorithms = frozenset({algorithm})
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return VerificationKey(kid, algorithms, public_key, canonical, _thumbprint(canonical))


def _thumbprint(canonical_jwk: str) -> str:
    return encode_base64url(hashlib.sha256(canonical_jwk.encode("ascii")).digest())


_Read: TypeAlias = tuple[PublicKey, frozenset[str], dict[str, str]]


def _member(jwk: dict[str, object], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise UnusableKeyError(f"{name}: missing or no string")
    try:
        return decode_base64url(text)
    except ValueError as error:
        raise UnusableKeyError(f"{name}: {error}") from error


def _read_ed25519(jwk: dict[str, object]) -> _Read:
    if jwk.get("crv") != "Ed25519":
        raise UnusableKeyError(f"crv: {shown(jwk.get('crv'))}, expected 'Ed25519'")
    x = _member(jwk, "x")
    if len(x) != 32:
        raise UnusableKeyError(f"x: {len(x)} bytes, expected 32")
    y_coordinate = int.from_bytes(x, "little") & (2**255 - 1)
    if y_coordinate >= _ED25519_PRIME or y_coordinate in _SMALL_ORDER_Y:
        raise UnusableKeyError("x: a point of small order, or not its canonical form")
    members = {"crv": "Ed25519", "kty": "OKP", "x": encode_base64url(x)}
    return Ed25519PublicKey.from_public_bytes(x), frozenset({"EdDSA", "Ed25519"}), members


def _read_ec(jwk: dict[str, object]) -> _Read:
    name = jwk.get("crv")
    if not isinstance(name, str) or name not in _CURVES:
        raise UnusableKeyError(f"crv: {shown(name)}, expected {' or '.join(map(repr, _CURVES))}")
    curve, size, algorithm = _CURVES[name]
    x, y = _member(jwk, "x"), _member(jwk, "y")
    if len(x) != size or len(y) != size:
        raise UnusableKeyError(f"x, y: {len(x)} and {len(y)} bytes, expected {size} each")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
    try:
        public_key = numbers.public_key()
    except ValueError as error:
        raise UnusableKeyError(f"x, y: no point on {name}") from error
    members = {"crv": name, "kty": "EC", "x": encode_base64url(x), "y": encode_base64url(y)}
    return public_key, frozenset({algorithm}), members


def _read_rsa(jwk: dict[str, object]) -> _Read:
    modulus, exponent = int.from_bytes(_member(jwk, "n")), int.from_bytes(_member(jwk, "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise UnusableKeyError(f"n: {modulus.bit_length()} bits, expected {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if modulus % 2 == 0:
        raise UnusableKeyError("n: even")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 32:
        raise UnusableKeyError("e: expected an odd number from 3 to 2^32-1")
    if _has_roca_fingerprint(modulus):
        raise UnusableKeyError("n: made by a generator whose keys can be factored (ROCA, CVE-2017-15361)")
    members = {
        "e": encode_base64url(exponent.to_bytes((exponent.bit_length() + 7) // 8)),
        "kty": "RSA",
        "n": encode_base64url(modulus.to_bytes((modulus.bit_length() + 7) // 8)),
    }
    return rsa.RSAPublicNumbers(exponent, modulus).public_key(), frozenset({"RS256", "PS256"}), members


def _powers_of_65537(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1))


# Modulo these primes the powers of 65537 are few, and a ROCA modulus is always one of them; any other modulus
# is so modulo all of them less than once in 2^27 ("The Return of Coppersmith's Attack", CCS 2017).
_ROCA_RESIDUES = {
    prime: _powers_of_65537(prime)
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}


def _has_roca_fingerprint(modulus: int) -> bool:
    return all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items())
