"""Which keys of an issuer's key set are used, and which sets are refused."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from auditd.errors import FolderError
from auditd.identity import Issuer, IssuerConfig

P = 2**255 - 19
ORDER_8 = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")


def load(jwks):
    return Issuer.from_jwks(IssuerConfig(issuer="https://idp.example.com", jwks_file=Path("idp.json")), jwks)


def refusal(jwks):
    with pytest.raises(FolderError) as caught:
        load(jwks)
    assert caught.value.reason == "ISSUER_KEYS_INVALID"
    assert str(caught.value).startswith("issuer 'https://idp.example.com': idp.json: ")
    return str(caught.value)


def ignored_because(forge, jwk):
    """Why `jwk` is ignored beside a good key, which stays in use."""
    issuer = load(forge.jwks(forge.jwk("p384", kid="good"), jwk))
    assert [key.kid for key in issuer.keys] == ["good"]
    (reason,) = issuer.ignored_keys
    assert reason.startswith("keys[1]: ")
    return reason


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("ed25519", {"kty": "oct", "k": "AAAA"}, "kty: 'oct'"),
        ("ed25519", {"kty": "AKP"}, "kty: 'AKP'"),
        ("ed25519", {"kty": None}, "kty: a NoneType"),
        ("ed25519", {"kty": ["OKP"]}, "kty: a list"),
        ("ed25519", {"crv": "Ed448"}, "crv: 'Ed448'"),
        ("ed25519", {"crv": "X25519"}, "crv: 'X25519'"),
        ("ed25519", {"x": None}, "x: missing"),
        ("ed25519", {"x": 5}, "x: missing or no string"),
        ("ed25519", {"x": "AAAA"}, "x: 3 bytes"),
        ("ed25519", {"x": "A" * 42 + "B"}, "x: trailing base64url bits"),
        ("ed25519", {"use": "enc"}, "use: 'enc'"),
        ("ed25519", {"use": 5}, "use: a int"),
        ("ed25519", {"key_ops": ["sign"]}, "key_ops: no 'verify'"),
        ("ed25519", {"key_ops": "verify"}, "key_ops: no 'verify'"),
        ("ed25519", {"alg": "ES256"}, "alg: 'ES256'"),
        ("ed25519", {"alg": ["EdDSA"]}, "alg: a list"),
        ("ed25519", {"kid": 7}, "kid: not a string"),
        ("ed25519", {"kid": ""}, "kid: 0 bytes"),
        ("ed25519", {"kid": "a\x00"}, "kid: control character U+0000"),
        ("p256", {"crv": "secp256k1"}, "crv: 'secp256k1'"),
        ("p256", {"crv": "P-384"}, "x, y: 32 and 32 bytes"),
        ("p256", {"crv": ["P-256"]}, "crv: a list"),
        ("p256", {"y": "A" * 43}, "x, y: no point on P-256"),
        ("p256", {"x": "A" * 43, "y": "A" * 43}, "x, y: no point on P-256"),
        ("rsa", {"e": "AA"}, "e: expected an odd number"),
        ("rsa", {"e": "AQ"}, "e: expected an odd number"),
        ("rsa", {"e": "AQAC"}, "e: expected an odd number"),
        ("rsa", {"e": "AQAAAAE"}, "e: expected an odd number"),
        ("rsa", {"n": "AQAB"}, "n: 17 bits"),
        ("rsa", {"alg": "RS512"}, "alg: 'RS512'"),
        ("rsa", {"alg": "RSA-OAEP"}, "alg: 'RSA-OAEP'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_key_that_cannot_be_used_is_ignored_alone(forge, name, changes, why):
    assert why in ignored_because(forge, forge.jwk(name, **changes))


@pytest.mark.parametrize("bits", [1024, 2040, 8200])
def test_rsa_key_of_another_size_is_ignored(forge, bits):
    jwk = {"kty": "RSA", "n": forge.b64_int((1 << bits) - 1), "e": "AQAB"}
    assert f"n: {bits} bits, expected 2048 to 8192" in ignored_because(forge, jwk)


def test_even_rsa_modulus_is_ignored(forge):
    assert "n: even" in ignored_because(forge, {"kty": "RSA", "n": forge.b64_int(1 << 2047), "e": "AQAB"})


@pytest.mark.parametrize("sign", [0, 1], ids=["x even", "x odd"])
@pytest.mark.parametrize(
    "y",
    [0, 1, P - 1, P, P + 1, ORDER_8, P - ORDER_8, 2**255 - 1],
    ids=["0", "1", "-1", "p", "p+1", "order 8", "other order 8", "beyond p"],
)
def test_ed25519_key_of_small_order_or_not_canonical_is_ignored(forge, y, sign):
    x = (y | sign << 255).to_bytes(32, "little")
    assert "small order" in ignored_because(forge, {"kty": "OKP", "crv": "Ed25519", "x": forge.b64(x)})


def test_unknown_members_do_not_matter(forge):
    jwk = forge.jwk("rsa", use="sig", key_ops=["verify", "wrapKey"], x5c=["MIIB"], alg="PS256", ext=True)
    (key,) = load(forge.jwks(jwk)).keys
    assert (key.issuer, key.kid) == ("https://idp.example.com", "rsa")


def test_leading_zeros_of_an_rsa_modulus_do_not_change_the_thumbprint(forge):
    numbers = forge.private["rsa"].public_key().public_numbers()
    padded = forge.jwk("rsa", n=forge.b64_int(numbers.n, 257), e=forge.b64_int(numbers.e, 4), kid=None)
    assert load(forge.jwks(padded)).keys[0].thumbprint == load(forge.jwks(forge.jwk("rsa"))).keys[0].thumbprint


def test_recorded_key_verifies_the_tokens_again(forge):
    recorded = load(forge.jwks()).keys
    server = forge.trust(*(json.loads(key.jwk_json) | {"kid": key.kid} for key in recorded))
    for algorithm in forge.key_of_algorithm:
        caller = server.authenticate(forge.token(algorithm))
        assert caller.key_thumbprint in {key.thumbprint for key in recorded}


def test_two_usable_keys_of_one_name_are_refused(forge):
    assert "kid 'ed25519' names two keys" in refusal(forge.jwks(forge.jwk("ed25519"), forge.jwk("rsa", kid="ed25519")))


def test_usable_and_unusable_key_of_one_name_are_no_conflict(forge):
    issuer = load(forge.jwks(forge.jwk("ed25519"), forge.jwk("rsa", kid="ed25519", use="enc")))
    assert len(issuer.keys) == 1


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth"])
@pytest.mark.parametrize("use", ["sig", "enc"])
def test_private_key_is_refused_even_where_it_would_be_ignored(forge, member, use):
    secret = "c2VjcmV0LXNlY3JldA"
    message = refusal(forge.jwks(forge.jwk("p256"), forge.jwk("rsa", use=use, **{member: secret})))
    assert f"keys[1].{member}: a private key" in message
    assert secret not in message


@pytest.mark.parametrize(
    ("jwks", "why"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[]", "not a JSON object"),
        (b"{}", "keys: missing"),
        (b'{"keys": {}}', "keys: missing or no array"),
        (b'{"keys": ["text"]}', "keys[0]: not an object"),
        (b'{"keys": []}', "none is usable"),
        (b'{"keys": [{"kty": "oct"}]}', "none is usable; keys[0]: kty: 'oct'"),
        (b'{"keys": [], "keys": []}', "member 'keys' given twice"),
        (b'{"keys": [{"kty": "OKP", "kty": "EC"}]}', "member 'kty' given twice"),
        (b'{"keys": []}'.ljust(524_289), "524289 bytes, limit 524288"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_malformed_key_set_is_refused(jwks, why):
    assert why in refusal(jwks)


def test_key_set_is_read_from_its_file(forge, tmp_path):
    path = tmp_path / "idp.json"
    path.write_bytes(forge.jwks().ljust(524_288))
    issuer = Issuer.from_jwks_file(IssuerConfig(issuer=forge.issuer, jwks_file=path))
    assert [key.kid for key in issuer.keys] == ["ed25519", "p256", "p384", "rsa"]
    path.write_bytes(forge.jwks().ljust(524_289))
    with pytest.raises(FolderError, match="limit 524288"):
        Issuer.from_jwks_file(IssuerConfig(issuer=forge.issuer, jwks_file=path))


def test_missing_key_set_file_is_named(forge, tmp_path):
    with pytest.raises(FolderError, match=r"nowhere\.json: cannot be read: No such file") as caught:
        Issuer.from_jwks_file(IssuerConfig(issuer=forge.issuer, jwks_file=tmp_path / "nowhere.json"))
    assert caught.value.reason == "ISSUER_KEYS_INVALID"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"issuer": ""}, "issuer: 0 bytes, expected 1 to 512"),
        ({"issuer": "a" * 513}, "issuer: 513 bytes"),
        ({"issuer": "a\nb"}, "issuer: control character U\\+000A"),
        ({"audience": ""}, "audience: 0 bytes"),
        ({"audience": 7}, "audience: not a string"),
        ({"algorithms": "EdDSA"}, "algorithms: must be an array"),
        ({"leeway_s": "30"}, "leeway_s: '30', must be a whole number"),
        ({"roles": {"boss": "root"}}, "roles: 'boss': 'root' is none of writer"),
        ({"roles": {"boss": []}}, "roles: 'boss': must be a role, or an array"),
        ({"algorithms": ()}, "algorithms: none given"),
        ({"algorithms": ("EdDSA", "HS256")}, "algorithms: 'HS256', expected some of EdDSA"),
        ({"algorithms": ("none",)}, "algorithms: 'none'"),
        ({"typ": "JWT"}, "typ: 'JWT', expected 'at\\+jwt' or 'any'"),
        ({"leeway_s": -1}, "leeway_s: -1, expected 0 to 60"),
        ({"leeway_s": 61}, "leeway_s: 61, expected 0 to 60"),
        ({"max_lifetime_s": 0}, "max_lifetime_s: 0, expected 1 to"),
        ({"max_lifetime_s": 366 * 86_400 + 1}, "max_lifetime_s: 31622401"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_issuer_setting_out_of_bounds_is_refused(settings, why):
    with pytest.raises(FolderError, match=why) as caught:
        IssuerConfig(**{"issuer": "https://idp.example.com", "jwks_file": Path("idp.json"), **settings})
    assert caught.value.reason == "ISSUER_CONFIG_INVALID"


def test_ordinary_rsa_keys_have_no_roca_fingerprint(forge):
    numbers = [rsa.generate_private_key(3, 2048).public_key().public_numbers() for _ in range(2)]
    keys = [{"kty": "RSA", "n": forge.b64_int(number.n), "e": "Aw"} for number in numbers]
    assert len(load(forge.jwks(*keys)).keys) == 2
