"""Two trees at once: one from the leaves, one from the stored tiles, so that it can be told which of them is wrong."""

from __future__ import annotations

from auditd.log.check._findings import Findings
from auditd.log.check._reading import EvidenceReader
from auditd.merkle import HASH_SIZE, TILE_WIDTH, Tile, Tree

_MAX_DIFFERING = 10_000
_UNREADABLE = bytes(HASH_SIZE)


class Trees:
    """Grows both trees tile by tile.

    Where leaf and tile differ, the signed roots decide: if the tree of the tiles has them, the leaf is damaged;
    if that of the leaves has them, the tile is.
    """

    def __init__(self, reader: EvidenceReader, findings: Findings) -> None:
        self._reader = reader
        self._findings = findings
        self._leaf_tree = Tree()
        self._tile_tree = Tree()
        self._waiting: list[bytes] = []
        self._base = 0
        self._differing: list[int] = []
        self._leaves_are_wrong = False
        self.roots: dict[int, bytes] = {0: self._leaf_tree.root()}
        self._tile_roots: dict[int, bytes] = {0: self._tile_tree.root()}

    def add(self, index: int, digest: bytes) -> None:
        """Add the next leaf by its hash; `b""` for one that cannot be read."""
        if index == self._base + len(self._waiting):
            self._waiting.append(digest)
        if len(self._waiting) == TILE_WIDTH - self._base % TILE_WIDTH:
            self._flush()

    def mark(self, size: int) -> None:
        """Keep the roots at `size`, which is the number of leaves added."""
        if size != self._base + len(self._waiting):
            return
        self._flush()
        self.roots[size], self._tile_roots[size] = self._leaf_tree.root(), self._tile_tree.root()

    def finish(self) -> None:
        """Take in what is left."""
        self._flush()
        size = self._leaf_tree.size
        self.roots[size], self._tile_roots[size] = self._leaf_tree.root(), self._tile_tree.root()

    def compare(self, size: int, root: bytes) -> tuple[bool, bool]:
        """Tell whether the tree of the leaves, and whether that of the tiles, has this root at a marked size."""
        return self.roots.get(size) == root, self._tile_roots.get(size) == root

    def root_that_counts(self, size: int) -> bytes:
        """Return the root at a marked size: that of the tiles where leaves that were named as changed explain it."""
        return self._tile_roots[size] if self._leaves_are_wrong else self.roots[size]

    def report(self, *, tiles_are_wrong: bool) -> None:
        """Report where leaves and tiles differ, as a fault of the one or of the other."""
        self._leaves_are_wrong = not tiles_are_wrong
        if not tiles_are_wrong:
            for index in self._differing:
                self._findings.add("LEAF_CHANGED", f"entry {index}", "its leaf is not the one in the tree")
            return
        for tile in sorted({index // TILE_WIDTH for index in self._differing}):
            self._findings.add("TILE_CHANGED", f"tile {tile} of level 0", "is not the one that the leaves make")

    def _flush(self) -> None:
        if not self._waiting:
            return
        digests, stored = self._waiting, self._stored()
        expected = [tile_hash or digest or _UNREADABLE for digest, tile_hash in zip(digests, stored, strict=True)]
        for position, (digest, tile_hash) in enumerate(zip(digests, stored, strict=True)):
            if tile_hash and digest != tile_hash and len(self._differing) < _MAX_DIFFERING:
                self._differing.append(self._base + position)
        self._leaf_tree.extend([digest or _UNREADABLE for digest in digests])
        for tile in self._tile_tree.extend(expected):
            self._check_tile(tile)
        for tree in (self._leaf_tree, self._tile_tree):
            tree.settle(tree.size)
        self._base += len(digests)
        self._waiting = []

    def _stored(self) -> list[bytes]:
        """Return what the stored level 0 tile has for the waiting leaves; `b""` where it is not full or missing."""
        hashes = self._reader.tile(0, self._base // TILE_WIDTH)
        first = self._base % TILE_WIDTH
        if hashes is None or len(hashes) != TILE_WIDTH * HASH_SIZE:
            return [b""] * len(self._waiting)
        return [hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE] for at in range(first, first + len(self._waiting))]

    def _check_tile(self, tile: Tile) -> None:
        """Compare a tile as rebuilt from the tiles below with the stored one."""
        stored = self._reader.tile(tile.level, tile.index)
        where = f"tile {tile.index} of level {tile.level}"
        if stored is None:
            self._findings.add("TILE_MISSING", where, "is not stored")
        elif stored != tile.hashes:
            self._findings.add("TILE_CHANGED", where, "is not the one rebuilt from the tiles below")
