"""Proofs that some leaves are in a tree, and that these are all within what they are said to be.

Such a proof is the hashes, left to right, of the maximal subtrees of RFC 6962's recursive split that hold none of
the leaves. With the hashes of the leaves they give the root, and no other leaf can stand between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditd.merkle._proof import NodeSource, require_size


def range_proof(first: int, last: int, size: int, nodes: NodeSource) -> list[bytes]:
    """Return the proof that the tree of `size` leaves holds exactly these leaves at `[first, last)`.

    At most `2 log2 size` hashes, whatever the range. Raises ValueError unless 0 <= first < last <= size <= nodes.size.
    """
    return entries_proof(((first, last),), size, nodes)


def entries_proof(
    ranges: Sequence[tuple[int, int]], size: int, nodes: NodeSource, within: tuple[int, int] | None = None
) -> list[bytes]:
    """Return the proof for the leaves of several ranges `[first, last)`, ascending and apart from each other.

    `within` asks for those subtrees only that lie wholly inside it. So a proof can be made in pieces: cut anywhere
    beside a chosen leaf, the pieces joined are the whole. Raises ValueError as `range_proof` does.
    """
    require_size(size, nodes)
    begin, end = (0, size) if within is None else within
    if not 0 <= begin <= end <= size:
        raise ValueError(f"within: [{begin}, {end}) is not within a tree of size {size}")
    if not ranges:
        raise ValueError("ranges: none")
    proof: list[bytes] = []
    position = begin
    for first, last in ranges:
        if not position <= first < last <= end:
            raise ValueError(f"range: [{first}, {last}) is not within [{position}, {end})")
        proof += [_root(start, stop, nodes) for start, stop in maximal_subtrees(position, first, size)]
        position = last
    return proof + [_root(start, stop, nodes) for start, stop in maximal_subtrees(position, end, size)]


def maximal_subtrees(start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield `[start, end)` of the maximal subtrees of the split of `size` leaves that lie wholly within a range."""
    while start < end:
        # The largest perfect subtree that may begin here; at the right edge of the tree it may be cut short.
        width = start & -start or 1 << size.bit_length()
        if end != size or size - start > width:
            width = min(width, 1 << (end - start).bit_length() - 1)
        stop = min(start + width, size)
        yield start, stop
        start = stop


def _root(start: int, stop: int, nodes: NodeSource) -> bytes:
    width = stop - start
    if width & (width - 1):
        return nodes.fold(start, stop)
    height = width.bit_length() - 1
    return nodes.node(height, start >> height)
