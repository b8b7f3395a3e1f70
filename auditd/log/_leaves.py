"""Leaves as they are stored, many at once, each found to be the tree's (promise 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from auditd._native import native
from auditd.errors import DamagedError
from auditd.filter import Sieve
from auditd.log._frames import FrameCodec
from auditd.merkle import HASH_SIZE, leaf_hash, leaf_hashes

Sifted: TypeAlias = tuple[int, bytes, bool]
"""An entry's index, its leaf, and whether the filter certainly selects it."""


def read_leaves(codec: FrameCodec, frames: Sequence[bytes], first: int, hashes: bytes) -> list[bytes]:
    """Return the leaves in `frames`, the first at index `first`, whose hashes in the tree are `hashes`, concatenated.

    Raises DamagedError naming the first that is not one sound frame, or not the tree's leaf.
    """
    if native is not None and codec.native is not None:
        leaves = native.read_leaves(frames, codec.native, hashes)
        if leaves is not None:
            return leaves
    leaves = [codec.decompress(frame, index) for index, frame in enumerate(frames, first)]
    if b"".join(leaf_hashes(leaves)) != hashes:
        for position, leaf in enumerate(leaves):
            require_leaf(leaf, first + position, hashes[position * HASH_SIZE : (position + 1) * HASH_SIZE])
    return leaves


def sift_leaves(codec: FrameCodec, frames: Sequence[bytes], first: int, hashes: bytes, sieve: Sieve) -> list[Sifted]:
    """Return what a sieve lets through of the leaves in `frames`; everything else as in `read_leaves`."""
    if native is not None and codec.native is not None and sieve.native is not None:
        sifted = native.sift_leaves(frames, codec.native, hashes, sieve.native, first)
        if sifted is not None:
            return sifted
    leaves = enumerate(read_leaves(codec, frames, first, hashes), first)
    judged = ((index, leaf, sieve.judge(leaf)) for index, leaf in leaves)
    return [(index, leaf, selected is True) for index, leaf, selected in judged if selected is not False]


def require_leaf(leaf: bytes, index: int, expected: bytes) -> None:
    """Raise DamagedError unless the leaf's hash is the one the tree has for `index` (promise 4)."""
    actual = leaf_hash(leaf)
    if actual != expected:
        raise DamagedError(
            "LEAF_DAMAGED",
            f"entry {index}: the leaf is not the one in the tree: hash {actual.hex()}, expected {expected.hex()}",
            {"index": str(index), "expected": expected.hex(), "actual": actual.hex()},
        )
