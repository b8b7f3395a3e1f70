"""Tiles: 256 consecutive hashes of one level, as in C2SP tlog-tiles.

Hash i of tile n at level l covers the leaves `[(256n + i) * 256**l, (256n + i + 1) * 256**l)`. These hashes
are the lowest of a tile's eight rows; row r above them has 256 >> r nodes, each over 2**(8l + r) leaves. What
would be row 8, the tile's root, is a hash of the tile one level above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auditd.merkle._hash import HASH_SIZE, parent_row

TILE_HEIGHT: Final = 8
"""Rows of a tile."""

TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""Hashes of a full tile."""

TILE_BYTES: Final = TILE_WIDTH * HASH_SIZE
"""Bytes of a full tile."""

Rows = Sequence[bytes | bytearray]
"""The eight rows of a tile, lowest first; each is its nodes' hashes, concatenated."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: `hashes` is 8192 bytes, the 256 hashes of tile `index` at `level`."""

    level: int
    index: int
    hashes: bytes


def edge_widths(size: int) -> list[int]:
    """Return how many hashes each level has beyond its full tiles in a tree of `size` leaves, level 0 first.

    The list ends with the topmost level that has any hash at all, so it is empty for size 0. Raises
    ValueError for a negative size.
    """
    if size < 0:
        raise ValueError(f"size: {size} is negative")
    widths = []
    while size:
        size, width = divmod(size, TILE_WIDTH)
        widths.append(width)
    return widths


def expand(hashes: bytes) -> tuple[Rows, bytes]:
    """Return the eight rows of a full tile, and its root. Raises ValueError unless `hashes` is 8192 bytes."""
    if len(hashes) != TILE_BYTES:
        raise ValueError(f"tile: {len(hashes)} bytes, must be {TILE_BYTES}")
    rows = [hashes]
    while len(rows) < TILE_HEIGHT:
        rows.append(parent_row(rows[-1]))
    return tuple(rows), parent_row(rows[-1])


def tile_root(hashes: bytes) -> bytes:
    """Return the root of a full tile, which is a hash of the tile one level above.

    Raises ValueError unless `hashes` is 8192 bytes.
    """
    return expand(hashes)[1]
