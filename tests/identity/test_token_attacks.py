"""The threat list: every way to get in with a token that should not get in, by name.

Where keys come from has a list of its own, test_key_fetching.py; floods of unknown keys, keys that are gone and sets
that are stale are in test_key_rotation.py. Over the network, with real providers: tests/system/test_issuers.py.
"""

import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from auditd.errors import FolderError, UnavailableError
from auditd.identity import ClientCertificate, Issuer, IssuerConfig, TokenError, parse_authorization

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_the_untouched_token_gets_in(forge, server):
    for algorithm in forge.key_of_algorithm:
        assert server.authenticate(forge.token(algorithm)).subject == "svc-billing"


# Algorithms


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "c2lnbmF0dXJl"], ids=["unsigned", "with some signature"])
def test_algorithm_none_in_any_casing(forge, server, name, signature):
    signing_input = forge.token(header=forge.header(alg=name)).rsplit(".", 1)[0]
    assert forge.reason(server, f"{signing_input}.{signature}") == "TOKEN_ALGORITHM"


@pytest.mark.parametrize("algorithm", ["HS256", "hs256", "RS512", "ES512", "ES256K", "eddsa", "EdDSA ", "RSA1_5"])
def test_algorithm_outside_the_allow_list(forge, server, algorithm):
    assert forge.reason(server, forge.token(header=forge.header(alg=algorithm))) == "TOKEN_ALGORITHM"


@pytest.mark.parametrize("algorithm", [None, 5, ["EdDSA"], {"EdDSA": 1}, True])
def test_algorithm_missing_or_not_a_string(forge, server, algorithm):
    assert forge.reason(server, forge.token(header=forge.header(alg=algorithm))) == "TOKEN_ALGORITHM"


@pytest.mark.parametrize("name", ["rsa", "p256"])
@pytest.mark.parametrize("form", ["PEM", "DER", "JWK"])
def test_public_key_used_as_hmac_secret(forge, server, name, form):
    public = forge.private[name].public_key()
    secret = {
        "PEM": public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(forge.jwk(name)).encode(),
    }[form]
    token = forge.mac(secret, forge.header(alg="HS256", kid=name))
    assert forge.reason(server, token) == "TOKEN_ALGORITHM"


def test_algorithm_the_operator_did_not_allow_for_this_issuer(forge):
    server = forge.trust(algorithms=("ES256",))
    assert forge.reason(server, forge.token("RS256")) == "TOKEN_ALGORITHM"
    assert server.authenticate(forge.token("ES256"))


@pytest.mark.parametrize(("signed_as", "claimed"), [("RS256", "PS256"), ("PS256", "RS256")])
def test_rsa_signature_under_the_other_padding(forge, server, signed_as, claimed):
    token = forge.token(signed_as, header=forge.header(claimed))
    assert forge.reason(server, token) == "TOKEN_BAD_SIGNATURE"


@pytest.mark.parametrize(
    ("claimed", "kid"),
    [
        ("ES384", "p256"),
        ("ES256", "p384"),
        ("EdDSA", "p256"),
        ("RS256", "p256"),
        ("ES256", "rsa"),
        ("ES256", "ed25519"),
    ],
)
def test_key_of_another_type_or_curve_than_the_algorithm(forge, server, claimed, kid):
    assert forge.reason(server, forge.token(claimed, header=forge.header(claimed, kid=kid))) == "TOKEN_ALGORITHM"


def test_key_pinned_to_another_algorithm(forge):
    server = forge.trust(forge.jwk("rsa", alg="RS256"))
    assert forge.reason(server, forge.token("PS256")) == "TOKEN_ALGORITHM"
    assert server.authenticate(forge.token("RS256"))


# Keys


def test_signature_by_a_stranger(forge, server):
    assert forge.reason(server, forge.token(key=forge.stranger)) == "TOKEN_BAD_SIGNATURE"


def test_strangers_key_embedded_in_the_header(forge, server):
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": forge.b64(forge.stranger.public_key().public_bytes_raw())}
    header = forge.header(jwk=jwk)
    assert forge.reason(server, forge.token(header=header, key=forge.stranger)) == "TOKEN_BAD_SIGNATURE"
    assert forge.reason(server, forge.token(header=header | {"kid": "mine"}, key=forge.stranger)) == (
        "TOKEN_UNKNOWN_KEY"
    )


@pytest.mark.parametrize("member", ["jku", "x5u"])
def test_strangers_key_by_url_is_never_fetched(forge, server, member, monkeypatch):
    def connect(*_):
        raise AssertionError("the token made the server open a connection")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)
    header = forge.header(**{member: "http://169.254.169.254/keys"})
    assert forge.reason(server, forge.token(header=header, key=forge.stranger)) == "TOKEN_BAD_SIGNATURE"
    assert server.authenticate(forge.token(header=header))


def test_strangers_certificate_embedded_in_the_header(forge, server):
    header = forge.header(x5c=["MIIB"], x5t="abc")
    assert forge.reason(server, forge.token(header=header, key=forge.stranger)) == "TOKEN_BAD_SIGNATURE"


@pytest.mark.parametrize(
    "kid",
    ["../../../dev/null", "ed25519' OR '1'='1", "", "ED25519", "ed25519 ", "k" * 9000, "ed25519\x00", "*"],
    ids=["path traversal", "SQL", "empty", "other case", "trailing space", "huge", "NUL", "wildcard"],
)
def test_key_name_that_is_not_exactly_one_of_the_issuers(forge, server, kid):
    error = forge.refusal(server, forge.token(header=forge.header(kid=kid)))
    assert error.reason == "TOKEN_UNKNOWN_KEY"
    assert len(str(error)) < 200
    assert "\x00" not in str(error)


@pytest.mark.parametrize("kid", [0, True, ["ed25519"], {"kid": "ed25519"}])
def test_key_name_that_is_no_string(forge, server, kid):
    assert forge.reason(server, forge.token(header=forge.header(kid=kid))) == "TOKEN_MALFORMED"


def test_unknown_key_name_never_falls_back_to_the_other_keys(forge):
    server = forge.trust(forge.jwk("ed25519"))
    assert forge.reason(server, forge.token(header=forge.header(kid="gone"))) == "TOKEN_UNKNOWN_KEY"


def test_no_key_name_where_two_keys_would_fit(forge):
    second = {"kty": "OKP", "crv": "Ed25519", "x": forge.b64(forge.stranger.public_key().public_bytes_raw())}
    token = forge.token(header=forge.header(kid=None))
    assert forge.reason(forge.trust(forge.jwk("ed25519"), second), token) == "TOKEN_UNKNOWN_KEY"
    assert forge.trust(forge.jwk("ed25519"), forge.jwk("rsa")).authenticate(token)


@pytest.mark.parametrize("change", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": []}], ids=str)
def test_key_that_is_not_for_verifying(forge, change):
    server = forge.trust(forge.jwk("ed25519", **change), forge.jwk("rsa"))
    assert forge.reason(server, forge.token()) == "TOKEN_UNKNOWN_KEY"


def test_rsa_key_of_1024_bits(forge):
    weak = rsa.generate_private_key(65537, 1024)
    numbers = weak.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "weak", "n": forge.b64_int(numbers.n), "e": forge.b64_int(numbers.e)}
    server = forge.trust(jwk, forge.jwk("rsa"))
    token = forge.token("RS256", header=forge.header("RS256", kid="weak"), key=weak)
    assert forge.reason(server, token) == "TOKEN_UNKNOWN_KEY"


def test_rsa_exponent_of_one_needs_no_private_key(forge):
    modulus = forge.private["rsa"].public_key().public_numbers().n
    jwk = {"kty": "RSA", "kid": "one", "n": forge.b64_int(modulus), "e": "AQ"}
    server = forge.trust(jwk, forge.jwk("rsa"))
    token = forge.token("RS256", header=forge.header("RS256", kid="one"))
    assert forge.reason(server, token) == "TOKEN_UNKNOWN_KEY"


def test_ed25519_key_of_small_order_verifies_what_nobody_signed(forge):
    neutral = bytes([1]) + bytes(31)
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "small", "x": forge.b64(neutral)}
    server = forge.trust(jwk, forge.jwk("ed25519"))
    signing_input = forge.token(header=forge.header(kid="small")).rsplit(".", 1)[0]
    assert forge.reason(server, f"{signing_input}.{forge.b64(neutral + bytes(32))}") == "TOKEN_UNKNOWN_KEY"


@pytest.mark.parametrize("curve", ["Ed448", "X25519", "P-256"])
def test_eddsa_key_of_another_curve(forge, curve):
    jwk = forge.jwk("ed25519", crv=curve, kid="odd")
    server = forge.trust(jwk, forge.jwk("ed25519"))
    assert forge.reason(server, forge.token(header=forge.header(kid="odd"))) == "TOKEN_UNKNOWN_KEY"


def test_second_key_of_the_same_name_spoils_the_whole_set(forge):
    stranger = {"kty": "OKP", "crv": "Ed25519", "x": forge.b64(forge.stranger.public_key().public_bytes_raw())}
    with pytest.raises(FolderError, match="names two keys"):
        forge.trust(forge.jwk("ed25519"), stranger | {"kid": "ed25519"})


def test_shared_secret_among_the_keys_verifies_nothing(forge):
    secret = b"a secret that is no public key"
    server = forge.trust({"kty": "oct", "kid": "shared", "k": forge.b64(secret)}, forge.jwk("ed25519"))
    for algorithm in ("HS256", "EdDSA"):
        token = forge.mac(secret, forge.header(algorithm, kid="shared"))
        assert forge.reason(server, token) in ("TOKEN_ALGORITHM", "TOKEN_UNKNOWN_KEY")


def test_issuer_whose_keys_are_not_known_gets_nobody_in(forge, server):
    token = forge.token()
    assert server.authenticate(token)
    server.replace_issuer(Issuer(IssuerConfig(issuer=forge.issuer, jwks_file="idp.json"), None))
    with pytest.raises(UnavailableError) as caught:
        server.authenticate(token)
    assert caught.value.reason == "ISSUER_UNAVAILABLE"


def test_key_of_one_issuer_under_the_name_of_another_after_a_rotation(forge, server):
    theirs = Issuer.from_jwks(
        IssuerConfig(issuer="https://other.example", jwks_file="other.json"), forge.jwks(forge.jwk("rsa"))
    )
    server.replace_issuer(theirs)
    token = forge.token("EdDSA", claims=forge.claims(iss="https://other.example"))
    assert forge.reason(server, token) == "TOKEN_UNKNOWN_KEY"
    assert server.authenticate(forge.token())


def test_role_of_the_provider_does_not_become_ours_by_its_name(forge):
    server = forge.trust(roles={"audit-team": ("reader",)})
    assert server.authenticate(forge.token(claims=forge.claims(roles=["admin", "writer"]))).roles == ()


def test_key_removed_from_the_set(forge, server):
    token = forge.token()
    assert server.authenticate(token)
    config = IssuerConfig(issuer=forge.issuer, jwks_file="idp.json")
    server.replace_issuers([Issuer.from_jwks(config, forge.jwks(forge.jwk("rsa")))])
    assert forge.reason(server, token) == "TOKEN_UNKNOWN_KEY"


def test_issuer_no_longer_trusted(forge, server):
    token = forge.token()
    assert server.authenticate(token)
    server.replace_issuers([])
    assert forge.reason(server, token) == "TOKEN_UNKNOWN_ISSUER"


# Signatures


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"])
def test_empty_cut_or_lengthened_signature(forge, server, algorithm):
    signing_input = forge.token(algorithm).rpartition(".")[0]
    good = forge.signature(signing_input.encode(), algorithm)
    for bad in (b"", good[:-1], good + b"\x00", b"\x00" + good, bytes(len(good)), b"\xff" * len(good)):
        assert forge.reason(server, f"{signing_input}.{forge.b64(bad)}") == "TOKEN_BAD_SIGNATURE"


def test_signature_of_another_token(forge, server):
    mine, other = forge.token(), forge.token(claims=forge.claims(sub="admin"))
    assert forge.reason(server, f"{other.rpartition('.')[0]}.{mine.rpartition('.')[2]}") == "TOKEN_BAD_SIGNATURE"


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (0, 0), (P256_ORDER, 1), (1, P256_ORDER), (P256_ORDER, P256_ORDER)]
)
def test_ecdsa_r_or_s_out_of_range(forge, server, r, s):
    signing_input = forge.token("ES256").rpartition(".")[0]
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert forge.reason(server, f"{signing_input}.{forge.b64(signature)}") == "TOKEN_BAD_SIGNATURE"


def test_ecdsa_signature_in_der(forge, server):
    signing_input = forge.token("ES256").rpartition(".")[0]
    raw = forge.signature(signing_input.encode(), "ES256")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert forge.reason(server, f"{signing_input}.{forge.b64(der)}") == "TOKEN_BAD_SIGNATURE"


def test_ecdsa_signature_with_over_long_numbers(forge, server):
    signing_input = forge.token("ES256").rpartition(".")[0]
    raw = forge.signature(signing_input.encode(), "ES256")
    padded = bytes(16) + raw[:32] + bytes(16) + raw[32:]
    assert forge.reason(server, f"{signing_input}.{forge.b64(padded)}") == "TOKEN_BAD_SIGNATURE"


def test_ed25519_signature_whose_s_is_not_reduced(forge, server):
    signing_input = forge.token().rpartition(".")[0]
    raw = forge.signature(signing_input.encode())
    malleable = raw[:32] + (int.from_bytes(raw[32:], "little") + ED25519_ORDER).to_bytes(32, "little")
    assert forge.reason(server, f"{signing_input}.{forge.b64(malleable)}") == "TOKEN_BAD_SIGNATURE"


def test_roca_key(forge):
    primorial = 1
    for prime in (p for p in range(2, 702) if all(p % q for q in range(2, int(p**0.5) + 1))):
        primorial *= prime
    modulus = pow(65537, 12345, primorial) + primorial * (2**2047 // primorial + 1)
    jwk = {"kty": "RSA", "kid": "roca", "n": forge.b64_int(modulus), "e": "AQAB"}
    issuer = Issuer.from_jwks(
        IssuerConfig(issuer=forge.issuer, jwks_file="idp.json"), forge.jwks(jwk, forge.jwk("rsa"))
    )
    assert [key.kid for key in issuer.keys] == ["rsa"]
    assert "ROCA" in issuer.ignored_keys[0]


# Serialization


@pytest.mark.parametrize("parts", [1, 2, 4, 5], ids=lambda n: f"{n} parts")
def test_other_than_three_parts(forge, server, parts):
    token = ".".join((forge.token().split(".") * 2)[:parts])
    assert forge.reason(server, token) == "TOKEN_MALFORMED"


def test_json_serialization(forge, server):
    protected, payload, signature = forge.token().split(".")
    flattened = json.dumps({"protected": protected, "payload": payload, "signature": signature})
    assert forge.reason(server, flattened) == "TOKEN_MALFORMED"


def test_nested_token(forge, server):
    inner = forge.token()
    token = forge.sign_text(json.dumps(forge.header(cty="JWT")), inner)
    assert forge.reason(server, token) == "TOKEN_MALFORMED"


def test_encrypted_token(forge, server):
    header = forge.b64(json.dumps({"alg": "RSA-OAEP", "enc": "A128GCM"}).encode())
    assert forge.reason(server, f"{header}.AAAA.AAAA.AAAA.AAAA") == "TOKEN_MALFORMED"


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "=",
        lambda text: text + "==",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:4] + "\r\n" + text[4:],
        lambda text: text[:-1] + "+",
        lambda text: text[:-1] + "/",
        lambda text: text[:-1] + "é",
        lambda text: text[:-1] + "\ud800",
        lambda text: text + "A" * ((1 - len(text)) % 4),
    ],
    ids=["=", "==", "line feed", "space", "inner CRLF", "+", "/", "é", "surrogate", "impossible length"],
)
def test_base64url_that_is_not_strict(forge, server, part, change):
    parts = forge.token().split(".")
    parts[part] = change(parts[part])
    assert forge.reason(server, ".".join(parts)) == "TOKEN_MALFORMED"


def test_trailing_bits_of_base64url(forge, server):
    signing_input, _, signature = forge.token().rpartition(".")
    assert len(signature) % 4 == 2  # 64 bytes leave four unused bits
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(signature[-1]) + 1]
    assert forge.reason(server, f"{signing_input}.{signature[:-1]}{twin}") == "TOKEN_MALFORMED"


def test_token_of_one_mebibyte(forge, server):
    assert str(forge.refusal(server, "a" * 2**20)) == "token: 1048576 characters, limit 16384"
    assert str(forge.refusal(server, "a" * 16_385)) == "token: 16385 characters, limit 16384"
    assert str(forge.refusal(server, "a" * 16_384)) == "token: 1 parts, expected 3 parted by dots"
    assert forge.reason(server, forge.token(claims=forge.claims(pad="a" * 2**20))) == "TOKEN_MALFORMED"


def test_token_just_over_the_limit_of_16_kib(forge, server):
    header = json.dumps(forge.header())
    room = (16_384 - len(forge.b64(header.encode())) - len(".") - len(".") - 86) * 3 // 4
    payload = json.dumps(forge.claims())
    assert server.authenticate(forge.sign_text(header, payload.ljust(room)))
    assert forge.reason(server, forge.sign_text(header, payload.ljust(room + 1))) == "TOKEN_MALFORMED"


# Header and payload


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "exp", [1], None, True, {"exp": 1}], ids=str)
def test_critical_extension_of_any_kind(forge, server, crit):
    header = json.dumps(forge.header() | {"crit": crit, "exp": forge.now + 60})
    assert forge.reason(server, forge.sign_text(header, json.dumps(forge.claims()))) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("b64", [False, None, 0, "false"], ids=repr)
@pytest.mark.parametrize("crit", [{}, {"crit": ["b64"]}], ids=["without crit", "with crit"])
def test_unencoded_payload(forge, server, b64, crit):
    header = json.dumps(forge.header() | {"b64": b64} | crit)
    assert forge.reason(server, forge.sign_text(header, json.dumps(forge.claims()))) == "TOKEN_MALFORMED"


def test_compressed_payload(forge, server):
    assert forge.reason(server, forge.token(header=forge.header(zip="DEF"))) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "\\u0061lg"])
def test_header_name_given_twice(forge, server, name):
    header = json.dumps(forge.header())[:-1] + f', "{name}": "EdDSA"}}'
    assert forge.reason(server, forge.sign_text(header, json.dumps(forge.claims()))) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("name", ["sub", "exp", "roles", "iss", "s\\u0075b"])
def test_claim_name_given_twice(forge, server, name):
    payload = json.dumps(forge.claims())[:-1] + f', "{name}": "admin"}}'
    assert forge.reason(server, forge.sign_text(json.dumps(forge.header()), payload)) == "TOKEN_MALFORMED"


def test_claim_name_given_twice_far_inside(forge, server):
    payload = json.dumps(forge.claims())[:-1] + ', "a": [{"b": {"c": 1, "c": 2}}]}'
    assert forge.reason(server, forge.sign_text(json.dumps(forge.header()), payload)) == "TOKEN_MALFORMED"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "{} {}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"a": ' * 17 + "1" + "}" * 17,
        '{"a": ' + "[" * 16 + "]" * 16 + "}",
        "[" * 8000,
        '{"a": ' * 1500 + "1" + "}" * 1500,
        '{"a": ' + "9" * 5000 + "}",
        "\ufeff{}",
        "{'a': 1}",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_header_or_payload_that_is_no_unambiguous_json_object(forge, server, text):
    good_header, good_payload = json.dumps(forge.header()), json.dumps(forge.claims())
    assert forge.reason(server, forge.sign_text(text, good_payload)) == "TOKEN_MALFORMED"
    assert forge.reason(server, forge.sign_text(good_header, text)) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("part", [0, 1], ids=["header", "payload"])
def test_header_or_payload_that_is_not_utf_8(forge, server, part):
    parts = forge.token().split(".")
    parts[part] = forge.b64('{"sub": "é"}'.encode("latin-1"))
    assert forge.reason(server, ".".join(parts)) == "TOKEN_MALFORMED"


# Whose token, and for whom


@pytest.mark.parametrize(
    "issuer",
    [
        "https://idp.example.com/",
        "HTTPS://idp.example.com",
        "https://idp.example.com:443",
        "https://evil.example",
        " https://idp.example.com",
        "",
    ],
)
def test_issuer_that_is_not_exactly_ours(forge, server, issuer):
    assert forge.reason(server, forge.token(claims=forge.claims(iss=issuer))) == "TOKEN_UNKNOWN_ISSUER"


@pytest.mark.parametrize("issuer", [None, 7, ["https://idp.example.com"], True])
def test_issuer_missing_or_not_a_string(forge, server, issuer):
    assert forge.reason(server, forge.token(claims=forge.claims(iss=issuer))) == "TOKEN_CLAIMS"


def test_tenant_a_signing_in_tenant_b_s_name(forge):
    mine, theirs = "https://a.example", "https://b.example"
    server = forge.trust(forge.jwk("ed25519"), issuer=mine)
    other = Issuer.from_jwks(
        IssuerConfig(issuer=theirs, jwks_file="b.json"), forge.jwks(forge.jwk("p256"), forge.jwk("rsa"))
    )
    server.replace_issuers([*server._issuers.values(), other])
    assert server.authenticate(forge.token(claims=forge.claims(iss=mine))).issuer == mine
    assert forge.reason(server, forge.token(claims=forge.claims(iss=theirs))) == "TOKEN_UNKNOWN_KEY"
    assert forge.reason(server, forge.token("ES256", claims=forge.claims(iss=mine))) == "TOKEN_UNKNOWN_KEY"


@pytest.mark.parametrize(
    "audience",
    [
        "https://other.example",
        "https://audit.example.com/",
        "https://audit.example",
        "HTTPS://AUDIT.EXAMPLE.COM",
        [],
        ["https://other.example", "https://audit.example.com."],
    ],
    ids=str,
)
def test_audience_that_is_not_exactly_us(forge, server, audience):
    assert forge.reason(server, forge.token(claims=forge.claims(aud=audience))) == "TOKEN_WRONG_AUDIENCE"


@pytest.mark.parametrize("audience", [None, 5, {"a": 1}, ["https://audit.example.com", 5]], ids=str)
def test_audience_missing_or_malformed(forge, server, audience):
    assert forge.reason(server, forge.token(claims=forge.claims(aud=audience))) == "TOKEN_CLAIMS"


@pytest.mark.parametrize("typ", [None, "JWT", "", "at+jwt2", "application/jwt", "logout+jwt", "dpop+jwt"])
def test_id_token_or_other_kind_of_token_in_place_of_an_access_token(forge, server, typ):
    assert forge.reason(server, forge.token(header=forge.header(typ=typ))) == "TOKEN_TYPE"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_access_token_type_in_any_casing_gets_in(forge, server, typ):
    assert server.authenticate(forge.token(header=forge.header(typ=typ)))


THUMBPRINT = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"  # of RFC 8705 section 3.1


@pytest.mark.parametrize(
    "confirmation",
    [
        {"jkt": "0ZcO"},
        {"x5t#S256": "bwcK"},
        {"x5t#S256": THUMBPRINT},
        {"x5t#S256": THUMBPRINT, "jkt": "0ZcO"},
        {"x5t#S256": THUMBPRINT + "="},
        {"x5t#S256": [THUMBPRINT]},
        {"jwk": {}},
        {},
        "text",
    ],
    ids=str,
)
def test_sender_constrained_token_is_not_downgraded_to_a_bearer_token(forge, confirmation):
    token = forge.token(claims=forge.claims(cnf=confirmation))
    assert forge.reason(forge.trust(), token) == "TOKEN_SENDER_CONSTRAINED"
    assert forge.reason(forge.trust(typ="any"), token) == "TOKEN_SENDER_CONSTRAINED"


@pytest.mark.parametrize("seen", [False, True], ids=["first seen", "remembered"])
@pytest.mark.parametrize("presented", [None, b"other"], ids=["no certificate", "another certificate"])
def test_bound_token_is_refused_without_its_certificate(forge, server, presented, seen):
    certificate = ClientCertificate(b"der", sha256(b"der").digest(), frozenset(), "CN=a", 2**40)
    token = forge.token(claims=forge.claims(cnf={"x5t#S256": certificate.thumbprint}))
    if seen:
        assert server.authenticate(token, lambda: certificate).bound_to == certificate.credential_id
    other = presented and ClientCertificate(presented, sha256(presented).digest(), frozenset(), "CN=a", 2**40)
    with pytest.raises(TokenError) as caught:
        server.authenticate(token, lambda: other)
    assert (caught.value.reason, caught.value.unverified_subject) == ("TOKEN_SENDER_CONSTRAINED", "svc-billing")


def test_sender_constraint_of_null_is_one_too(forge, server):
    payload = json.dumps(forge.claims() | {"cnf": None})
    token = forge.sign_text(json.dumps(forge.header()), payload)
    assert forge.reason(server, token) == "TOKEN_SENDER_CONSTRAINED"


# Metadata


def test_authorization_given_twice(forge):
    token = forge.token()
    with pytest.raises(TokenError, match="given 2 times") as caught:
        parse_authorization([f"Bearer {token}", f"Bearer {token}"])
    assert caught.value.reason == "TOKEN_MALFORMED"


def test_two_tokens_in_one_authorization(forge, server):
    token = forge.token()
    for joined in (f"{token}, Bearer {token}", f"{token} {token}", f" {token}", f"{token}\t"):
        with pytest.raises(TokenError) as caught:
            server.authenticate(parse_authorization([f"Bearer {joined}"]))
        assert caught.value.reason == "TOKEN_MALFORMED"


def test_flood_of_different_good_tokens_does_not_grow_the_memory(forge):
    server = forge.trust(cache_size=4)
    for number in range(12):
        server.authenticate(forge.token(claims=forge.claims(jti=f"token-{number}")))
    assert len(server._cache) == 4


def test_flood_of_bad_tokens_leaves_nothing_behind(forge, server):
    for number in range(12):
        forge.refusal(server, forge.token(claims=forge.claims(jti=f"{number}"), key=forge.stranger))
    assert len(server._cache) == 0


def test_hostile_subject_is_made_fit_for_the_record_of_the_refusal(forge, server):
    subject = "mallory\x1b[2J\x00\u202e" + "é" * 400
    error = forge.refusal(server, forge.token(claims=forge.claims(sub=subject), key=forge.stranger))
    assert error.unverified_subject.startswith("mallory\ufffd[2J\ufffd\ufffdéé")
    assert len(error.unverified_subject.encode()) <= 256
    for strange in (7, ["root"], None):
        refused = forge.token(claims=forge.claims(sub=strange), key=forge.stranger)
        assert forge.refusal(server, refused).unverified_subject == ""
