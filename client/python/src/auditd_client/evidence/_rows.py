"""The entries of a package, read once: checked, counted, shown to the report, their tokens noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from auditd_client.evidence._archive import PackedReader
from auditd_client.evidence._report import Report
from auditd_client.evidence._tokens import Tokens
from auditd_client.verify import MAX_LEAF_BYTES, Leaf, MismatchError, leaf_hash

_STEP = 1_000


class Rows:
    """What one pass over the entries has seen so far; `first` and `last` are indexes, -1 before the first entry."""

    def __init__(self, origin: str, report: Report, advance: Callable[[int], None] = lambda _count: None) -> None:
        self.report = report
        self.tokens = Tokens()
        self.count = 0
        self.first = self.last = -1
        self._origin = origin
        self._advance = advance

    def add(self, data: bytes) -> Leaf:
        """Take in the next leaf. Raises MalformedError for what is none, MismatchError for one of another log."""
        leaf = Leaf.parse(data)
        if leaf.log != self._origin:
            raise MismatchError(f"entry {leaf.index}: log", self._origin, leaf.log)
        self.first = leaf.index if self.first < 0 else self.first
        self.last = leaf.index
        self.count += 1
        self.report.add(leaf)
        self.tokens.add(leaf)
        if self.count % _STEP == 0:
            self._advance(_STEP)
        return leaf

    def read(self, entries: PackedReader) -> Iterator[tuple[int, bytes]]:
        """Yield (index, leaf hash) of each entry, as it states its index itself."""
        for line in entries.lines(MAX_LEAF_BYTES):
            yield self.add(line).index, leaf_hash(line)
