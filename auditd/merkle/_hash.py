"""The hashes of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1.1) over SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import Final

from auditd._native import native

HASH_SIZE: Final = 32
"""Bytes of one hash."""

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves."""

_LEAF_PREFIX: Final = b"\x00"
_NODE_PREFIX: Final = b"\x01"
_PAIR: Final = Struct(f"{2 * HASH_SIZE}s")


def leaf_hash(leaf: bytes) -> bytes:
    """Return the 32-byte hash of a leaf's exact bytes."""
    return sha256(_LEAF_PREFIX + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of the node over two 32-byte hashes."""
    return sha256(_NODE_PREFIX + left + right).digest()


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the `leaf_hash` of each leaf."""
    if native is not None:
        return native.leaf_hashes(leaves)
    return [leaf_hash(leaf) for leaf in leaves]


def parent_row(row: bytes | bytearray) -> bytes:
    """Return the concatenated parents of a row of concatenated hashes; their number must be even."""
    if native is not None:
        return native.parent_row(row)
    return b"".join([sha256(_NODE_PREFIX + pair).digest() for (pair,) in _PAIR.iter_unpack(row)])
