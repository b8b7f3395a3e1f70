"""Verified access to the nodes of a tree whose full tiles are stored elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from auditd.errors import DamagedError
from auditd.merkle._hash import HASH_SIZE, node_hash
from auditd.merkle._tile import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, Rows, expand
from auditd.merkle._tree import Tree

_FOLDS = 4_096
"""Folded hashes that stay in memory: a proof needs a few of each size that proofs are made for."""


class Nodes:
    """The nodes of one tree, for any number of threads while one writer extends it.

    A node comes from the tree's memory, or from a stored tile. Such a tile counts only once its root was
    found equal to the hash in the tile above, that one's root to the hash in the tile above it, and so on up
    to a tile the tree itself computed (promise 4). It is then kept expanded, 16 KiB each; beyond
    `cache_tiles` the least recently used ones go.

    `read_tile(level, index)` returns the stored bytes of a full tile. It MUST return `b""` for one that is
    not stored, and MUST be callable from every thread that uses these nodes; what it raises passes through.
    """

    def __init__(self, tree: Tree, read_tile: Callable[[int, int], bytes], cache_tiles: int = 1536) -> None:
        self._tree = tree
        self._read_tile = read_tile
        self._cache_tiles = cache_tiles
        self._cache: OrderedDict[tuple[int, int], Rows] = OrderedDict()
        # What leaves [start, end) fold to never changes, so any thread may set an item, and all may go at any time.
        self._folds: dict[tuple[int, int], bytes] = {}
        # Guards the cache alone; tiles are read and expanded outside it, at worst by two threads at once.
        self._lock = Lock()

    @property
    def size(self) -> int:
        """The number of leaves of the tree, those not yet committed included."""
        return self._tree.size

    def node(self, height: int, index: int) -> bytes:
        """Return the 32-byte hash over leaves `[index << height, (index + 1) << height)`.

        Raises ValueError if the tree has no such perfect subtree, DamagedError `TILE_DAMAGED` if a stored
        tile on the way to it contradicts the tree.
        """
        level, row = divmod(height, TILE_HEIGHT)
        tile, position = divmod(index, TILE_WIDTH >> row)
        at = position * HASH_SIZE
        found = self.rows(level, tile)[row][at : at + HASH_SIZE]
        if len(found) != HASH_SIZE:
            raise self._beyond(height, index)
        return bytes(found)

    def rows(self, level: int, index: int) -> Rows:
        """Return the eight rows of a tile, verified; those of a ragged tile may grow while they are read.

        Raises as `node` does.
        """
        rows = self._tree.rows(level, index)
        if rows is not None:
            return rows
        key = level, index
        with self._lock:
            rows = self._cache.get(key)
            if rows is not None:
                self._cache.move_to_end(key)
                return rows
        rows = self._load(level, index)
        with self._lock:
            self._cache[key] = rows
            if len(self._cache) > self._cache_tiles:
                self._cache.popitem(last=False)
        return rows

    def fold(self, start: int, end: int) -> bytes:
        """Return the root over leaves `[start, end)`; `start` is a multiple of a power of two >= end - start.

        Raises as `node` does.
        """
        root = self._folds.get((start, end), b"")
        if root:
            return root
        left_end = end
        while start < left_end:
            # The width's lowest set bit, not that of the end: the subtree must not reach before `start`.
            height = ((left_end - start) & -(left_end - start)).bit_length() - 1
            left = self.node(height, (left_end >> height) - 1)
            root = node_hash(left, root) if root else left
            left_end -= 1 << height
        if len(self._folds) >= _FOLDS:
            self._folds.clear()
        self._folds[start, end] = root
        return root

    def leaf_hash_at(self, index: int) -> bytes:
        """Return the leaf hash at `index`; raises as `node` does."""
        return self.node(0, index)

    def level0_hashes(self, tile_index: int) -> bytes:
        """Return the leaf hashes of a level 0 tile, concatenated: 8192 bytes, or fewer for the ragged one.

        Raises as `node` does.
        """
        return bytes(self.rows(0, tile_index)[0])

    def leaf_hashes(self, start: int, end: int) -> list[bytes]:
        """Return the leaf hashes of `[start, end)`; raises as `leaf_hash_row` does."""
        row = self.leaf_hash_row(start, end)
        return [row[at : at + HASH_SIZE] for at in range(0, len(row), HASH_SIZE)]

    def leaf_hash_row(self, start: int, end: int) -> bytes:
        """Return the leaf hashes of `[start, end)`, concatenated.

        Raises ValueError unless 0 <= start <= end <= size, and DamagedError as `node` does.
        """
        if not 0 <= start <= end <= self.size:
            raise ValueError(f"leaves [{start}, {end}): not within a tree of size {self.size}")
        rows: list[bytes] = []
        for tile in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first, last = max(start - tile * TILE_WIDTH, 0), min(end - tile * TILE_WIDTH, TILE_WIDTH)
            rows.append(self.level0_hashes(tile)[first * HASH_SIZE : last * HASH_SIZE])
        return rows[0] if len(rows) == 1 else b"".join(rows)

    def _load(self, level: int, index: int) -> Rows:
        height = TILE_HEIGHT * (level + 1)
        if level < 0 or index < 0 or (index + 1) << height > self.size:
            raise self._beyond(height, index)
        # The tile above is verified first, so a damaged tile is never blamed on the sound one below it.
        expected = self.node(height, index)
        hashes = self._read_tile(level, index)
        if len(hashes) != TILE_BYTES:
            raise self._damaged(level, index, expected, f"{len(hashes)} bytes instead of {TILE_BYTES}")
        rows, root = expand(hashes)
        if root != expected:
            raise self._damaged(level, index, expected, root.hex())
        return rows

    def _damaged(self, level: int, index: int, expected: bytes, actual: str) -> DamagedError:
        return DamagedError(
            "TILE_DAMAGED",
            f"tile {index} of level {level} is not the tree's: root {actual}, expected {expected.hex()}",
            {
                "level": str(level),
                "tile": str(index),
                "expected": expected.hex(),
                "actual": actual,
                "tree_size": str(self.size),
            },
        )

    def _beyond(self, height: int, index: int) -> ValueError:
        return ValueError(f"node {index} of height {height}: not within a tree of size {self.size}")
