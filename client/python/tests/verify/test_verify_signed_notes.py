"""C2SP signed notes and verifier keys."""

import base64
import re

import pytest

from auditd_client.verify import (
    BadSignatureError,
    MalformedError,
    VerificationError,
    VerifierKey,
    WrongLogError,
    open_note,
)

FOO_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_TEXT = "This is an example message.\n"
BLOB = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
FOO_LINE = f"— example.com/foo {BLOB}\n"
FOO_NOTE = f"{FOO_TEXT}\n{FOO_LINE}"
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"


def test_opens_the_published_note_as_text_and_as_bytes():
    assert open_note(FOO_NOTE, FOO_KEY) == FOO_TEXT
    assert open_note(FOO_NOTE.encode(), VerifierKey.parse(FOO_KEY)) == FOO_TEXT


def test_reads_the_published_verifier_keys(make):
    zero = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
    assert VerifierKey.parse(ENOCH_KEY) == VerifierKey("EnochRoot", bytes.fromhex("af0cfe78"), zero)
    log_key = VerifierKey.parse(make.signer("example.com/log").vkey)
    assert log_key == VerifierKey("example.com/log", bytes.fromhex("1dde4531"), zero)


def test_reads_a_verifier_key_whose_base64_holds_a_plus_sign(make):
    vkey = next(signer.vkey for i in range(256) if (signer := make.signer("log", bytes([i]) * 32)).vkey.count("+") > 2)
    assert VerifierKey.parse(vkey).name == "log"


@pytest.mark.parametrize(
    ("vkey", "message"),
    [
        pytest.param("", "not of the form name+key ID+key: ''", id="nothing"),
        pytest.param("EnochRoot+af0cfe78", "not of the form name+key ID+key", id="no key"),
        pytest.param(ENOCH_KEY[9:], "key name is empty", id="no name"),
        pytest.param(f"Enoch {ENOCH_KEY}", "a space or a plus sign: 'Enoch EnochRoot'", id="space in the name"),
        pytest.param(f"\u2003{ENOCH_KEY}", r"a space or a plus sign: '\u2003EnochRoot'", id="em space in the name"),
        pytest.param(ENOCH_KEY.replace("af0", "AF0"), "8 lowercase hex digits, found 'AF0cfe78'", id="upper case"),
        pytest.param(ENOCH_KEY.replace("af0", "0af0"), "8 lowercase hex digits", id="long key ID"),
        pytest.param(
            ENOCH_KEY.replace("af0", "bf0"),
            "key ID is bf0cfe78, that of name and key af0cfe78",
            id="other ID",
        ),
        pytest.param(ENOCH_KEY.replace("Enoch", "enoch"), "key ID is af0cfe78, that of name and key", id="other name"),
        pytest.param(ENOCH_KEY + "\n", "not strict base64", id="line feed at the end"),
        pytest.param(ENOCH_KEY + "\r", "line 1: control character 0x0d", id="carriage return at the end"),
        pytest.param(ENOCH_KEY[:-4], "key is 29 bytes, expected 32", id="short key"),
        pytest.param("EnochRoot+af0cfe78+", "type is 0x, expected 0x01 (Ed25519)", id="empty key"),
        pytest.param(ENOCH_KEY.replace("+AT", "+BD"), "type is 0x04, expected 0x01", id="cosigner's key"),
        pytest.param("\ud800" + ENOCH_KEY, "not UTF-8", id="lone surrogate"),
    ],
)
def test_refuses_verifier_key_with(vkey, message):
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        VerifierKey.parse(vkey)
    assert caught.value.what == "verifier key"


@pytest.mark.parametrize(
    ("note", "line", "message"),
    [
        pytest.param("", None, "no line feed at the end", id="nothing"),
        pytest.param(FOO_TEXT, None, "no blank line between text and signatures", id="text alone"),
        pytest.param(f"{FOO_TEXT}\n", None, "no signature after the last blank line", id="no signature"),
        pytest.param(FOO_NOTE[:-1], None, "no line feed at the end", id="no line feed at the end"),
        pytest.param(f"{FOO_NOTE}\n", None, "no signature after the last blank line", id="blank line at the end"),
        pytest.param(FOO_TEXT + FOO_LINE, None, "no blank line between", id="no blank line"),
        pytest.param(f"a\r\n{FOO_NOTE}", 1, "control character 0x0d", id="carriage return"),
        pytest.param(FOO_NOTE.replace("an ", "an\t"), 1, "control character 0x09", id="tab"),
        pytest.param(FOO_NOTE.encode() + b"\xff\n", None, "not UTF-8", id="bytes beyond UTF-8"),
        pytest.param(f"\ud800{FOO_NOTE}", None, "not UTF-8", id="lone surrogate"),
        pytest.param(f"{FOO_NOTE}garbage\n", 4, "not a signature (dash, name, base64): 'garbage'", id="foreign line"),
        pytest.param(FOO_NOTE.replace("—", "-"), 3, "not a signature", id="hyphen for dash"),
        pytest.param(FOO_NOTE.replace("— ", "—  "), 3, "not a signature", id="two spaces"),
        pytest.param(FOO_NOTE.replace("— ", "—\u00a0"), 3, "not a signature", id="no-break space"),
        pytest.param(f"{FOO_NOTE}—  {BLOB}\n", 4, "key name is empty", id="empty name"),
        pytest.param(f"{FOO_NOTE}— a+b {BLOB}\n", 4, "a space or a plus sign: 'a+b'", id="plus sign in a name"),
        pytest.param(f"{FOO_NOTE}— a\u2028b {BLOB}\n", 4, r"'a\u2028b'", id="line separator in a name"),
        pytest.param(f"{FOO_NOTE}— x AAAA\n", 4, "signature is 3 bytes with its key ID", id="short signature"),
        pytest.param(f"{FOO_NOTE}— x AAAAAA==\n", 4, "signature is 4 bytes with its key ID", id="empty signature"),
        pytest.param(f"{FOO_NOTE}— x AAAAAAF=\n", 4, "not strict base64: 'AAAAAAF='", id="loose last bits"),
        pytest.param(f"{FOO_NOTE}— x AAAAAA_=\n", 4, "not strict base64", id="URL-safe base64"),
        pytest.param(f"{FOO_NOTE}— x AAAAAAA\n", 4, "not strict base64", id="no padding"),
        pytest.param(f"{FOO_NOTE}— x AAAAAAAé\n", 4, "not strict base64", id="non-ASCII base64"),
        pytest.param(FOO_NOTE + 100 * "— x AAAAAAA=\n", None, "101 signatures, limit 100", id="101 signatures"),
        pytest.param("a" * 1_000_000 + FOO_NOTE, None, "bytes, limit 1000000", id="a megabyte"),
    ],
)
def test_refuses_malformed_note_with(note, line, message):
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        open_note(note, FOO_KEY)
    assert (caught.value.what, caught.value.line) == ("note", line)


def test_ignores_signatures_of_unknown_keys_even_with_the_same_name_or_key_id(make):
    same_name = make.signer("example.com/foo", b"1" * 32).line(FOO_TEXT)
    same_key_id = FOO_LINE.replace("example.com/foo", "example.com/bar")
    cosigner = "— witness.example/w1 CtfTXgAAAABlU/EA\n"
    assert open_note(f"{FOO_TEXT}\n{same_name}{same_key_id}{cosigner}{FOO_LINE}", FOO_KEY) == FOO_TEXT


def test_refuses_note_signed_by_unknown_keys_only(make):
    note = make.signer("example.com/foo", b"1" * 32).note(FOO_TEXT)
    with pytest.raises(WrongLogError, match=re.escape("expected 'example.com/foo+530d903a', found 'example.com/foo+")):
        open_note(note, FOO_KEY)


@pytest.mark.parametrize("bad_first", [True, False])
def test_one_bad_signature_of_the_known_key_refuses_the_note_even_beside_a_good_one(bad_first):
    bad = FOO_LINE.replace("kn8", "kn9")
    lines = bad + FOO_LINE if bad_first else FOO_LINE + bad
    with pytest.raises(BadSignatureError, match="note line") as caught:
        open_note(f"{FOO_TEXT}\n{lines}", FOO_KEY)
    assert (caught.value.name, caught.value.key_id.hex()) == ("example.com/foo", "530d903a")
    assert caught.value.line == (3 if bad_first else 4)


@pytest.mark.parametrize("size", [1, 63, 65, 72])
def test_a_signature_of_the_known_key_with_another_length_is_bad(size):
    blob = (base64.b64decode(BLOB) + bytes(8))[: 4 + size]
    with pytest.raises(BadSignatureError):
        open_note(f"{FOO_TEXT}\n— example.com/foo {base64.b64encode(blob).decode()}\n", FOO_KEY)


@pytest.mark.parametrize("public_key", [b"\x02" + bytes(31), b"\xff" * 32], ids=["no point", "no number"])
def test_a_key_that_is_no_point_of_the_curve_verifies_nothing(make, public_key):
    key = VerifierKey("example.com/foo", bytes.fromhex("530d903a"), public_key)
    with pytest.raises(BadSignatureError):
        open_note(FOO_NOTE, key)


def test_accepts_a_hundred_signatures_and_the_same_one_twice():
    others = "— x AAAAAAA=\n" * 98
    assert open_note(f"{FOO_TEXT}\n{others}{FOO_LINE}{FOO_LINE}", FOO_KEY) == FOO_TEXT


def test_the_text_ends_at_the_last_blank_line(make):
    signer = make.signer("poet")
    text = "one\n\ntwo\u2028three\u0085four\n\n"
    assert open_note(signer.note(text), signer.vkey) == text


def test_refuses_the_published_note_once_any_bit_is_changed():
    note = FOO_NOTE.encode()
    for position in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[position] ^= 1 << bit
            with pytest.raises(VerificationError):
                open_note(bytes(changed), FOO_KEY)
