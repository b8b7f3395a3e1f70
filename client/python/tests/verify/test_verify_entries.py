"""Proofs that certain entries are in a tree, and all of their range."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd_client.verify import (
    BadSignatureError,
    MalformedError,
    MismatchError,
    ProofError,
    VerificationError,
    WrongLogError,
    range_bundle_head,
    verify_entries,
    verify_range,
    verify_range_bundle,
)


def prove(naive, chosen, leaves, start=0):
    """The hashes of the maximal subtrees without a chosen leaf, by the definition."""
    if not any(start <= index < start + len(leaves) for index in chosen):
        return [naive.root(leaves)]
    if len(leaves) == 1:
        return []
    k = naive.split(len(leaves))
    return prove(naive, chosen, leaves[:k], start) + prove(naive, chosen, leaves[k:], start + k)


LEAVES = [b"leaf %d" % number for number in range(40)]


@st.composite
def selections(draw):
    size = draw(st.integers(1, len(LEAVES)))
    return size, sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))


@pytest.fixture(scope="module")
def hashed(naive):
    return [naive.sha256(b"\0" + leaf) for leaf in LEAVES]


@given(tree=selections())
def test_a_proof_verifies_whatever_the_selection(naive, hashed, tree):
    size, chosen = tree
    proof, root = prove(naive, chosen, LEAVES[:size]), naive.root(LEAVES[:size])
    leaves = [(index, hashed[index]) for index in chosen]
    assert verify_entries(leaves, size, proof, root) == len(chosen)
    left_out = [(index, hashed[index]) for index in range(size) if index not in chosen]
    assert verify_entries(iter(leaves), size, iter(proof), root, iter(left_out)) == len(chosen)


@settings(max_examples=25)
@given(tree=selections(), data=st.data())
def test_no_other_selection_verifies(naive, hashed, tree, data):
    size, chosen = tree
    proof, root = prove(naive, chosen, LEAVES[:size]), naive.root(LEAVES[:size])
    leaves = [(index, hashed[index]) for index in chosen]
    at = data.draw(st.integers(0, len(leaves) - 1))
    for wrong in (
        leaves[:at] + leaves[at + 1 :],
        [*leaves[:at], leaves[at], *leaves[at:]],
        [*leaves[:at], (leaves[at][0] + 1, leaves[at][1]), *leaves[at + 1 :]],
        [*leaves[:at], (leaves[at][0], bytes(32)), *leaves[at + 1 :]],
    ):
        with pytest.raises(VerificationError):
            verify_entries(wrong, size, proof, root)
    left_out = [(index, hashed[index]) for index in range(size) if index not in chosen]
    for wrong in (left_out[:-1], [*left_out, (size, bytes(32))], [(0, bytes(32)), *left_out[1:]], left_out[::-1]):
        if wrong != left_out:
            with pytest.raises(ProofError):
                verify_entries(leaves, size, proof, root, wrong)


def test_every_changed_byte_of_a_proof_is_refused(naive, hashed):
    size, first, last = 37, 5, 22
    proof = prove(naive, range(first, last), LEAVES[:size])
    root = naive.root(LEAVES[:size])
    inside = hashed[first:last]
    verify_range(first, last, size, inside, proof, root)
    for position, value in enumerate(proof):
        for at in range(32):
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            with pytest.raises(ProofError, match="expected root"):
                verify_range(first, last, size, inside, [*proof[:position], changed, *proof[position + 1 :]], root)
        with pytest.raises(MalformedError, match="32 bytes"):
            verify_range(first, last, size, inside, [*proof[:position], value[:-1], *proof[position + 1 :]], root)
    for wrong in (proof[:-1], [*proof, proof[-1]], [], proof[::-1], [*proof[1:], proof[0]]):
        with pytest.raises(ProofError):
            verify_range(first, last, size, inside, wrong, root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": 4}, "range proof: |entries proof"),
        ({"last": 21}, "more than the 16 leaves"),
        ({"last": 38}, "are not within the tree"),
        ({"last": 5}, "entries 5 up to 5 are not within"),
        ({"size": 24}, "too many hashes"),
        ({"size": 21}, "are not within the tree"),
    ],
)
def test_a_range_proof_is_of_this_range_of_this_tree(naive, hashed, change, message):
    asked = {"first": 5, "last": 22, "size": 37} | change
    proof = prove(naive, range(5, 22), LEAVES[:37])
    with pytest.raises(ProofError, match=message):
        verify_range(**asked, leaf_hashes=hashed[5:22], proof=proof, root=naive.root(LEAVES[:37]))


def test_no_entry_proves_nothing(naive):
    root = naive.root(LEAVES)
    with pytest.raises(ProofError, match="no entry"):
        verify_entries([], len(LEAVES), [root], root)
    with pytest.raises(ProofError, match="not within the tree of size 0"):
        verify_entries([(0, bytes(32))], 0, [], bytes(32))


@pytest.fixture(scope="module")
def log(make):
    """A log of seven short entries."""
    return make.log([make.leaf(index, attributes=None) for index in range(7)])


def range_bundle(naive, log, first, last):
    proof = prove(naive, range(first, last), log.leaves)
    head = range_bundle_head(first, last, proof, log.note())
    return head.encode() + b"".join(leaf + b"\n" for leaf in log.leaves[first:last])


def test_a_range_bundle_verifies_and_shows_its_leaves(naive, log):
    seen = []
    found = verify_range_bundle(BytesIO(range_bundle(naive, log, 2, 5)), log.vkey, seen=seen.append)
    assert (found.first, found.last, found.checkpoint.size) == (2, 5, 7)
    assert [leaf.raw for leaf in seen] == log.leaves[2:5]


def test_every_changed_byte_of_a_range_bundle_is_refused(naive, log):
    data = range_bundle(naive, log, 2, 5)
    verify_range_bundle(BytesIO(data), log.vkey)
    for at in range(len(data)):
        # A signature of another key would be ignored, so the dash and the name of the only one may not change either.
        for flip in (1, 0x20):
            changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            with pytest.raises(VerificationError):
                verify_range_bundle(BytesIO(changed), log.vkey)
    for end in range(len(data)):
        with pytest.raises(VerificationError):
            verify_range_bundle(BytesIO(data[:end]), log.vkey)


def test_a_range_bundle_holds_nothing_but_its_range(naive, log):
    data = range_bundle(naive, log, 2, 5)
    for extra in (b"\n", b"x\n", log.leaves[5] + b"\n", log.leaves[4] + b"\n"):
        with pytest.raises(VerificationError):
            verify_range_bundle(BytesIO(data + extra), log.vkey)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"auditd.v1/range", b"auditd.v2/range", "line 1: expected 'auditd.v1/range'"),
        (b"entries 2 5", b"entries 2", "line 2: expected 'entries FIRST LAST'"),
        (b"entries 2 5", b"entries 02 5", "line 2: not a decimal"),
        (b"entries 2 5", b"entries 5 2", "are none"),
        (b"entries 2 5", b"entries 2 5\n\xff", "line 3: not UTF-8"),
        (b"entries 2 5", b"entries 2 5\n" + b"A" * 43 + b"!", "strict base64"),
        (b"entries 2 5", b"entries 2 5" + (b"\n" + b"A" * 43 + b"=") * 127, "more than 126 hashes"),
        (b"entries 2 5", b"entries 2 5\n" + b"x" * 20_000, "longer than 10000 bytes"),
        (b'"v":1', b'"v":1' + b" " * 70_000, "longer than 65535 bytes"),
    ],
)
def test_a_malformed_range_bundle_is_named_with_its_line(naive, log, old, new, message):
    data = range_bundle(naive, log, 2, 5)
    assert old in data
    with pytest.raises(MalformedError, match=message):
        verify_range_bundle(BytesIO(data.replace(old, new, 1)), log.vkey)


def test_a_range_bundle_is_of_the_log_expected(naive, log, make):
    data = range_bundle(naive, log, 2, 5)
    with pytest.raises(WrongLogError):
        verify_range_bundle(BytesIO(data), make.signer("evil.example.com/main").vkey)
    with pytest.raises(WrongLogError):
        verify_range_bundle(BytesIO(data), log.vkey, "audit.example.com/other")
    with pytest.raises(BadSignatureError):
        verify_range_bundle(BytesIO(data.replace(b"main\n7\n", b"main\n8\n")), log.vkey)
    forged = make.log([make.leaf(index, log="evil.example.com/main") for index in range(7)])
    with pytest.raises(MismatchError, match="entry 2 of evil"):
        verify_range_bundle(BytesIO(range_bundle(naive, forged, 2, 5)), forged.vkey)
