"""Inclusion and consistency proofs: RFC 6962 section 2.1, RFC 9162 sections 2.1.3.2 and 2.1.4.2."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd_client.verify import (
    EMPTY_ROOT,
    MalformedError,
    ProofError,
    VerificationError,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from auditd_client.verify._merkle import node_hash

CLASSIC_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CLASSIC_ROOTS = [
    bytes.fromhex(root)
    for root in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
BIG = 2**63

sizes = st.integers(1, 40)
bit_flips = st.tuples(st.integers(0, 31), st.integers(0, 7))


def some_leaves(size):
    return [b"leaf %d" % i for i in range(size)]


def flipped(value, place):
    position, bit = place
    changed = bytearray(value)
    changed[position] ^= 1 << bit
    return bytes(changed)


def accepts(verify, *arguments):
    try:
        verify(*arguments)
    except VerificationError:
        return False
    return True


def test_hashes_are_those_of_the_published_vectors():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


def test_every_proof_of_the_classic_trees_verifies(naive):
    for size in range(1, 9):
        leaves = CLASSIC_LEAVES[:size]
        for index, leaf in enumerate(leaves):
            proof = naive.path(index, leaves)
            verify_inclusion(index, size, leaf_hash(leaf), proof, CLASSIC_ROOTS[size - 1])
            roots = CLASSIC_ROOTS[index], CLASSIC_ROOTS[size - 1]
            verify_consistency(index + 1, size, *roots, naive.subproof(index + 1, leaves))


@settings(deadline=None)
@given(size=sizes, data=st.data())
def test_inclusion_holds_and_fails_once_any_bit_is_changed(naive, size, data):
    leaves = some_leaves(size)
    index = data.draw(st.integers(0, size - 1))
    leaf, root, proof = leaf_hash(leaves[index]), naive.root(leaves), naive.path(index, leaves)
    verify_inclusion(index, size, leaf, proof, root)

    place = data.draw(bit_flips)
    assert not accepts(verify_inclusion, index, size, flipped(leaf, place), proof, root)
    assert not accepts(verify_inclusion, index, size, leaf, proof, flipped(root, place))
    for position, value in enumerate(proof):
        changed = [*proof[:position], flipped(value, place), *proof[position + 1 :]]
        assert not accepts(verify_inclusion, index, size, leaf, changed, root)
        shorter = [*proof[:position], *proof[position + 1 :]]
        assert not accepts(verify_inclusion, index, size, leaf, shorter, root)
    assert not accepts(verify_inclusion, index, size, leaf, [*proof, root], root)
    for other in range(size):
        assert accepts(verify_inclusion, other, size, leaf, proof, root) == (other == index)


@settings(deadline=None)
@given(size=sizes, data=st.data())
def test_consistency_holds_and_fails_once_any_bit_is_changed(naive, size, data):
    leaves = some_leaves(size)
    old_size = data.draw(st.integers(1, size))
    old, new = naive.root(leaves[:old_size]), naive.root(leaves)
    proof = naive.subproof(old_size, leaves)
    verify_consistency(old_size, size, old, new, proof)

    place = data.draw(bit_flips)
    assert not accepts(verify_consistency, old_size, size, flipped(old, place), new, proof)
    assert not accepts(verify_consistency, old_size, size, old, flipped(new, place), proof)
    for position, value in enumerate(proof):
        changed = [*proof[:position], flipped(value, place), *proof[position + 1 :]]
        assert not accepts(verify_consistency, old_size, size, old, new, changed)
        shorter = [*proof[:position], *proof[position + 1 :]]
        assert not accepts(verify_consistency, old_size, size, old, new, shorter)
    assert not accepts(verify_consistency, old_size, size, old, new, [*proof, new])


def rebuild_inclusion(naive, index, size, leaf, proof):
    """The root that a proof leads to, by recursion over PATH; IndexError if it is too short."""
    if size == 1:
        return leaf
    k, sibling = naive.split(size), proof.pop()
    if index < k:
        return naive.sha256(b"\x01" + rebuild_inclusion(naive, index, k, leaf, proof) + sibling)
    return naive.sha256(b"\x01" + sibling + rebuild_inclusion(naive, index - k, size - k, leaf, proof))


def rebuild_consistency(naive, old_size, size, known, proof):
    """Both roots that a proof leads to, by recursion over SUBPROOF; IndexError if it is too short."""
    if old_size == size:
        return (known, known) if known else (subtree := proof.pop(), subtree)
    k, sibling = naive.split(size), proof.pop()
    if old_size <= k:
        old, new = rebuild_consistency(naive, old_size, k, known, proof)
        return old, naive.sha256(b"\x01" + new + sibling)
    old, new = rebuild_consistency(naive, old_size - k, size - k, None, proof)
    return naive.sha256(b"\x01" + sibling + old), naive.sha256(b"\x01" + sibling + new)


@settings(deadline=None)
@given(size=sizes, claimed_size=sizes, data=st.data())
def test_inclusion_is_accepted_for_another_index_and_size_only_where_the_definition_accepts(
    naive, size, claimed_size, data
):
    leaves = some_leaves(size)
    index, claimed = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, claimed_size - 1))
    leaf, root, proof = leaf_hash(leaves[index]), naive.root(leaves), naive.path(index, leaves)
    rest = list(proof)
    try:
        expected = rebuild_inclusion(naive, claimed, claimed_size, leaf, rest) == root and not rest
    except IndexError:
        expected = False
    assert accepts(verify_inclusion, claimed, claimed_size, leaf, proof, root) == expected


@settings(deadline=None)
@given(size=sizes, claimed_size=sizes, data=st.data())
def test_consistency_is_accepted_for_other_sizes_only_where_the_definition_accepts(naive, size, claimed_size, data):
    leaves = some_leaves(size)
    old_size = data.draw(st.integers(1, size))
    claimed = data.draw(st.integers(1, claimed_size))
    old, new = naive.root(leaves[:old_size]), naive.root(leaves)
    proof = naive.subproof(old_size, leaves)
    rest = list(proof)
    try:
        roots = rebuild_consistency(naive, claimed, claimed_size, old, rest)
        expected = roots == (old, new) and not rest
    except IndexError:
        expected = False
    assert accepts(verify_consistency, claimed, claimed_size, old, new, proof) == expected


ROOT, LEAF, OTHER = b"r" * 32, b"l" * 32, b"o" * 32


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        pytest.param(ProofError, (1, 1, LEAF, [], LEAF), "index is not below the size", id="index beyond the tree"),
        pytest.param(ProofError, (0, 0, LEAF, [], EMPTY_ROOT), "index is not below the size", id="empty tree"),
        pytest.param(ProofError, (0, 1, LEAF, [OTHER], LEAF), "1 hashes are too many", id="too many hashes"),
        pytest.param(ProofError, (0, 2, LEAF, [], LEAF), "0 hashes are too few", id="too few hashes"),
        pytest.param(
            ProofError,
            (0, 1, LEAF, [], ROOT),
            f"expected root {ROOT.hex()}, found {LEAF.hex()}",
            id="another root",
        ),
        pytest.param(MalformedError, (-1, 1, LEAF, [], LEAF), "index: not an integer", id="negative index"),
        pytest.param(MalformedError, (True, 2, LEAF, [], LEAF), "index: not an integer", id="boolean index"),
        pytest.param(MalformedError, (0, BIG, LEAF, [], LEAF), "size: not an integer", id="size of 2^63"),
        pytest.param(MalformedError, (0, 1, b"l", [], LEAF), "a hash is 32 bytes, found 1 bytes", id="short leaf hash"),
        pytest.param(MalformedError, (0, 1, LEAF, [], "r" * 32), "found str", id="root as text"),
        pytest.param(MalformedError, (0, 2, LEAF, [b""], LEAF), "hash 0: a hash is 32 bytes", id="empty hash"),
    ],
)
def test_refuses_inclusion_proof_with(error, arguments, message):
    with pytest.raises(error, match=re.escape(message)):
        verify_inclusion(*arguments)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        pytest.param(ProofError, (2, 1, ROOT, LEAF, [OTHER]), "a log never shrinks", id="smaller new tree"),
        pytest.param(ProofError, (0, 1, EMPTY_ROOT, ROOT, []), "from an empty tree", id="empty old tree"),
        pytest.param(ProofError, (0, 0, EMPTY_ROOT, EMPTY_ROOT, []), "from an empty tree", id="two empty trees"),
        pytest.param(ProofError, (2, 2, ROOT, ROOT, [OTHER]), "1 hashes, none expected", id="proof for one tree"),
        pytest.param(
            ProofError,
            (2, 2, ROOT, LEAF, []),
            f"two roots of one size: expected root {ROOT.hex()}, found {LEAF.hex()}",
            id="two roots of one size",
        ),
        pytest.param(ProofError, (1, 2, ROOT, LEAF, []), "no hashes", id="no hashes"),
        pytest.param(ProofError, (1, 2, ROOT, LEAF, [OTHER, OTHER]), "too many hashes", id="too many hashes"),
        pytest.param(ProofError, (1, 3, ROOT, LEAF, [OTHER]), "too few hashes", id="too few hashes"),
        pytest.param(MalformedError, (-1, 2, ROOT, LEAF, []), "old size: not an integer", id="negative size"),
        pytest.param(MalformedError, (1, BIG, ROOT, LEAF, []), "new size: not an integer", id="size of 2^63"),
        pytest.param(MalformedError, (1, 2, b"r", LEAF, [OTHER]), "found 1 bytes", id="short root"),
        pytest.param(MalformedError, (1, 2, ROOT, LEAF, [b"o" * 33]), "hash 0: a hash is 32", id="long hash"),
    ],
)
def test_refuses_consistency_proof_with(error, arguments, message):
    with pytest.raises(error, match=re.escape(message)):
        verify_consistency(*arguments)


def test_a_failed_consistency_proof_says_which_tree_it_contradicts(naive):
    leaves = some_leaves(6)
    old, new, proof = naive.root(leaves[:3]), naive.root(leaves), naive.subproof(3, leaves)
    with pytest.raises(ProofError, match="from size 3 to size 6: old tree: expected root") as caught:
        verify_consistency(3, 6, OTHER, new, proof)
    assert (caught.value.expected_root, caught.value.actual_root) == (OTHER, old)
    with pytest.raises(ProofError, match="from size 3 to size 6: new tree: expected root") as caught:
        verify_consistency(3, 6, old, OTHER, proof)
    assert (caught.value.expected_root, caught.value.actual_root) == (OTHER, new)
