"""What a reader finds in an index of fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from auditd.query._index_file import RUNS, window_end
from auditd.query._need import AllOf, AnyOf, Need
from auditd.query._readers import Bindings, IndexUnusableError, Snapshot
from auditd.query._rows import NO_ROWS, Rows, in_any, in_both, in_order
from auditd.query._runs import rows_with, term_bytes, terms_in
from auditd.query._terms import Term

FieldNeed: TypeAlias = Need[Term]

_WITH_TERM = "SELECT term, block FROM blocks WHERE run = ? AND term <= ? ORDER BY term DESC LIMIT 1"
_WITH_TERM_IN_RUNS = """
    SELECT first, (SELECT block FROM blocks WHERE run = first AND term <= ?1 ORDER BY term DESC LIMIT 1)
    FROM runs WHERE first BETWEEN ?2 AND ?3
"""
_MOST_AHEAD = 64
"""Blocks that a search holds at once, all terms together, each some 3 KB."""
_BETWEEN = "SELECT block FROM blocks WHERE run = ? AND term >= ? AND term < ? ORDER BY term"
_BEYOND_TEXT = b"\xff"  # no text in UTF-8 has this byte


class IndexSnapshot(Snapshot):
    """An index of fields as one reader sees it."""

    def rows(self, need: FieldNeed, start: int, end: int, *, newest_first: bool) -> Iterator[int]:
        """Yield the indexes in `[start, end)`, which MUST be covered, of entries that have what is needed, in order."""
        for _, rows in self.rows_by_run(need, start, end, newest_first=newest_first):
            yield from rows

    def rows_by_run(
        self, need: FieldNeed, start: int, end: int, *, newest_first: bool
    ) -> Iterator[tuple[tuple[int, int], Iterator[int]]]:
        """Yield the same with the part of `[start, end)` that each run has, as soon as that is read."""
        runs = self._runs(start, end, newest_first=newest_first)
        blocks = _Blocks(self._rows, [first for first, _ in runs], max(1, _MOST_AHEAD // _count(need)))
        for place, (first, stop) in enumerate(runs):
            try:
                found = self._found(need, _Run(blocks, place, first, stop - first))
            except ValueError as error:
                raise IndexUnusableError(f"entries {first} to {stop - 1}: {error}") from error
            low, high = max(start, first), min(end, stop)
            yield (low, high), _shifted(in_order(found, ascending=not newest_first), first, low, high)

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

    def _found(self, need: FieldNeed, run: _Run) -> Rows:
        match need:
            case AllOf(parts):
                found: Rows | None = None
                for part in parts:
                    rows = self._found(part, run)
                    found = rows if found is None else in_both(found, rows)
                    if not found:
                        return NO_ROWS
                return NO_ROWS if found is None else found
            case AnyOf(parts):
                return in_any((self._found(part, run) for part in parts), run.length)
            case Term(text, prefix):
                return self._with_prefix(term_bytes(text), run) if prefix else run.with_term(term_bytes(text))

    def _with_prefix(self, prefix: bytes, run: _Run) -> Rows:
        before = self._rows(_WITH_TERM, (run.first, prefix))
        first = cast("bytes", before[0][0]) if before else b""
        between = self._rows(_BETWEEN, (run.first, first, prefix + _BEYOND_TEXT))
        blocks = [cast("bytes", block) for (block,) in between]
        return in_any((rows for block in blocks for _, rows in terms_in(block, run.length, prefix)), run.length)


class _Blocks:
    """The blocks in which terms would be, those of several runs read at once: a search asks run after run.

    `runs` are in the order in which they are asked for. The first runs are read singly, because most searches of what
    many entries have end there; then twice as many each time, up to `most`.
    """

    def __init__(self, read: Callable[[str, Bindings], list[tuple[object, ...]]], runs: list[int], most: int) -> None:
        self._read = read
        self._runs = runs
        self._most = most
        self._known: dict[bytes, dict[int, bytes | None]] = {}

    def find(self, term: bytes, place: int) -> bytes | None:
        """Return the block of the run at a place, if any, in which a term would be."""
        known = self._known.get(term, {})
        run = self._runs[place]
        if run not in known:
            asked = self._runs[place : place + min(self._most, 2 * len(known) or 1)]
            found = self._read(_WITH_TERM_IN_RUNS, (term, min(asked), max(asked)))
            known = self._known[term] = cast("dict[int, bytes | None]", dict(found))  # type: ignore[arg-type]
        if run not in known:
            raise ValueError("a run that is in the list and not in the file")
        return known[run]


@dataclass(frozen=True, slots=True)
class _Run:
    blocks: _Blocks
    place: int
    first: int
    length: int

    def with_term(self, term: bytes) -> Rows:
        block = self.blocks.find(term, self.place)
        return NO_ROWS if block is None else rows_with(block, term, self.length) or NO_ROWS


def _shifted(rows: Iterator[int], first: int, low: int, high: int) -> Iterator[int]:
    """Yield the indexes in `[low, high)` of the rows of a run."""
    for row in rows:
        if low <= first + row < high:
            yield first + row


def _count(need: FieldNeed) -> int:
    """Return how many terms there are in it."""
    return sum(map(_count, need.parts)) if isinstance(need, AllOf | AnyOf) else 1
