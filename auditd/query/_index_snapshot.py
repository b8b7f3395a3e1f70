"""What a reader finds in an index of fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, cast

from auditd.query._index_file import RUNS, window_end
from auditd.query._need import AllOf, AnyOf, Need
from auditd.query._readers import IndexUnusableError, Snapshot
from auditd.query._rows import NO_ROWS, Rows, in_any, in_both, in_order
from auditd.query._runs import rows_with, term_bytes, terms_in
from auditd.query._terms import Term

FieldNeed: TypeAlias = Need[Term]

_WITH_TERM = "SELECT term, block FROM blocks WHERE run = ? AND term <= ? ORDER BY term DESC LIMIT 1"
_BETWEEN = "SELECT block FROM blocks WHERE run = ? AND term >= ? AND term < ? ORDER BY term"
_BEYOND_TEXT = b"\xff"  # no text in UTF-8 has this byte


class IndexSnapshot(Snapshot):
    """An index of fields as one reader sees it."""

    def rows(self, need: FieldNeed, start: int, end: int, *, newest_first: bool) -> Iterator[int]:
        """Yield the indexes in `[start, end)`, which MUST be covered, of entries that have what is needed, in order."""
        for first, stop in self._runs(start, end, newest_first=newest_first):
            try:
                found = self._found(need, first, stop - first)
                for row in in_order(found, ascending=not newest_first):
                    if start <= first + row < end:
                        yield first + row
            except ValueError as error:
                raise IndexUnusableError(f"entries {first} to {stop - 1}: {error}") from error

    def _runs(self, start: int, end: int, *, newest_first: bool) -> list[tuple[int, int]]:
        """Return the runs that hold `[start, end)`. A damaged file may say anything; a search must lose no entry."""
        runs = cast("list[tuple[int, int]]", self._rows(RUNS, (start, end)))
        at = start
        for first, stop in runs:
            if first > at or stop <= at or stop > window_end(first) or (first < at and at != start):
                raise IndexUnusableError(f"a run [{first}, {stop}) at {at}")
            at = stop
        if at < end:
            raise IndexUnusableError(f"no run at {at}")
        return runs[::-1] if newest_first else runs

    def _found(self, need: FieldNeed, run: int, length: int) -> Rows:
        match need:
            case AllOf(parts):
                found: Rows | None = None
                for part in parts:
                    rows = self._found(part, run, length)
                    found = rows if found is None else in_both(found, rows)
                    if not found:
                        return NO_ROWS
                return NO_ROWS if found is None else found
            case AnyOf(parts):
                return in_any((self._found(part, run, length) for part in parts), length)
            case Term(text, prefix):
                find = self._with_prefix if prefix else self._with_term
                return find(term_bytes(text), run, length)

    def _with_term(self, term: bytes, run: int, length: int) -> Rows:
        for _, block in self._rows(_WITH_TERM, (run, term)):
            return rows_with(cast("bytes", block), term, length) or NO_ROWS
        return NO_ROWS

    def _with_prefix(self, prefix: bytes, run: int, length: int) -> Rows:
        before = self._rows(_WITH_TERM, (run, prefix))
        first = cast("bytes", before[0][0]) if before else b""
        blocks = [cast("bytes", block) for (block,) in self._rows(_BETWEEN, (run, first, prefix + _BEYOND_TEXT))]
        return in_any((rows for block in blocks for _, rows in terms_in(block, length, prefix)), length)
