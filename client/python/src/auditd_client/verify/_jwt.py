"""The signature of a token, verified by a public key given as a JSON Web Key (RFC 7515, RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from auditd_client.verify._errors import quote

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_REQUIRED = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48)}


def read_base64url(text: str) -> bytes:
    """Return the bytes that `text` is the one unpadded base64url of. Raises ValueError."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError(f"not strict base64url: {quote(text)}")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError(f"not strict base64url: {quote(text)}")
    return data


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object in which no member stands twice. Raises ValueError."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the RFC 7638 thumbprint of a JSON Web Key. Raises ValueError."""
    names = _REQUIRED.get(str(jwk.get("kty")))
    if names is None or not all(isinstance(jwk.get(name), str) for name in names):
        raise ValueError("not a public JSON Web Key of type OKP, EC or RSA")
    canonical = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def is_signature(signature: bytes, signed: bytes, algorithm: str, jwk: Mapping[str, Any]) -> bool:
    """Return whether `jwk`'s key signed `signed` by `algorithm`, the header's `alg`.

    Raises ValueError for a key that is malformed, weak, or not for this algorithm.
    """
    kind = (jwk.get("kty"), jwk.get("crv"))
    verifier = _VERIFIERS.get((algorithm, *kind))
    if verifier is None:
        raise ValueError(f"alg {quote(algorithm)} by a key of type {quote(kind)} is not verified here")
    try:
        verifier(jwk, signature, signed)
    except InvalidSignature:
        return False
    return True


def _ed25519(jwk: Mapping[str, Any], signature: bytes, signed: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(_member(jwk, "x")).verify(signature, signed)


def _ecdsa(digest: hashes.HashAlgorithm) -> Callable[[Mapping[str, Any], bytes, bytes], None]:
    def verify(jwk: Mapping[str, Any], signature: bytes, signed: bytes) -> None:
        curve, size = _CURVES[jwk["crv"]]
        x, y = (int.from_bytes(_member(jwk, name)) for name in "xy")
        key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        if len(signature) != 2 * size or not r or not s:
            raise InvalidSignature
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))

    return verify


def _rsa_key(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus, exponent = (int.from_bytes(_member(jwk, name)) for name in "ne")
    if not 2_048 <= modulus.bit_length() <= 8_192 or exponent < 3 or exponent.bit_length() > 32:
        raise ValueError("an RSA key that is too weak, or too large")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _rs256(jwk: Mapping[str, Any], signature: bytes, signed: bytes) -> None:
    _rsa_key(jwk).verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def _ps256(jwk: Mapping[str, Any], signature: bytes, signed: bytes) -> None:
    _rsa_key(jwk).verify(signature, signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


_VERIFIERS: dict[tuple[object, ...], Callable[[Mapping[str, Any], bytes, bytes], None]] = {
    ("EdDSA", "OKP", "Ed25519"): _ed25519,
    ("Ed25519", "OKP", "Ed25519"): _ed25519,
    ("ES256", "EC", "P-256"): _ecdsa(hashes.SHA256()),
    ("ES384", "EC", "P-384"): _ecdsa(hashes.SHA384()),
    ("RS256", "RSA", None): _rs256,
    ("PS256", "RSA", None): _ps256,
}


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the key has no member {name!r}")
    return read_base64url(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands twice in one object")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
