"""That certain entries are in a tree, and that these are all of a range: the split of RFC 6962, walked.

The proof is the hashes, left to right, of the maximal subtrees that hold none of the entries. The walk takes a hash
of the proof where no entry follows within a subtree, the entry's own where the subtree is one leaf, and otherwise
splits the subtree as RFC 6962 does. So where an entry may stand, and which it is, is fixed by tree and index alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditd_client.verify._errors import ProofError
from auditd_client.verify._merkle import node_hash
from auditd_client.verify._strict import check_hash, check_integer


def verify_range(
    first: int, last: int, size: int, leaf_hashes: Iterable[bytes], proof: Iterable[bytes], root: bytes
) -> None:
    """Verify that the tree of `size` leaves with `root` holds exactly these leaves at `[first, last)`: all of them.

    Every hash is 32 bytes. The root does not commit to the size: take both from one signed checkpoint.

    Raises ProofError if it does not verify, MalformedError for a hash or number out of shape.
    """
    check_integer(first, "range proof: first")
    check_integer(last, "range proof: last")
    if not first < last <= size:
        raise ProofError(f"range proof: entries {first} up to {last} are not within the tree of size {size}")
    count = 0

    def numbered() -> Iterator[tuple[int, bytes]]:
        nonlocal count
        for count, digest in enumerate(leaf_hashes, 1):
            if count > last - first:
                raise ProofError(f"range proof: more than the {last - first} leaves of entries {first} up to {last}")
            yield first + count - 1, digest

    verify_entries(numbered(), size, proof, root)
    if count != last - first:
        raise ProofError(f"range proof: {count} leaves, entries {first} up to {last} are {last - first}")


def verify_entries(
    leaves: Iterable[tuple[int, bytes]],
    size: int,
    proof: Iterable[bytes],
    root: bytes,
    left_out: Iterable[tuple[int, bytes]] | None = None,
) -> int:
    """Verify that the tree of `size` leaves with `root` holds these leaves, and return their number.

    `leaves` are (index, leaf hash), by ascending index, at least one. What they leave out is fixed by `proof`;
    `left_out`, if given, must be (index, leaf hash) of all entries left out, in order. Everything is read once, in
    order, and not kept: there may be any number. The root does not commit to the size: take both from one signed
    checkpoint.

    Raises ProofError if it does not verify, MalformedError for a hash or number out of shape, and what the iterables
    raise.
    """
    check_integer(size, "entries proof: size")
    check_hash(root, "entries proof: root")
    walk = _Walk(iter(leaves), size, iter(proof), None if left_out is None else iter(left_out))
    if walk.index is None:
        raise ProofError("entries proof: no entry, so it proves nothing")
    actual = walk.root(0, size)
    walk.require_end()
    if actual != root:
        raise ProofError(f"entries proof in the tree of size {size}", expected_root=root, actual_root=actual)
    return walk.count


class _Walk:
    """One walk of the split; `index` is that of the next entry, None behind the last."""

    def __init__(
        self,
        leaves: Iterator[tuple[int, bytes]],
        size: int,
        proof: Iterator[bytes],
        left_out: Iterator[tuple[int, bytes]] | None,
    ) -> None:
        self._leaves = leaves
        self._size = size
        self._proof = proof
        self._left_out = left_out
        self._digest = b""
        self.count = 0
        self.index: int | None = -1
        self._advance()

    def root(self, start: int, end: int) -> bytes:
        """Return the root over the leaves `[start, end)` of the tree."""
        if self.index is None or self.index >= end:
            return self._root_left_out(start, end)
        if end - start == 1:
            digest = self._digest
            self.count += 1
            self._advance()
            return digest
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        left = self.root(start, middle)
        return node_hash(left, self.root(middle, end))

    def require_end(self) -> None:
        """Raise ProofError unless everything was used: what was not is not proven."""
        if self.index is not None:
            raise ProofError(f"entries proof: entry {self.index} is not within the tree of size {self._size}")
        if next(self._proof, None) is not None:
            raise ProofError("entries proof: too many hashes")
        if self._left_out is not None and next(self._left_out, None) is not None:
            raise ProofError("entries proof: more leaf hashes of entries left out than there are")

    def _advance(self) -> None:
        before = self.index
        self.index, self._digest = next(self._leaves, (None, b""))
        if self.index is None:
            return
        check_integer(self.index, "entries proof: index")
        check_hash(self._digest, f"entries proof: leaf hash of entry {self.index}")
        if before is None or self.index <= before:
            raise ProofError(f"entries proof: entry {self.index} comes after entry {before}, must be ascending")
        if self.index >= self._size:
            raise ProofError(f"entries proof: entry {self.index} is not within the tree of size {self._size}")

    def _root_left_out(self, start: int, end: int) -> bytes:
        digest = next(self._proof, None)
        if digest is None:
            raise ProofError("entries proof: too few hashes")
        check_hash(digest, "entries proof: hash")
        if self._left_out is not None:
            actual = self._root_listed(start, end, self._left_out)
            if actual != digest:
                raise ProofError(
                    f"leaf hashes of the entries left out from {start} up to {end}",
                    expected_root=digest,
                    actual_root=actual,
                )
        return digest

    def _root_listed(self, start: int, end: int, listed: Iterator[tuple[int, bytes]]) -> bytes:
        if end - start == 1:
            index, digest = next(listed, (None, b""))
            if index != start:
                found = "none" if index is None else f"that of entry {index}"
                raise ProofError(f"leaf hashes of the entries left out: entry {start} is due, found {found}")
            check_hash(digest, f"leaf hash of entry {start}, left out")
            return digest
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        left = self._root_listed(start, middle, listed)
        return node_hash(left, self._root_listed(middle, end, listed))
