"""The tree's ragged edge, from what is stored: all of a tree that a writer, or a verifier, goes on from."""

from __future__ import annotations

from typing import Protocol

from auditd.errors import DamagedError
from auditd.log._frames import FrameCodec
from auditd.merkle import TILE_WIDTH, Tree, edge_widths, leaf_hash, tile_root


class Stored(Protocol):
    """Where frames and full tiles are stored."""

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end); raise DamagedError naming the first that is missing."""
        ...

    def tile(self, level: int, index: int) -> bytes:
        """Return the 8,192 bytes of a full tile; `b""` if it is not stored."""
        ...


def tree_at(stored: Stored, codec: FrameCodec, size: int) -> Tree:
    """Return the tree of the first `size` entries; nobody says yet that it is the one that was signed for.

    Reads at most 255 leaves and 255 tiles a level. Raises DamagedError where one of them is missing or no frame.
    """
    edge = []
    for level, width in enumerate(edge_widths(size)):
        end = size >> 8 * level
        if level == 0:
            frames = stored.frames(end - width, end)
            leaves = [codec.decompress(frame, end - width + i) for i, frame in enumerate(frames)]
            edge.append(b"".join(map(leaf_hash, leaves)))
        else:
            edge.append(b"".join(_root_of_stored(stored, level - 1, tile) for tile in range(end - width, end)))
    return Tree.from_edge(size, edge)


def _root_of_stored(stored: Stored, level: int, tile: int) -> bytes:
    hashes = stored.tile(level, tile)
    if len(hashes) != TILE_WIDTH * 32:
        raise DamagedError("TILE_MISSING", f"tile {tile} of level {level} is missing; restore a backup")
    return tile_root(hashes)
