"""The definitions of RFC 6962 section 2.1 and the verifiers of RFC 9162, as literal as they can be."""

from collections.abc import Sequence
from hashlib import sha256
from types import SimpleNamespace

import pytest

from auditd.merkle import Nodes, Tree


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(hashes: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashes[:k], hashes[k:]


def root(hashes: Sequence[bytes]) -> bytes:
    """MTH over leaf hashes."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    left, right = _split(hashes)
    return _node(root(left), root(right))


def inclusion(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH."""
    if len(hashes) == 1:
        return []
    left, right = _split(hashes)
    if index < len(left):
        return [*inclusion(index, left), root(right)]
    return [*inclusion(index - len(left), right), root(left)]


def consistency(old_size: int, hashes: Sequence[bytes], known: bool = True) -> list[bytes]:
    """PROOF, which is SUBPROOF with `known` true at first."""
    if old_size == len(hashes):
        return [] if known else [root(hashes)]
    left, right = _split(hashes)
    if old_size <= len(left):
        return [*consistency(old_size, left, known), root(right)]
    return [*consistency(old_size - len(left), right, False), root(left)]


def included(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = _node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == expected_root


def consistent(m: int, n: int, root_m: bytes, root_n: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, for 0 < m < n."""
    path = [root_m, *proof] if m & (m - 1) == 0 else list(proof)
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = _node(c, fr), _node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = _node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == root_m and sr == root_n and sn == 0


class StoredTree:
    """A tree of distinct leaves as a restart finds it: full tiles in `tiles`, in memory only the edge."""

    def __init__(self, size: int) -> None:
        self.hashes = [sha256(b"\x00%d" % index).digest() for index in range(size)]
        grown = Tree()
        self.tiles = {(tile.level, tile.index): tile.hashes for tile in grown.extend(self.hashes)}
        self.tree = Tree.from_edge(size, grown.edge())
        self.reads: list[tuple[int, int]] = []

    def read_tile(self, level: int, index: int) -> bytes:
        self.reads.append((level, index))
        return self.tiles.get((level, index), b"")

    def nodes(self, cache_tiles: int = 512) -> Nodes:
        return Nodes(self.tree, self.read_tile, cache_tiles)


@pytest.fixture(scope="session")
def rfc() -> SimpleNamespace:
    return SimpleNamespace(
        root=root, inclusion=inclusion, consistency=consistency, included=included, consistent=consistent
    )


@pytest.fixture(scope="session")
def stored_tree() -> type[StoredTree]:
    return StoredTree
