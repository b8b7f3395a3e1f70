"""Building the proofs of RFC 9162 section 2.1, for any size up to the tree's.

Every proof is a path: the siblings met on the way from a perfect subtree to the root. A sibling at the right
edge is in general not perfect; it is folded from the perfect subtrees it consists of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from auditd.merkle._hash import EMPTY_ROOT, HASH_SIZE
from auditd.merkle._tile import TILE_HEIGHT, TILE_WIDTH, Rows

_BLOCK_HEIGHT: Final = 4
"""Half a tile: small enough to open for one proof, wide enough for neighbours to share what is above."""

_BLOCK_WIDTH: Final = 1 << _BLOCK_HEIGHT


class NodeSource(Protocol):
    """What proofs are built from: verified nodes of one tree."""

    @property
    def size(self) -> int:
        """The number of leaves that nodes are known for."""
        ...

    def node(self, height: int, index: int) -> bytes:
        """Return the 32-byte hash over leaves `[index << height, (index + 1) << height)`."""
        ...

    def rows(self, level: int, index: int) -> Rows:
        """Return the eight rows of a tile, lowest first, at least as long as `size` makes them."""
        ...

    def fold(self, start: int, end: int) -> bytes:
        """Return the root over leaves `[start, end)`; `start` is a multiple of a power of two >= end - start."""
        ...


def root_at(size: int, nodes: NodeSource) -> bytes:
    """Return the root of the tree of the first `size` leaves. Raises ValueError if there are fewer."""
    require_size(size, nodes)
    return nodes.fold(0, size) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, nodes: NodeSource) -> list[bytes]:
    """Return the proof, leaf side first, that leaf `index` is in the tree of `size` leaves.

    Source: RFC 9162 section 2.1.3.1. Raises ValueError unless 0 <= index < size <= nodes.size.
    """
    require_size(size, nodes)
    _require_index(index, size)
    return _climb(0, index, size, nodes)


def inclusion_paths(indexes: Iterable[int], size: int, nodes: NodeSource) -> list[bytes]:
    """Return the `inclusion_proof` of each index, its hashes concatenated; what indexes share is computed once.

    Raises ValueError as `inclusion_proof` does.
    """
    require_size(size, nodes)
    paths = _Paths(size, nodes)
    found = []
    for index in indexes:
        _require_index(index, size)
        found.append(paths.build(0, index))
    return found


def consistency_proof(old_size: int, new_size: int, nodes: NodeSource) -> list[bytes]:
    """Return the proof that the tree of `new_size` leaves extends the one of `old_size`.

    Source: RFC 9162 section 2.1.4.1. It is empty for equal sizes, and for the empty tree, which any extends.
    Raises ValueError unless 0 <= old_size <= new_size <= nodes.size.
    """
    require_size(new_size, nodes)
    if not 0 <= old_size <= new_size:
        raise ValueError(f"old size: {old_size} is not within 0..{new_size}")
    if old_size in (0, new_size):
        return []
    # The verifier folds both roots from the largest perfect subtree that ends the old tree.
    height = (old_size & -old_size).bit_length() - 1
    index = (old_size >> height) - 1
    path = _climb(height, index, new_size, nodes)
    # Where that is the whole old tree, its hash is the old root, which the verifier has.
    return [nodes.node(height, index), *path] if index else path


def _climb(height: int, index: int, size: int, nodes: NodeSource) -> list[bytes]:
    """Return the siblings on the way from a node up to the root, tile by tile."""
    path: list[bytes] = []
    while size - 1 >> height:
        level, first_row = divmod(height, TILE_HEIGHT)
        rows = nodes.rows(level, index >> TILE_HEIGHT - first_row)
        for row in range(first_row, TILE_HEIGHT):
            sibling = index ^ 1
            if sibling + 1 << height <= size:
                at = (sibling & (TILE_WIDTH >> row) - 1) * HASH_SIZE
                path.append(bytes(rows[row][at : at + HASH_SIZE]))
            elif sibling << height < size:
                path.append(nodes.fold(sibling << height, size))
            height += 1
            index >>= 1
    return path


@dataclass(frozen=True, slots=True)
class _Block:
    """16 neighbouring nodes and the rows above them, and the path above those.

    At the edge of the tree, where not all of them are there, `rows` is empty.
    """

    rows: tuple[bytes, ...]
    above: bytes


class _Paths:
    """Paths to the root of the tree of one size, climbed in blocks; what lies above a block is remembered."""

    def __init__(self, size: int, nodes: NodeSource) -> None:
        self._size = size
        self._nodes = nodes
        self._blocks: dict[tuple[int, int], _Block] = {}

    def build(self, height: int, index: int) -> bytes:
        """Return the siblings on the way from a node up to the root, concatenated."""
        if not self._size - 1 >> height:
            return b""
        step, row = divmod(height, _BLOCK_HEIGHT)
        number, position = divmod(index, _BLOCK_WIDTH >> row)
        block = self._blocks.get((step, number))
        if block is None:
            block = self._blocks[step, number] = self._open(step, number)
        if not block.rows:
            return b"".join((*self._edge_siblings(height, index), block.above))
        path = []
        for nodes in block.rows[row:]:
            at = (position ^ 1) * HASH_SIZE
            path.append(nodes[at : at + HASH_SIZE])
            position >>= 1
        path.append(block.above)
        return b"".join(path)

    def _open(self, step: int, number: int) -> _Block:
        above = self.build(_BLOCK_HEIGHT * (step + 1), number)
        if (number + 1) << _BLOCK_HEIGHT * (step + 1) > self._size:
            return _Block((), above)
        level, first_row = divmod(_BLOCK_HEIGHT * step, TILE_HEIGHT)
        width = TILE_WIDTH >> first_row
        tile, start = divmod(number * _BLOCK_WIDTH, width)
        rows = self._nodes.rows(level, tile)[first_row : first_row + _BLOCK_HEIGHT]
        start, end = start * HASH_SIZE, (start + _BLOCK_WIDTH) * HASH_SIZE
        return _Block(tuple(bytes(nodes[start >> row : end >> row]) for row, nodes in enumerate(rows)), above)

    def _edge_siblings(self, height: int, index: int) -> Iterator[bytes]:
        """Yield the siblings within a block that is not full at this size."""
        for row_height in range(height, (height // _BLOCK_HEIGHT + 1) * _BLOCK_HEIGHT):
            start = (index ^ 1) << row_height
            end = start + (1 << row_height)
            if start < self._size:
                yield self._nodes.fold(start, min(end, self._size))
            index >>= 1


def split_hashes(path: bytes) -> list[bytes]:
    """Return the hashes of a path, which has them concatenated."""
    return [path[at : at + HASH_SIZE] for at in range(0, len(path), HASH_SIZE)]


def require_size(size: int, nodes: NodeSource) -> None:
    """Raise ValueError unless the nodes are known of a tree of `size` leaves."""
    if not 0 <= size <= nodes.size:
        raise ValueError(f"size: {size} is not within 0..{nodes.size}")


def _require_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ValueError(f"index: {index} is not within a tree of size {size}")
