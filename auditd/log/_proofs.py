"""Proofs about the tree of a log that is served, for whoever asks: they say what is wrong with what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from auditd.errors import InvalidRequestError, Violation
from auditd.log._writer import Writer
from auditd.merkle import consistency_proof, entries_proof, inclusion_paths, inclusion_proof, split_hashes


class Proofs:
    """Builds proofs in any tree that the log has had. Any thread may call it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is in the tree of `size` entries (RFC 9162 section 2.1.3).

        Raises InvalidRequestError unless index < size <= the current size.
        """
        self._require_size("tree_size", size)
        if not 0 <= index < size:
            raise _out_of_range("index", index, f"below the tree size {size}")
        return inclusion_proof(index, size, self._writer.nodes)

    def inclusion_paths(self, indexes: Sequence[int], size: int) -> list[bytes]:
        """Return the inclusion proof of each of `indexes`, which are below `size`, its hashes concatenated."""
        return inclusion_paths(indexes, size, self._writer.nodes)

    def inclusions(self, indexes: Sequence[int], size: int) -> list[list[bytes]]:
        """Return the inclusion proof of each of `indexes`, which are below `size`."""
        return [split_hashes(path) for path in self.inclusion_paths(indexes, size)]

    def consistency(self, from_size: int, to_size: int) -> list[bytes]:
        """Return the proof that the tree of `to_size` extends that of `from_size` (RFC 9162 section 2.1.4).

        Raises InvalidRequestError unless from_size <= to_size <= the current size.
        """
        self._require_size("to_size", to_size)
        if not 0 <= from_size <= to_size:
            raise _out_of_range("from_size", from_size, f"at most to_size {to_size}")
        return consistency_proof(from_size, to_size, self._writer.nodes)

    def entries(
        self, ranges: Sequence[tuple[int, int]], size: int, within: tuple[int, int] | None = None
    ) -> list[bytes]:
        """Return the proof that the tree of `size` holds exactly these entries at `ranges`; see `merkle.entries_proof`.

        Each range is [first, last), ascending. Raises InvalidRequestError where they are not within the tree.
        """
        self._require_size("tree_size", size)
        try:
            return entries_proof(ranges, size, self._writer.nodes, within)
        except ValueError as error:
            raise InvalidRequestError("OUT_OF_RANGE", str(error), [Violation("ranges", str(error))]) from error

    def leaf_hashes(self, first: int, last: int) -> list[bytes]:
        """Return the leaf hashes of the entries [first, last); raise InvalidRequestError beyond the tree."""
        size = self._writer.tree_head.size
        if not 0 <= first < last <= size:
            raise _out_of_range("last", last, f"above first {first} and at most the tree size {size}")
        return self._writer.nodes.leaf_hashes(first, last)

    def _require_size(self, field_name: str, size: int) -> None:
        current = self._writer.tree_head.size
        if not 0 <= size <= current:
            raise _out_of_range(field_name, size, f"at most the current tree size {current}")


def _out_of_range(field_name: str, value: int, rule: str) -> InvalidRequestError:
    return InvalidRequestError(
        "OUT_OF_RANGE",
        f"{field_name}: {value}, must be {rule}",
        [Violation(field_name, f"{value}, must be {rule}")],
        {"field": field_name, "value": str(value)},
    )
