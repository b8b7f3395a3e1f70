"""The evidence of an identity commits to the whole token and gives none of it away (promise 6)."""

import hashlib

import pytest

from auditd.identity import Credential


def sha256(data):
    return hashlib.sha256(data).digest()


def test_credential_is_the_hash_of_two_hashes_of_the_token_as_received(forge, server):
    token = forge.token()
    caller = server.authenticate(token)
    signing_input, _, signature = token.rpartition(".")
    assert caller.credential_id == sha256(sha256(signing_input.encode()) + sha256(signature.encode()))
    assert caller.credential.signature_hash == sha256(signature.encode())


def test_credential_keeps_the_token_whole(forge, server):
    token = forge.token()
    credential = server.authenticate(token).credential
    assert f"{credential.header}.{credential.payload}.{credential.signature}" == token
    assert credential.issuer == forge.issuer
    assert credential.expires_at == forge.now + 600 + 30


def test_credential_of_a_known_token():
    # cat <(printf %s eyJhbGciOiJFUzI1NiJ9.e30 | openssl dgst -sha256 -binary) \
    #     <(printf %s AAAA | openssl dgst -sha256 -binary) | sha256sum
    credential = Credential.from_parts("joe", "eyJhbGciOiJFUzI1NiJ9", "e30", "AAAA", 5)
    assert credential.credential_id.hex() == ("efd28fe3038ca8d830912811d935e35ae77aa07d2376ed3f7adb230ec6bf5ab6")


@pytest.mark.parametrize("part", ["header", "payload", "signature"])
def test_credential_changes_with_every_part(part):
    parts = {"issuer": "joe", "header": "aaaa", "payload": "bbbb", "signature": "cccc", "expires_at": 5}
    first, other = Credential.from_parts(**parts), Credential.from_parts(**parts | {part: "dddd"})
    assert first.credential_id != other.credential_id


def test_printing_a_caller_never_shows_the_signature(forge, server):
    caller = server.authenticate(forge.token())
    assert caller.credential.signature not in repr(caller)
    assert caller.credential.payload in repr(caller)
