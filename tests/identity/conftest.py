"""An issuer to be attacked: keys of every kind, and a signer that signs anything, made without PyJWT."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from auditd.identity import Authenticator, Issuer, IssuerConfig, TokenError

NOW = 1_800_000_000
ISSUER = "https://idp.example.com"
AUDIENCE = "https://audit.example.com"
KEY_OF_ALGORITHM = {
    "EdDSA": "ed25519",
    "Ed25519": "ed25519",
    "ES256": "p256",
    "ES384": "p384",
    "RS256": "rsa",
    "PS256": "rsa",
}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_int(number, size=None):
    return b64(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


class Forge:
    """Makes tokens, good ones and bad ones, and says how the server answers them."""

    now = NOW
    issuer = ISSUER
    audience = AUDIENCE
    key_of_algorithm = KEY_OF_ALGORITHM
    b64 = staticmethod(b64)
    b64_int = staticmethod(b64_int)

    def __init__(self):
        self.private = {
            "ed25519": ed25519.Ed25519PrivateKey.generate(),
            "p256": ec.generate_private_key(ec.SECP256R1()),
            "p384": ec.generate_private_key(ec.SECP384R1()),
            "rsa": rsa.generate_private_key(65537, 2048),
        }
        self.stranger = ed25519.Ed25519PrivateKey.generate()

    def jwk(self, name, **changes):
        """The public JSON Web Key of one of our keys; a change to None leaves a member out."""
        public = self.private[name].public_key()
        if name == "ed25519":
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        elif name == "rsa":
            numbers = public.public_numbers()
            jwk = {"kty": "RSA", "n": b64_int(numbers.n), "e": b64_int(numbers.e)}
        else:
            numbers, size = public.public_numbers(), public.key_size // 8
            curve = {"p256": "P-256", "p384": "P-384"}[name]
            jwk = {"kty": "EC", "crv": curve, "x": b64_int(numbers.x, size), "y": b64_int(numbers.y, size)}
        jwk |= {"kid": name, **changes}
        return {member: value for member, value in jwk.items() if value is not None}

    def jwks(self, *keys):
        return json.dumps({"keys": list(keys) or [self.jwk(name) for name in self.private]}).encode()

    def trust(self, *keys, clock=None, cache_size=64, revocations=None, **settings):
        """An authenticator that trusts our issuer; by default with all four keys."""
        config = IssuerConfig(**{"issuer": ISSUER, "jwks_file": Path("idp.json"), **settings})
        issuer = Issuer.from_jwks(config, self.jwks(*keys))
        return Authenticator([issuer], AUDIENCE, clock or Clock(), cache_size, revocations)

    def claims(self, **changes):
        """The claims of a good token; a change to None leaves one out."""
        claims = {
            "iss": ISSUER,
            "sub": "svc-billing",
            "aud": AUDIENCE,
            "iat": NOW - 10,
            "exp": NOW + 600,
            "jti": "token-1",
            "roles": ["writer"],
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def header(self, algorithm="EdDSA", **changes):
        header = {"typ": "at+jwt", "alg": algorithm, "kid": KEY_OF_ALGORITHM.get(algorithm)} | changes
        return {name: value for name, value in header.items() if value is not None}

    def token(self, algorithm="EdDSA", header=None, claims=None, key=None):
        """A token of ours, signed as `algorithm` whatever its header says."""
        return self.sign_text(
            json.dumps(self.header(algorithm) if header is None else header),
            json.dumps(self.claims() if claims is None else claims),
            algorithm,
            key,
        )

    def sign_text(self, header_json, payload_json, algorithm="EdDSA", key=None):
        """A compact JWS over exactly these texts."""
        signing_input = f"{b64(header_json.encode())}.{b64(payload_json.encode())}"
        return f"{signing_input}.{b64(self.signature(signing_input.encode(), algorithm, key))}"

    def signature(self, data, algorithm="EdDSA", key=None):
        key = key or self.private[KEY_OF_ALGORITHM[algorithm]]
        if algorithm in ("EdDSA", "Ed25519"):
            return key.sign(data)
        if algorithm in ("ES256", "ES384"):
            size = key.key_size // 8
            digest = hashes.SHA256() if algorithm == "ES256" else hashes.SHA384()
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if algorithm == "RS256":
            return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

    def mac(self, secret, header):
        """A token whose signature is HMAC-SHA-256 under `secret`."""
        signing_input = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(self.claims()).encode())}"
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(signing_input.encode())
        return f"{signing_input}.{b64(mac.finalize())}"

    def refusal(self, authenticator, token):
        """The error by which `authenticator` refuses `token`, having checked that it tells no secret."""
        with pytest.raises(TokenError) as caught:
            authenticator.authenticate(token)
        for part in token.split("."):
            assert len(part) < 16 or part not in str(caught.value)
        return caught.value

    def reason(self, authenticator, token):
        return self.refusal(authenticator, token).reason


@pytest.fixture(scope="session")
def forge():
    return Forge()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(forge, clock):
    """An authenticator that trusts all four keys of the issuer for every algorithm."""
    return forge.trust(clock=clock)
