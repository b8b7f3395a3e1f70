"""The server folder's own issuer: its key file, its tokens, its key set."""

import json
import os
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from auditd.errors import FolderError, InvalidRequestError
from auditd.identity import Authenticator, Issuer, IssuerConfig, LocalIssuer

ISSUER = "https://audit.example.com/local"


@pytest.fixture
def local():
    return LocalIssuer.create(ISSUER)


def trusting(local, clock, **settings):
    config = IssuerConfig(issuer=ISSUER, jwks_file=Path("local.json"), **settings)
    return Authenticator([Issuer.from_jwks(config, local.jwks())], "audit", clock)


def part(token, number):
    text = token.split(".")[number]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_issued_token_gets_in_under_the_defaults(local, clock):
    caller = trusting(local, clock).authenticate(local.issue("alice", ["reader"], 900, "audit", clock.now))
    assert (caller.issuer, caller.subject, caller.roles) == (ISSUER, "alice", ("reader",))
    assert caller.kid == caller.key_thumbprint == local.kid
    assert caller.expires_at == clock.now + 900 + 30


def test_issued_token_is_an_access_token_of_rfc_9068(local, clock):
    token = local.issue("alice", ["reader", "writer"], 900, "audit", clock.now + 0.9, jti="one")
    assert part(token, 0) == {"alg": "EdDSA", "kid": local.kid, "typ": "at+jwt"}
    assert part(token, 1) == {
        "iss": ISSUER,
        "sub": "alice",
        "client_id": "alice",
        "aud": "audit",
        "iat": clock.now,
        "exp": clock.now + 900,
        "jti": "one",
        "roles": ["reader", "writer"],
    }


def test_every_token_has_an_identifier_of_its_own(local, clock):
    tokens = [local.issue("alice", [], 60, "audit", clock.now) for _ in range(2)]
    first, second = (part(token, 1)["jti"] for token in tokens)
    assert first != second


def test_names_beyond_ascii_arrive_as_they_are(local, clock):
    token = local.issue("zoë-№1", ["writer"], 60, "audit", clock.now)
    assert trusting(local, clock).authenticate(token).subject == "zoë-№1"


def test_key_set_holds_the_public_key_alone(local):
    (jwk,) = json.loads(local.jwks())["keys"]
    assert set(jwk) == {"alg", "crv", "kid", "kty", "use", "x"}
    assert jwk["kid"] == local.kid


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "a\x00"}, "subject"),
        ({"subject": "a" * 257}, "subject"),
        ({"subject": "\ud800"}, "subject"),
        ({"audience": ""}, "audience"),
        ({"jti": "a\n"}, "jti"),
        ({"roles": ["writer", "root"]}, "roles"),
        ({"roles": "writer"}, "roles"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": -5}, "ttl_s"),
        ({"ttl_s": 3601}, "ttl_s"),
    ],
    ids=str,
)
def test_token_that_could_not_be_used_is_not_issued(local, clock, changes, field):
    good = {"subject": "alice", "roles": ["writer"], "ttl_s": 60, "audience": "audit", "now": clock.now}
    with pytest.raises(InvalidRequestError) as caught:
        local.issue(**good | changes)
    assert caught.value.reason == "INVALID_TOKEN_REQUEST"
    assert [violation.field for violation in caught.value.violations] == [field]


def test_lifetime_limit_is_the_issuers(clock):
    local = LocalIssuer.create(ISSUER, max_lifetime_s=86_400)
    token = local.issue("alice", ["writer"], 86_400, "audit", clock.now)
    assert trusting(local, clock, max_lifetime_s=86_400).authenticate(token)


def test_key_survives_its_file(local, clock, tmp_path):
    key_file = tmp_path / "issuer.pem"
    local.write_key(key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    loaded = LocalIssuer.load(ISSUER, key_file)
    assert loaded.kid == local.kid
    token = loaded.issue("alice", ["writer"], 60, "audit", clock.now)
    assert trusting(local, clock).authenticate(token)


def test_existing_key_file_is_never_overwritten(local, tmp_path):
    key_file = tmp_path / "issuer.pem"
    local.write_key(key_file)
    before = key_file.read_bytes()
    with pytest.raises(FolderError, match="cannot be created: File exists"):
        LocalIssuer.create(ISSUER).write_key(key_file)
    assert key_file.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o777], ids=oct)
def test_key_file_that_others_may_use_is_refused(local, tmp_path, mode):
    key_file = tmp_path / "issuer.pem"
    local.write_key(key_file)
    key_file.chmod(mode)
    with pytest.raises(FolderError, match=f"run `chmod 600 {key_file}`") as caught:
        LocalIssuer.load(ISSUER, key_file)
    assert caught.value.reason == "KEY_FILE_INVALID"


def pem(key, encryption=None):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no unencrypted private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no unencrypted private key"),
        (
            pem(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"secret")),
            "no unencrypted private key",
        ),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key"),
    ],
    ids=["empty", "damaged", "encrypted", "P-256"],
)
def test_damaged_key_file_is_refused(tmp_path, content, why):
    key_file = tmp_path / "issuer.pem"
    key_file.write_bytes(content)
    key_file.chmod(0o600)
    with pytest.raises(FolderError, match=why):
        LocalIssuer.load(ISSUER, key_file)


def test_missing_key_file_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"gone\.pem: cannot be read: No such file"):
        LocalIssuer.load(ISSUER, tmp_path / "gone.pem")


def test_key_file_is_private_from_its_first_byte_whatever_the_umask(local, tmp_path):
    before = os.umask(0)
    try:
        local.write_key(tmp_path / "issuer.pem")
    finally:
        os.umask(before)
    assert (tmp_path / "issuer.pem").stat().st_mode & 0o777 == 0o600
