"""The growing tree: its ragged edge in memory, its full tiles handed out for keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from auditd.merkle._hash import EMPTY_ROOT, HASH_SIZE, node_hash, parent_row
from auditd.merkle._tile import TILE_BYTES, TILE_HEIGHT, Rows, Tile, edge_widths

SETTLED_TILES: Final = 128
"""Settled tiles that stay in memory, 16 KiB each: the next reads and proofs most likely need the newest."""

_PAIR_SIZE: Final = 2 * HASH_SIZE


class _RaggedTile:
    """The tile of a level that still grows: its rows are appended to, never changed, by the writer alone."""

    __slots__ = ("index", "rows")

    def __init__(self, index: int) -> None:
        self.index = index
        self.rows = tuple(bytearray() for _ in range(TILE_HEIGHT))

    def append(self, hashes: bytes) -> None:
        """Append hashes to the lowest row, and above it each node whose children are now complete."""
        below, *above = self.rows
        below += hashes
        for row in above:
            start = 2 * len(row)
            end = len(below) // _PAIR_SIZE * _PAIR_SIZE
            if start == end:
                break
            row += parent_row(below[start:end])
            below = row


class Tree:
    """An RFC 6962 Merkle tree that grows by amortised one node hash a leaf.

    One writer thread alone may call `extend`, `settle`, `root` and `edge`. Any other thread may meanwhile
    call `rows`, and use of them every node that lies wholly below a size the tree already had. That is safe
    without locks: the hash of a perfect subtree never changes once computed, rows only grow at their end, a
    tile that fills is found as a full one before its successor takes its place, and each of these steps is a
    single operation under the GIL. A reader must copy what it needs (slice it) and never hold a memoryview of
    a row, which would stop the row from growing.
    """

    def __init__(self) -> None:
        self._size = 0
        # Both are changed by the writer alone. Tiles stand in `_full` in the order of their completion.
        self._edge: list[_RaggedTile] = []
        self._full: dict[tuple[int, int], Rows] = {}

    @classmethod
    def from_edge(cls, size: int, edge: Sequence[bytes]) -> Tree:
        """Return the tree of `size` leaves from the hashes beyond its full tiles.

        `edge` holds for each level, level 0 first, its `edge_widths(size)` hashes, concatenated: the last
        leaf hashes at level 0, roots of the last full tiles of the level below (`tile_root`) at the others.
        Raises ValueError if a level is missing, surplus or of another length.
        """
        widths = edge_widths(size)
        if len(edge) != len(widths):
            raise ValueError(f"edge: {len(edge)} levels, a tree of size {size} has {len(widths)}")
        tree = cls()
        tree._size = size
        for level, (width, hashes) in enumerate(zip(widths, edge, strict=True)):
            if len(hashes) != width * HASH_SIZE:
                raise ValueError(f"edge: {len(hashes)} bytes at level {level}, must be {width * HASH_SIZE}")
            tile = _RaggedTile(size >> TILE_HEIGHT * (level + 1))
            tile.append(hashes)
            tree._edge.append(tile)
        return tree

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def edge(self) -> list[bytes]:
        """Return what `from_edge` needs to make this tree again."""
        return [bytes(tile.rows[0]) for tile in self._edge]

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[Tile]:
        """Append leaves by their 32-byte hashes; return the tiles they complete, a lower level's first.

        The tree keeps each returned tile in memory until it settles. Raises ValueError, and appends nothing,
        unless the hashes have 32 bytes each.
        """
        hashes = b"".join(leaf_hashes)
        if len(hashes) != len(leaf_hashes) * HASH_SIZE:
            raise ValueError(f"leaf hashes: {len(hashes)} bytes for {len(leaf_hashes)} hashes of {HASH_SIZE}")
        completed: list[Tile] = []
        self._push(0, hashes, completed)
        self._size += len(leaf_hashes)
        return completed

    def settle(self, size: int) -> None:
        """Learn that every full tile of the tree of `size` leaves is stored where readers find it.

        Such tiles leave the memory, but for the newest few. Unless the writer calls this after each commit,
        the tree keeps every tile it completed.
        """
        surplus = max(len(self._full) - SETTLED_TILES, 0)
        for level, index in list(self._full)[:surplus]:
            if (index + 1) << TILE_HEIGHT * (level + 1) > size:
                break
            del self._full[level, index]

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        root = b""
        for level, tile in enumerate(self._edge):
            for row, nodes in enumerate(tile.rows):
                # A set bit of the size is a node that is no one's left child yet, the last of its row.
                if self._size >> (TILE_HEIGHT * level + row) & 1:
                    left = bytes(nodes[-HASH_SIZE:])
                    root = node_hash(left, root) if root else left
        return root or EMPTY_ROOT

    def rows(self, level: int, index: int) -> Rows | None:
        """Return the rows of a tile held in memory, ragged or full; None if it is not there (any more)."""
        # The edge is asked first: a tile that leaves it meanwhile is among the full ones already.
        if 0 <= level < len(self._edge):
            tile = self._edge[level]
            if tile.index == index:
                return tile.rows
        return self._full.get((level, index))

    def _push(self, level: int, hashes: bytes, completed: list[Tile]) -> None:
        if level == len(self._edge):
            self._edge.append(_RaggedTile(0))
        while hashes:
            tile = self._edge[level]
            room = TILE_BYTES - len(tile.rows[0])
            tile.append(hashes[:room])
            hashes = hashes[room:]
            if len(tile.rows[0]) == TILE_BYTES:
                rows = tuple(bytes(row) for row in tile.rows)
                self._full[level, tile.index] = rows
                self._edge[level] = _RaggedTile(tile.index + 1)
                completed.append(Tile(level, tile.index, rows[0]))
                self._push(level + 1, parent_row(rows[-1]), completed)
