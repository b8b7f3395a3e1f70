"""Published vectors: RFC 7515 appendix A, RFC 8037 appendix A, RFC 7638 section 3.1."""

import pytest

from auditd.identity import TokenError
from auditd.identity._jws import split_compact, verify_signature
from auditd.identity._keys import parse_key

CLAIMS_A = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RFC7515_A1_HS256 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS_A}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
RFC7515_A3_ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS_A}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC7515_A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC8037_A4_EDDSA = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC8037_A2_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC7638_3_1_KEY = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
        "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"
        "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF"
        "TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


@pytest.mark.parametrize(
    ("token", "jwk", "payload_start"),
    [
        (RFC7515_A3_ES256, RFC7515_A3_KEY, b'{"iss":"joe",\r\n'),
        (RFC8037_A4_EDDSA, RFC8037_A2_KEY, b"Example of Ed25519 signing"),
    ],
    ids=["RFC 7515 A.3", "RFC 8037 A.4"],
)
def test_published_signature_verifies(token, jwk, payload_start):
    jws = split_compact(token)
    verify_signature(jws, parse_key(jwk).public_key)
    assert jws.payload.startswith(payload_start)


@pytest.mark.parametrize(
    "token", [RFC7515_A1_HS256, RFC7515_A3_ES256.replace("eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJub25lIn0")]
)
def test_signature_layer_itself_knows_neither_hmac_nor_none(token):
    with pytest.raises(TokenError) as caught:
        verify_signature(split_compact(token), parse_key(RFC7515_A3_KEY).public_key)
    assert caught.value.reason == "TOKEN_BAD_SIGNATURE"


@pytest.mark.parametrize(
    ("jwk", "thumbprint"),
    [
        (RFC7638_3_1_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC8037_A2_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ],
    ids=["RFC 7638 3.1", "RFC 8037 A.3"],
)
def test_published_thumbprint(jwk, thumbprint):
    assert parse_key(jwk).thumbprint == thumbprint


def test_canonical_form_of_a_published_key():
    assert parse_key(RFC8037_A2_KEY).jwk_json == (
        '{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    )
