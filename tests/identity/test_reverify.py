"""Tokens verified again from what was recorded of them; the server's verifier and the client's agree on every case."""

import hashlib
import json
from dataclasses import replace

import pytest

from auditd.identity import Credential, RecordedToken, TokenVerdict, verify_again
from auditd.identity._dropped import reduce_payload
from auditd_client.verify import Credential as ClientCredential
from auditd_client.verify import MalformedError, verify_credential


def named(token):
    """The token, under the name that its parts give it."""
    signed = hashlib.sha256(f"{token.header}.{token.payload}".encode()).digest()
    return replace(token, credential=hashlib.sha256(signed + token.signature_hash).digest())


@pytest.fixture
def recorded(forge, server):
    def make(algorithm="EdDSA"):
        caller = server.authenticate(forge.token(algorithm))
        evidence = caller.credential
        jwk = {key.thumbprint: key.jwk_json for key in server._issuers[forge.issuer].keys}[caller.key_thumbprint]
        return RecordedToken(
            credential=evidence.credential_id,
            issuer=evidence.issuer,
            header=evidence.header,
            payload=evidence.payload,
            signature_hash=evidence.signature_hash,
            key_thumbprint=caller.key_thumbprint,
            key_jwk=jwk,
            signature=evidence.signature,
        )

    return make


def verdict(token):
    """The verdict of the server, having held it against that of the client's own verifier."""
    found = verify_again(token)
    credential = ClientCredential(
        credential=token.credential,
        issuer=token.issuer,
        header=token.header,
        payload=token.payload,
        signature_hash=token.signature_hash,
        signature=token.signature,
        key_jwk=token.key_jwk or None,
        waits=token.waits,
    )
    try:
        assert ClientCredential.parse(credential.format()) == credential
        assert verify_credential(credential).verdict == found
    except MalformedError:
        assert found is TokenVerdict.INVALID
    return found


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"])
def test_a_token_verifies_by_its_recorded_key(recorded, algorithm):
    assert verdict(recorded(algorithm)) is TokenVerdict.VERIFIED


def test_a_signature_that_waits_is_not_yet_recorded(recorded):
    assert verdict(replace(recorded(), signature=None, waits=True)) is TokenVerdict.NOT_YET_RECORDED


def test_a_signature_that_nobody_has_is_lost(recorded):
    assert verdict(replace(recorded(), signature=None)) is TokenVerdict.SIGNATURE_LOST


@pytest.mark.parametrize("jwk", [None, ""])
def test_without_its_key_a_token_cannot_be_verified(recorded, jwk):
    assert verdict(replace(recorded(), key_jwk=jwk)) is TokenVerdict.KEY_UNKNOWN


def _flipped(text):
    return ("A" if text[4] != "A" else "B").join((text[:4], text[5:]))


@pytest.mark.parametrize("part", ["header", "payload", "signature_hash", "signature", "key_jwk", "issuer"])
def test_a_change_of_any_part_is_invalid(recorded, forge, part):
    token = recorded()
    other = {
        "header": _flipped(token.header),
        "payload": forge.b64(json.dumps(forge.claims(sub="mallory")).encode()),
        "signature_hash": bytes(32),
        "signature": _flipped(token.signature),
        "key_jwk": json.dumps(forge.jwk("p256", kid=None), separators=(",", ":")),
        "issuer": "https://other.example.com",
    }
    changed = replace(token, **{part: other[part]})
    if part == "key_jwk":
        # Its name in the row speaks for the key alone; the client is told the key, and no signature fits it.
        assert verify_again(changed) is TokenVerdict.INVALID
    assert verdict(changed) is TokenVerdict.INVALID


def test_a_forged_token_under_its_own_name_is_invalid(recorded, forge):
    token = recorded()
    forged = named(replace(token, payload=forge.b64(json.dumps(forge.claims(sub="mallory")).encode())))
    assert verdict(forged) is TokenVerdict.INVALID


@pytest.mark.parametrize("signature", ["", "AAAA", "A" * 86, "not base64!"])
def test_a_signature_of_another_shape_is_invalid(recorded, signature):
    token = replace(recorded("ES256"), signature=signature, signature_hash=hashlib.sha256(signature.encode()).digest())
    assert verdict(named(token)) is TokenVerdict.INVALID


def test_dropped_claims_are_hashes_that_only_the_token_explains(recorded, forge):
    token = recorded()
    claims = forge.claims(email="alice@example.com", name="Alice", nickname=None)
    reduced = reduce_payload(claims, ["name", "email", "phone"], token.signature)
    assert "alice" not in reduced.lower()
    members = json.loads(reduced)
    assert members["claims"] == {name: value for name, value in claims.items() if name not in ("email", "name")}
    # printf '"email":"alice@example.com"' | openssl dgst -sha256 -hmac SIGNATURE
    assert reduce_payload({"email": "alice@example.com"}, ["email"], "SIGNATURE") == (
        '{"claims":{},"dropped_claims":{"email":"' + EMAIL_HASH + '"}}'
    )
    assert reduce_payload(claims, ["name", "email"], "another") != reduced
    stored = named(replace(token, payload=reduced, signature=None))
    assert verdict(stored) is TokenVerdict.CLAIMS_DROPPED
    tampered = replace(stored, payload=reduced.replace("svc-billing", "svc-mallory"))
    assert verdict(tampered) is TokenVerdict.INVALID


EMAIL_HASH = "abf940af9f33870f31a097c18dcd03c5184c52822882756ebccd06945d198e89"


def test_a_payload_without_such_claims_is_kept_as_it_is(forge):
    assert reduce_payload(forge.claims(), ["email"], "signature") is None


def test_a_credential_of_the_log_room_has_the_same_name(recorded):
    token = recorded()
    parts = Credential.from_parts(token.issuer, token.header, token.payload, token.signature, 5)
    assert parts.credential_id == token.credential


def test_no_signature_is_printed(recorded):
    assert recorded().signature not in repr(recorded())
