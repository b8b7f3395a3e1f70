"""Hashes and proofs of the Merkle tree of RFC 6962 and RFC 9162, SHA-256; verifying only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from auditd_client.verify._errors import ProofError
from auditd_client.verify._strict import check_hash, check_integer

EMPTY_ROOT = hashlib.sha256().digest()
"""Root of the tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's exact bytes: SHA-256 of a zero byte and the leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its children's hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf stands at `index`, from 0, of the tree of `size` leaves with `root`.

    `proof` holds sibling hashes from leaf to root; every hash is 32 bytes. RFC 9162 section 2.1.3.2.
    The root does not commit to the size: take both from one signed checkpoint.

    Raises ProofError if it does not verify, MalformedError for a hash or number out of shape.
    """
    check_integer(index, "inclusion proof: index")
    check_integer(size, "inclusion proof: size")
    _check_hashes("inclusion proof", proof, leaf_hash, root)
    claim = f"inclusion proof of entry {index} in the tree of size {size}"
    if index >= size:
        raise ProofError(f"{claim}: the index is not below the size")
    fn, sn = index, size - 1
    actual = leaf_hash
    for sibling in proof:
        if sn == 0:
            raise ProofError(f"{claim}: {len(proof)} hashes are too many")
        if fn & 1 or fn == sn:
            actual = node_hash(sibling, actual)
            fn, sn = _skip_right_edge(fn, sn)
        else:
            actual = node_hash(actual, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError(f"{claim}: {len(proof)} hashes are too few")
    if actual != root:
        raise ProofError(claim, expected_root=root, actual_root=actual)


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Verify that the tree of `new_size` leaves extends the tree of `old_size` leaves.

    Every hash is 32 bytes. RFC 9162 section 2.1.4.2. An `old_size` of 0 is refused, for the RFC
    defines no proof from an empty tree; `verify_extends` handles it.

    Raises ProofError if it does not verify, MalformedError for a hash or number out of shape.
    """
    check_integer(old_size, "consistency proof: old size")
    check_integer(new_size, "consistency proof: new size")
    claim = f"consistency proof from size {old_size} to size {new_size}"
    if old_size > new_size:
        raise ProofError(f"{claim}: a log never shrinks")
    if old_size == 0:
        raise ProofError(f"{claim}: nothing can be proven from an empty tree")
    if old_size == new_size:
        if proof:
            raise ProofError(f"{claim}: {len(proof)} hashes, none expected")
        if old_root != new_root:
            raise ProofError(f"{claim}: two roots of one size", old_root, new_root)
        return
    if not proof:
        raise ProofError(f"{claim}: no hashes")
    _check_hashes("consistency proof", proof, old_root, new_root)
    # The root of a full old tree is a node of the new one, so the proof leaves it out.
    hashes = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    actual_old, actual_new = _climb(old_size, new_size, hashes, claim)
    if actual_old != old_root:
        raise ProofError(f"{claim}: old tree", expected_root=old_root, actual_root=actual_old)
    if actual_new != new_root:
        raise ProofError(f"{claim}: new tree", expected_root=new_root, actual_root=actual_new)


def _climb(old_size: int, new_size: int, hashes: list[bytes], claim: str) -> tuple[bytes, bytes]:
    """Return the roots of both trees that `hashes` lead to: steps 4 to 6 of the RFC's algorithm."""
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            raise ProofError(f"{claim}: too many hashes")
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            fn, sn = _skip_right_edge(fn, sn)
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError(f"{claim}: too few hashes")
    return old, new


def _skip_right_edge(fn: int, sn: int) -> tuple[int, int]:
    """Return the position one below the next sibling: a lone right edge has none at its own levels."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _check_hashes(what: str, proof: Sequence[bytes], *hashes: bytes) -> None:
    for value in hashes:
        check_hash(value, what)
    for position, value in enumerate(proof):
        check_hash(value, f"{what}: hash {position}")
