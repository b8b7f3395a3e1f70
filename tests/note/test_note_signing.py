"""Signed notes, made and opened."""

import json
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.note import NoteError, Signature, VerifierKey, open_note, sign_note

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "notes.json").read_text())
PUBLISHED = VECTORS["signed_note"]
PUBLISHED_NOTE = PUBLISHED["text"] + "\n" + PUBLISHED["signature_line"]
PUBLISHED_KEY = VerifierKey.parse(PUBLISHED["vkey"])
LINE = PUBLISHED["signature_line"]
STRANGER = f"— stranger {b64encode(b'12345').decode()}\n"


def reason(note, keys, verify) -> str:
    with pytest.raises(NoteError) as caught:
        open_note(note, keys, verify)
    return caught.value.reason


@pytest.mark.parametrize("note", [PUBLISHED_NOTE, PUBLISHED_NOTE.encode()], ids=["text", "bytes"])
def test_the_published_note_opens(verify, note):
    opened = open_note(note, [PUBLISHED_KEY], verify)
    assert opened.text == PUBLISHED["text"]
    assert [f"{signature}\n" for signature in opened.signatures] == [LINE]


def test_the_worked_checkpoint_is_signed_to_the_byte(signer):
    checkpoint = VECTORS["checkpoint"]
    note = sign_note(checkpoint["text"], [signer("example.com/log")])
    assert note == checkpoint["text"] + "\n" + checkpoint["signature_line"]


texts = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",))).map(lambda text: text + "\n")


@given(text=st.lists(texts, min_size=1).map("".join))
def test_any_text_comes_back_from_its_note(signer, verify, text):
    one, other = signer("log", 1), signer("log", 2)
    note = sign_note(text, [one, other])
    opened = open_note(note.encode(), [other.verifier_key], verify)
    assert opened.text == text
    assert [signature.key_id for signature in opened.signatures] == [other.key_id]
    assert len(open_note(note, [one.verifier_key, other.verifier_key], verify).signatures) == 2


@pytest.mark.parametrize("text", ["\n", "\n\n\n", "a\n\n", "a\n\n— b c\n", "a\n\nb\n", "\x7f\u2028\x85\n"], ids=repr)
def test_a_text_may_hold_blank_lines_and_odd_characters(signer, verify, text):
    log = signer("log")
    assert open_note(sign_note(text, [log]), [log.verifier_key], verify).text == text


def test_a_changed_text_has_a_bad_signature(verify):
    changed = PUBLISHED_NOTE.replace("example message", "exemplary message")
    assert reason(changed, [PUBLISHED_KEY], verify) == "BAD_SIGNATURE"


def test_one_bad_signature_of_a_known_key_spoils_a_good_one(signer, verify):
    one, other = signer("one", 1), signer("other", 2)
    note = sign_note("text\n", [one])
    bad = Signature(other.name, other.key_id, bytes(64))
    keys = [one.verifier_key, other.verifier_key]
    assert open_note(f"{note}{bad}\n", keys[:1], verify).text == "text\n"
    for both in (f"{note}{bad}\n", note.replace("— ", f"{bad}\n— ")):
        assert reason(both, keys, verify) == "BAD_SIGNATURE"


@pytest.mark.parametrize("matching", ["name", "key ID", "neither"])
def test_a_line_that_matches_a_key_only_in_half_is_ignored(signer, verify, matching):
    log, other = signer("log", 1), signer("other", 2)
    stray = Signature(
        log.name if matching == "name" else "stray",
        log.key_id if matching == "key ID" else other.key_id,
        bytes(64),
    )
    note = sign_note("text\n", [log])
    assert len(open_note(f"{note}{stray}\n", [log.verifier_key], verify).signatures) == 1
    assert reason(f"text\n\n{stray}\n", [log.verifier_key], verify) == "NO_KNOWN_SIGNATURE"


def test_a_note_of_strangers_is_not_opened(signer, verify):
    assert reason(PUBLISHED_NOTE, [signer("log").verifier_key], verify) == "NO_KNOWN_SIGNATURE"
    assert reason(PUBLISHED_NOTE, [], verify) == "NO_KNOWN_SIGNATURE"


def test_a_repeated_signature_is_verified_once(verify):
    calls = []

    def count(public_key, signature, message):
        calls.append(message)
        return verify(public_key, signature, message)

    opened = open_note(PUBLISHED_NOTE + LINE * 99, [PUBLISHED_KEY], count)
    assert len(opened.signatures) == 1
    assert calls == [PUBLISHED["text"].encode()]


def test_a_note_has_at_most_100_signatures(verify):
    for strangers, malformed in ((99, False), (100, True)):
        note = PUBLISHED_NOTE + STRANGER * strangers
        if malformed:
            assert reason(note, [PUBLISHED_KEY], verify) == "MALFORMED_NOTE"
        else:
            assert open_note(note, [PUBLISHED_KEY], verify).text == PUBLISHED["text"]


def b64(content: bytes) -> str:
    return b64encode(content).decode()


@pytest.mark.parametrize(
    ("note", "rule"),
    [
        pytest.param(b"", "no blank line", id="empty"),
        pytest.param(b"\xff" + PUBLISHED_NOTE.encode(), "not valid UTF-8 at byte 0", id="not UTF-8"),
        pytest.param("\ud800" + PUBLISHED_NOTE, "not valid UTF-8", id="lone surrogate"),
        pytest.param("a\tb\n\n" + LINE, r"control character '\\t'", id="tab"),
        pytest.param(PUBLISHED_NOTE.replace("\n", "\r\n"), r"control character '\\r'", id="carriage returns"),
        pytest.param("a\0\n\n" + LINE, "control character", id="NUL"),
        pytest.param("text\n" + LINE, "no blank line", id="no blank line"),
        pytest.param("text\n\n", "no signatures", id="no signatures"),
        pytest.param(PUBLISHED_NOTE + "\n", "no signatures", id="blank line at the end"),
        pytest.param(PUBLISHED_NOTE[:-1], "not end in a newline", id="no final newline"),
        pytest.param(PUBLISHED_NOTE + "text\n", "line 4 'text' is not", id="text among the signatures"),
        pytest.param("a\nb\n\n- log 1234\n", "line 4 '- log 1234' is not", id="hyphen for a dash"),
        pytest.param("a\n\n—log AAAAAAA=\n", "line 3 .* is not", id="no space after the dash"),
        pytest.param("a\n\n— log\n", "line 3 .* is not", id="no signature"),
        pytest.param(f"a\n\n— log  {b64(b'12345')}\n", "line 3 .* is not", id="two spaces"),
        pytest.param(f"a\n\n— log {b64(b'12345')} \n", "line 3 .* is not", id="space at the end"),
        pytest.param(f"a\n\n—  {b64(b'12345')}\n", "line 3: the name '' is empty", id="empty name"),
        pytest.param(f"a\n\n— l+g {b64(b'12345')}\n", r"contains '\+'", id="plus in the name"),
        pytest.param(f"a\n\n— l\xa0g {b64(b'12345')}\n", "contains white space", id="no-break space in the name"),
        pytest.param("a\n\n— log \n", "have 0 bytes, must be at least 5", id="empty signature"),
        pytest.param(f"a\n\n— log {b64(b'1234')}\n", "have 4 bytes", id="key ID alone"),
        pytest.param("a\n\n— log MTIzNDU\n", "not canonical base64", id="missing padding"),
        pytest.param("a\n\n— log MTIzNDV=\n", "not canonical base64", id="trailing bits"),
        pytest.param("a\n\n— log MTIz_DU=\n", "not canonical base64", id="URL-safe alphabet"),
        pytest.param("a\n\n— log MTIzÄDU=\n", "not canonical base64", id="not ASCII"),
        pytest.param(PUBLISHED_NOTE + "— log 1\n", "line 4: the signature '1'", id="stranger beside a good one"),
    ],
)
def test_rejects_a_malformed_note_and_says_which_rule_it_breaks(verify, note, rule):
    with pytest.raises(NoteError, match=rule) as caught:
        open_note(note, [PUBLISHED_KEY], verify)
    assert caught.value.reason == "MALFORMED_NOTE"


def test_nothing_is_verified_in_a_malformed_note():
    def refuse(public_key, signature, message):
        raise AssertionError

    assert reason(PUBLISHED_NOTE + "— log 1\n", [PUBLISHED_KEY], refuse) == "MALFORMED_NOTE"


def test_rejects_two_keys_of_one_name_and_id(verify):
    twin = VerifierKey(PUBLISHED_KEY.name, PUBLISHED_KEY.key_id, 1, bytes(32))
    with pytest.raises(ValueError, match=r"two are named 'example\.com/foo' with ID 530d903a"):
        open_note(PUBLISHED_NOTE, [PUBLISHED_KEY, twin], verify)


@pytest.mark.parametrize(
    ("text", "name", "count", "rule"),
    [
        pytest.param("text", "log", 1, "does not end in a newline", id="no final newline"),
        pytest.param("", "log", 1, "does not end in a newline", id="empty"),
        pytest.param("te\rxt\n", "log", 1, "control character", id="control character"),
        pytest.param("\ud800\n", "log", 1, "not valid UTF-8", id="lone surrogate"),
        pytest.param("text\n", "log", 0, "signers: 0", id="no signer"),
        pytest.param("text\n", "log", 101, "signers: 101", id="too many signers"),
        pytest.param("text\n", "a log", 1, "the name contains white space", id="space in the name"),
    ],
)
def test_never_signs_what_it_would_not_open(signer, text, name, count, rule):
    with pytest.raises(ValueError, match=rule):
        sign_note(text, [signer(name)] * count)


@pytest.mark.parametrize(("key_id", "signature"), [(b"1234", b""), (b"123", b"5"), (b"12345", b"6")])
def test_never_writes_a_malformed_signature(key_id, signature):
    signer = SimpleNamespace(name="log", key_id=key_id, sign=lambda message: signature)
    with pytest.raises(ValueError, match="signer 'log'"):
        sign_note("text\n", [signer])
