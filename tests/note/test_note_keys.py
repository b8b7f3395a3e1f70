"""Verifier keys in their text form."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from auditd.errors import AuditdError
from auditd.note import ED25519, NoteError, VerifierKey, key_id

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "notes.json").read_text())
PUBLIC_KEY = bytes.fromhex(VECTORS["zero_seed"]["public_key"])
VKEY = VECTORS["zero_seed"]["vkey_of_EnochRoot"]
KEY_TEXT = VKEY.split("+", 2)[2]


@pytest.mark.parametrize("vkey", [VKEY, VECTORS["signed_note"]["vkey"]])
def test_a_published_key_reads_and_writes_as_it_was(vkey):
    assert str(VerifierKey.parse(vkey)) == vkey


def test_the_key_of_the_zero_seed_is_the_published_one(signer):
    assert signer("EnochRoot").verifier_key == VerifierKey.parse(VKEY)
    assert signer("example.com/log").key_id.hex() == VECTORS["zero_seed"]["key_id_of_example.com/log"]
    assert VerifierKey.parse(VKEY).public_key == PUBLIC_KEY


def test_a_key_whose_base64_has_plus_signs_reads_back():
    public_key = b"\xef\xbe" + b"\xfb\xef\xbe" * 10
    key = VerifierKey("log", key_id("log", ED25519, public_key), ED25519, public_key)
    assert str(key).count("+") > 2
    assert VerifierKey.parse(str(key)) == key


def vkey(name: str, type_byte: int, public_key: bytes) -> str:
    material = b64encode(bytes([type_byte]) + public_key).decode()
    return f"{name}+{key_id(name, type_byte, public_key).hex()}+{material}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("", "must be <name>", id="empty"),
        pytest.param("EnochRoot+af0cfe78", "must be <name>", id="no key"),
        pytest.param(vkey("", 1, PUBLIC_KEY), "the name is empty", id="empty name"),
        pytest.param(vkey("a b", 1, PUBLIC_KEY), "the name contains white space", id="space in the name"),
        pytest.param(vkey("a\u2028b", 1, PUBLIC_KEY), "white space", id="Unicode space in the name"),
        pytest.param(vkey("a\x01", 1, PUBLIC_KEY), "control character", id="control character in the name"),
        pytest.param(f"a\ud800+af0cfe78+{KEY_TEXT}", "not valid UTF-8", id="lone surrogate in the name"),
        pytest.param(f"EnochRoot+AF0CFE78+{KEY_TEXT}", "8 lowercase hex digits", id="uppercase key ID"),
        pytest.param(f"EnochRoot+af0cfe7+{KEY_TEXT}", "8 lowercase hex digits", id="short key ID"),
        pytest.param(f"EnochRoot+af0cfe78\n+{KEY_TEXT}", "8 lowercase hex digits", id="newline in the key ID"),
        pytest.param(f"EnochRoot+af0cfe79+{KEY_TEXT}", "of this name and key af0cfe78", id="wrong key ID"),
        pytest.param(f"Enochroot+af0cfe78+{KEY_TEXT}", "the key ID is af0cfe78", id="key ID of another name"),
        pytest.param(VKEY + "\n", "not canonical base64", id="final newline"),
        pytest.param(VKEY.removesuffix("p") + "q", "the key ID is af0cfe78", id="another key"),
        pytest.param("EnochRoot+af0cfe78+AR==", "not canonical base64", id="trailing bits"),
        pytest.param("EnochRoot+af0cfe78+", "signature type none", id="no key bytes"),
        pytest.param(vkey("log", 2, PUBLIC_KEY), "signature type 02 is not supported", id="unsupported type"),
        pytest.param(vkey("log", 1, PUBLIC_KEY[:31]), "has 31 bytes, must be 32", id="short key"),
        pytest.param(vkey("log", 1, PUBLIC_KEY + b"x"), "has 33 bytes, must be 32", id="long key"),
    ],
)
def test_rejects_a_malformed_key_and_says_which_rule_it_breaks(text, rule):
    with pytest.raises(NoteError, match=rule) as caught:
        VerifierKey.parse(text)
    assert caught.value.reason == "MALFORMED_KEY"
    assert isinstance(caught.value, AuditdError)
    caught.value.message.encode()


def test_a_message_quotes_only_the_beginning_of_a_huge_key():
    with pytest.raises(NoteError) as caught:
        VerifierKey.parse("a" * 100_000)
    assert len(caught.value.message) < 200
