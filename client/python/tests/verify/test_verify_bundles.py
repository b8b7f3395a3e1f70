"""Bundles: C2SP tlog-proof files that verify offline."""

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd_client.verify import (
    BadSignatureError,
    Bundle,
    MalformedError,
    MismatchError,
    ProofError,
    VerificationError,
    WrongLogError,
    verify_bundle,
    verify_entry,
)


def test_a_bundle_verifies_every_entry_of_the_log(log):
    for index, leaf in enumerate(log.leaves):
        verified = verify_bundle(log.bundle(index).format(), log.vkey)
        assert (verified.index, verified.leaf.raw, verified.checkpoint) == (index, leaf, log.checkpoint())


def test_a_bundle_is_laid_out_as_a_tlog_proof(log):
    bundle = log.bundle(2)
    assert bundle.format().split("\n") == [
        "c2sp.org/tlog-proof@v1",
        f"extra {base64.b64encode(bundle.leaf).decode()}",
        "index 2",
        *(base64.b64encode(value).decode() for value in bundle.proof),
        "",
        *bundle.checkpoint_note.split("\n"),
    ]


@settings(deadline=None)
@given(
    leaf=st.binary(min_size=1, max_size=300),
    index=st.integers(0, 2**63 - 1),
    proof=st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    note=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n")),
)
def test_a_bundle_is_read_back_as_it_was_written(leaf, index, proof, note):
    bundle = Bundle(leaf, index, tuple(proof), note)
    assert Bundle.parse(bundle.format()) == bundle
    assert Bundle.parse(bundle.format().encode()) == bundle


def test_a_bundle_holds_the_longest_leaf_and_the_longest_proof():
    bundle = Bundle(bytes(65_535), 2**63 - 1, (bytes(32),) * 63, "note\n")
    assert Bundle.parse(bundle.format()) == bundle


def test_a_bundle_of_a_tree_of_one_entry_has_no_hashes(make):
    log = make.log([make.leaf(0)])
    assert verify_bundle(log.bundle(0).format(), log.vkey).index == 0


def test_fails_once_any_byte_is_changed_removed_or_doubled(make):
    log = make.log([make.leaf(0, None, event={"id": "e", "time": "x", "action": "a"}), b"other", b"third"])
    bundle = log.bundle(0).format().encode()
    verify_bundle(bundle, log.vkey)
    for position, byte in enumerate(bundle):
        before, after = bundle[:position], bundle[position + 1 :]
        replacements = [bytes([byte ^ (1 << bit)]) for bit in range(8)] + [b"", bytes([byte, byte])]
        for replacement in replacements:
            with pytest.raises(VerificationError):
                verify_bundle(before + replacement + after, log.vkey)


def test_refuses_another_key_and_another_origin(make, log):
    text = log.bundle(0).format()
    with pytest.raises(WrongLogError, match="note is not signed by the key"):
        verify_bundle(text, make.signer(log.origin, b"1" * 32).vkey)
    with pytest.raises(WrongLogError, match="checkpoint is of another log"):
        verify_bundle(text, log.vkey, "audit.example.com/access")


def test_refuses_the_checkpoint_of_another_tree(make, log):
    fork = make.log([*log.leaves[:-1], b"another"])
    with pytest.raises(ProofError, match=f"expected root {fork.checkpoint().root.hex()}, found") as caught:
        verify_bundle(log.bundle(0, checkpoint_note=fork.note()).format(), log.vkey)
    assert caught.value.actual_root == log.checkpoint().root


def test_refuses_a_bad_signature(log):
    note = log.note().replace("\n7\n", "\n8\n")
    with pytest.raises(BadSignatureError):
        verify_bundle(log.bundle(0, checkpoint_note=note).format(), log.vkey)


def test_refuses_a_leaf_that_names_another_index_or_log(make):
    log = make.log([make.leaf(1), make.leaf(1, log="audit.example.com/access")])
    with pytest.raises(MismatchError, match="leaf: index: expected 0, found 1"):
        verify_bundle(log.bundle(0).format(), log.vkey)
    with pytest.raises(MismatchError, match="leaf: log: expected"):
        verify_bundle(log.bundle(1).format(), log.vkey)


def test_a_leaf_is_read_only_after_it_was_found_in_the_tree(make, log):
    with pytest.raises(ProofError):
        verify_bundle(log.bundle(0, leaf=b"no leaf at all").format(), log.vkey)
    other = make.log([b"no leaf at all"])
    with pytest.raises(MalformedError, match="leaf: not JSON"):
        verify_bundle(other.bundle(0).format(), other.vkey)


def test_an_entry_verifies_from_its_parts(log):
    bundle = log.bundle(4)
    assert verify_entry(bundle.leaf, 4, bundle.proof, log.checkpoint()).leaf.index == 4
    with pytest.raises(ProofError):
        verify_entry(bundle.leaf, 4, bundle.proof, log.checkpoint(5))


HEAD = "c2sp.org/tlog-proof@v1\nextra QQ==\nindex 0\n"
HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param("", 1, "expected 'c2sp.org/tlog-proof@v1', found ''", id="nothing"),
        pytest.param(HEAD.replace("v1", "v2"), 1, "found 'c2sp.org/tlog-proof@v2'", id="another version"),
        pytest.param(f" {HEAD}\n", 1, "found ' c2sp", id="space at the start"),
        pytest.param(HEAD, None, "no blank line before the checkpoint", id="no checkpoint"),
        pytest.param(HEAD.replace("\n", "\r\n"), 1, "control character 0x0d", id="carriage returns"),
        pytest.param(HEAD.encode() + b"\xff", None, "not UTF-8", id="bytes beyond UTF-8"),
        pytest.param("c2sp.org/tlog-proof@v1\n\n", 2, "expected 'extra ', found ''", id="header alone"),
        pytest.param(HEAD.replace("extra QQ==\n", "") + "\n", 2, "expected 'extra ', found 'index 0'", id="no leaf"),
        pytest.param(HEAD.replace("QQ==", "QR==") + "\n", 2, "not strict base64: 'QR=='", id="loose last bits"),
        pytest.param(HEAD.replace("QQ==", "QQ== ") + "\n", 2, "not strict base64", id="space after the leaf"),
        pytest.param(HEAD.replace("QQ==", "") + "\n", None, "leaf is 0 bytes", id="empty leaf"),
        pytest.param(HEAD.replace("QQ==", "QUFB" * 21_846) + "\n", None, "leaf is 65538 bytes", id="long leaf"),
        pytest.param(HEAD.replace("index 0\n", "") + "\n", 3, "expected 'index ', found ''", id="no index"),
        pytest.param(HEAD.replace("index", "Index") + "\n", 3, "expected 'index '", id="capital"),
        pytest.param(HEAD.replace("index 0", "index 00") + "\n", 3, "not a decimal number", id="leading zero"),
        pytest.param(HEAD.replace("index 0", "index  0") + "\n", 3, "not a decimal number", id="two spaces"),
        pytest.param(HEAD.replace("index 0", f"index {2**63}") + "\n", 3, "0 to 2^63-1", id="index of 2^63"),
        pytest.param(HEAD + "QQ==\n\n", 4, "a hash is 32 bytes, found 1", id="short hash"),
        pytest.param(f"{HEAD}{HASH}\n{HASH[:-2]}B=\n\n", 5, "not strict base64", id="loose last bits of a hash"),
        pytest.param(HEAD + f"{HASH}\n" * 64 + "\n", None, "64 hashes, limit 63", id="64 hashes"),
        pytest.param(HEAD + "\n" + "x" * 1_200_000, None, "bytes, limit 1131070", id="a megabyte"),
    ],
)
def test_refuses_malformed_bundle_with(text, line, message):
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        Bundle.parse(text)
    assert (caught.value.what, caught.value.line) == ("bundle", line)


def test_refuses_a_malformed_checkpoint_in_a_bundle(log):
    with pytest.raises(MalformedError, match="note: no line feed at the end"):
        verify_bundle(HEAD + "\n", log.vkey)


@pytest.mark.parametrize(
    "changes",
    [{"index": -1}, {"index": 2**63}, {"leaf": b""}, {"leaf": bytes(65_536)}, {"proof": [b"short"]}],
    ids=["negative index", "index of 2^63", "empty leaf", "long leaf", "short hash"],
)
def test_no_bundle_can_be_made_with(log, changes):
    with pytest.raises(MalformedError):
        log.bundle(0, **changes)
