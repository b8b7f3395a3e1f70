"""Two trees at once: one from the leaves, one from the stored tiles, so that it can be told which of them is wrong."""

from __future__ import annotations

from auditd.log.check._findings import Findings
from auditd.log.check._reading import EvidenceReader
from auditd.merkle import HASH_SIZE, TILE_WIDTH, Tile, Tree, split_hashes

_MAX_DIFFERING = 10_000
_TILE_BYTES = TILE_WIDTH * HASH_SIZE


class Trees:
    """Grows both trees tile by tile.

    Where leaf and tile differ, the signed roots decide: if the tree of the tiles has them, the leaf is damaged;
    if that of the leaves has them, the tile is.
    """

    def __init__(self, reader: EvidenceReader, findings: Findings) -> None:
        self._reader = reader
        self._findings = findings
        self._leaf_tree = Tree()
        # The same tree, until the first difference.
        self._tile_tree = self._leaf_tree
        self._waiting = bytearray()
        self._differing: list[int] = []
        self._leaves_are_wrong = False
        self.roots: dict[int, bytes] = {0: self._leaf_tree.root()}
        self._tile_roots: dict[int, bytes] = {0: self._tile_tree.root()}

    @property
    def size(self) -> int:
        """How many leaves were added."""
        return self._leaf_tree.size + len(self._waiting) // HASH_SIZE

    def extend(self, hashes: bytes) -> None:
        """Add the next leaves by their hashes, concatenated; `UNREADABLE` for one that cannot be read."""
        at = 0
        while at < len(hashes):
            room = _TILE_BYTES - self.size % TILE_WIDTH * HASH_SIZE
            self._waiting += hashes[at : at + room]
            at += room
            if self.size % TILE_WIDTH == 0:
                self._flush()

    def mark(self) -> None:
        """Keep the roots at the present size."""
        self._flush()
        size = self._leaf_tree.size
        self.roots[size], self._tile_roots[size] = self._leaf_tree.root(), self._tile_tree.root()

    def compare(self, size: int, root: bytes) -> tuple[bool, bool]:
        """Tell whether the tree of the leaves, and whether that of the tiles, has this root at a marked size."""
        return self.roots.get(size) == root, self._tile_roots.get(size) == root

    def root_that_counts(self, size: int) -> bytes:
        """Return the root at a marked size: that of the tiles where leaves that were named as changed explain it."""
        return self._tile_roots[size] if self._leaves_are_wrong else self.roots[size]

    def report(self, findings: Findings, *, tiles_are_wrong: bool) -> None:
        """Report where leaves and tiles differ, as a fault of the one or of the other."""
        self._leaves_are_wrong = not tiles_are_wrong
        if not tiles_are_wrong:
            for index in self._differing:
                findings.add("LEAF_CHANGED", f"entry {index}", "its leaf is not the one in the tree")
            return
        for tile in sorted({index // TILE_WIDTH for index in self._differing}):
            findings.add("TILE_CHANGED", f"tile {tile} of level 0", "is not the one that the leaves make")

    def _flush(self) -> None:
        """Add what waits, all of one tile, to both trees."""
        found, base = bytes(self._waiting), self._leaf_tree.size
        if not found:
            return
        first = base % TILE_WIDTH * HASH_SIZE
        tile = self._reader.tile(0, base // TILE_WIDTH)
        # Of a tile that is not full, or missing, the leaves alone speak.
        stored = tile[first : first + len(found)] if tile is not None and len(tile) == _TILE_BYTES else found
        if stored != found:
            self._note_differing(base, found, stored)
            if self._tile_tree is self._leaf_tree:
                self._tile_tree = Tree.from_edge(base, self._leaf_tree.edge())
        completed = self._tile_tree.extend(split_hashes(stored))
        if self._tile_tree is not self._leaf_tree:
            self._leaf_tree.extend(split_hashes(found))
            self._leaf_tree.settle(self._leaf_tree.size)
        self._tile_tree.settle(self._tile_tree.size)
        # Before anything is read that may be refused: what waited is in the trees.
        self._waiting.clear()
        for each in completed:
            self._check_tile(each)

    def _note_differing(self, base: int, found: bytes, stored: bytes) -> None:
        for number, (left, right) in enumerate(zip(split_hashes(found), split_hashes(stored), strict=True), base):
            if left != right and len(self._differing) < _MAX_DIFFERING:
                self._differing.append(number)

    def _check_tile(self, tile: Tile) -> None:
        """Compare a tile as rebuilt from the tiles below with the stored one."""
        stored = self._reader.tile(tile.level, tile.index)
        where = f"tile {tile.index} of level {tile.level}"
        if stored is None:
            self._findings.add("TILE_MISSING", where, "is not stored")
        elif stored != tile.hashes:
            self._findings.add("TILE_CHANGED", where, "is not the one rebuilt from the tiles below")
