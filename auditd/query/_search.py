"""Searching one log: the index narrows, the predicate over the leaf decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from auditd.errors import DamagedError
from auditd.filter import EVERYTHING, Filter, compile_predicate, compile_raw, leaf_time
from auditd.query._index import Index
from auditd.query._leaf import parse_leaf
from auditd.query._live import Matcher
from auditd.query._narrow import Bounds, Narrowing, narrow
from auditd.query._source import Source
from auditd.query._spans import Order, Span, spans

_MAX_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results: entries as (index, leaf), in order.

    `next_cursor` says where the next page begins, and is None at the end; a page may be short, or empty,
    without being the last. `examined` counts the leaves read.
    """

    entries: list[tuple[int, bytes]]
    next_cursor: int | None
    examined: int


@dataclass(frozen=True, slots=True)
class Walked:
    """A step of a walk: selected entries, parsed, how many were read, and the index before which all is done."""

    entries: list[dict[str, Any]]
    examined: int
    next_index: int


def _never() -> bool:
    return False


class Search:
    """Searches of one log. May be used from several threads at once.

    Args:
        source: the log, whose leaves come verified.
        index: its index; without one every search reads all leaves.

    """

    def __init__(self, source: Source, index: Index | None) -> None:
        self._source = source
        self._index = index
        # From (time, whether it is included) to the first index recorded later: true for ever once known.
        self._first_after: dict[tuple[str, bool], int] = {}

    def page(
        self,
        tree: Filter,
        *,
        order: Order,
        page_size: int,
        tree_size: int,
        cursor: int | None = None,
        max_bytes: int = 4_000_000,
        stopped: Callable[[], bool] = _never,
        use_index: bool = True,
    ) -> Page:
        """Return the next entries that a filter selects.

        Args:
            tree: the filter.
            order: whether the highest index comes first or last.
            page_size: most entries to return, at least 1.
            tree_size: only entries with a lower index are considered; at most the log's size.
            cursor: `next_cursor` of the page before, of a search that differs in nothing else but
                `page_size`, `max_bytes` and `use_index`; None for the first page.
            max_bytes: most bytes of leaves to return; a single leaf may pass it.
            stopped: asked between reads; once it is true the page ends where it is. Some progress is made in
                any case.
            use_index: whether the index may narrow the search.

        Raises:
            ValueError: `page_size` is below 1, or `tree_size` beyond the log's size.
            DamagedError: a leaf that had to be read is not the one in the tree.

        """
        if page_size < 1 or not 0 <= tree_size <= self._source.size:
            raise ValueError(f"page_size {page_size}, tree_size {tree_size} of {self._source.size}")
        narrowing = narrow(tree)
        start, end = self._range(narrowing.bounds, tree_size, use_index=use_index)
        if cursor is not None:
            start, end = (start, min(end, cursor)) if order is Order.NEWEST_FIRST else (max(start, cursor), end)
        filler = _Filler(self._source, tree, order, page_size, max_bytes)
        index = self._index if use_index else None
        return filler.fill(index, narrowing, start, end, stopped)

    def walk(
        self, tree: Filter, start: int, tree_size: int, stopped: Callable[[], bool], *, use_index: bool = True
    ) -> Iterator[Walked]:
        """Yield all entries that a filter selects in `[start, tree_size)`, oldest first, some at a time.

        It ends behind the last of them, or once `stopped` is true; the last thing yielded says where.

        Raises:
            DamagedError: a leaf that had to be read is not the one in the tree.

        """
        narrowing = narrow(tree)
        first, end = self._range(narrowing.bounds, tree_size, use_index=use_index)
        matcher = Matcher(tree)
        index = self._index if use_index else None
        with closing(spans(index, narrowing, max(start, first), end, Order.OLDEST_FIRST)) as pending:
            for span in pending:
                leaves = self._source.leaves(*span)
                parsed = [parse_leaf(leaf) for leaf in leaves if matcher.may_select(leaf)]
                yield Walked([entry for entry in parsed if matcher.selects(entry)], len(leaves), span[1])
                if stopped():
                    return
        yield Walked([], 0, tree_size)

    def _range(self, bounds: Bounds, tree_size: int, *, use_index: bool) -> Span:
        """Return the indexes in which bounds allow anything."""
        start, end = max(0, bounds.first), min(tree_size, bounds.last + 1)
        if use_index and bounds.limits_time:
            start = max(start, self._find(bounds.earliest, tree_size, included=True))
            end = min(end, self._find(bounds.latest, tree_size, included=False))
        return start, max(start, end)

    def _find(self, time: str, tree_size: int, *, included: bool) -> int:
        """Return the first index below `tree_size` recorded after `time`, or at it if `included`.

        No entry is recorded earlier than the one before it.
        """
        known = self._first_after.get((time, included))
        if known is not None:
            return min(known, tree_size)
        low, high = 0, tree_size
        while low < high:
            middle = (low + high) // 2
            recorded = self._recorded_at(middle)
            if recorded > time or (included and recorded == time):
                high = middle
            else:
                low = middle + 1
        if low < tree_size:
            if len(self._first_after) >= _MAX_REMEMBERED:
                self._first_after.clear()
            self._first_after[time, included] = low
        return low

    def _recorded_at(self, index: int) -> str:
        recorded = leaf_time(parse_leaf(self._source.leaves(index, index + 1)[0]).get("recorded_at"))
        if recorded is None:
            raise DamagedError("LEAF_WITHOUT_TIME", f"entry {index} says no time of recording")
        return recorded


def _beyond(cursor: int, start: int, end: int, order: Order) -> Span:
    """Return what remains of `[start, end)` after the pages before."""
    if order is Order.NEWEST_FIRST:
        return start, max(start, min(end, cursor))
    return min(end, max(start, cursor)), end


class _Filler:
    """Reads leaves until a page is full."""

    def __init__(self, source: Source, tree: Filter, order: Order, page_size: int, max_bytes: int) -> None:
        self._source = source
        self._raw = compile_raw(tree)
        self._predicate = compile_predicate(tree)
        # An export of everything need not take a single leaf apart.
        self._selects_all = tree == EVERYTHING
        self._order = order
        self._page_size = page_size
        self._max_bytes = max_bytes
        self._entries: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._examined = 0

    def fill(
        self, index: Index | None, narrowing: Narrowing, start: int, end: int, stopped: Callable[[], bool]
    ) -> Page:
        newest_first = self._order is Order.NEWEST_FIRST
        with closing(spans(index, narrowing, start, end, self._order)) as pending:
            for span in pending:
                full_at = self._read(span)
                cursor = full_at if full_at is not None else span[0 if newest_first else 1]
                if full_at is not None or stopped():
                    done = cursor <= start if newest_first else cursor >= end
                    return Page(self._entries, None if done else cursor, self._examined)
        return Page(self._entries, None, self._examined)

    def _read(self, span: Span) -> int | None:
        """Add what is selected of a span; return the next page's cursor once the page is full."""
        numbered = list(enumerate(self._source.leaves(*span), span[0]))
        self._examined += len(numbered)
        newest_first = self._order is Order.NEWEST_FIRST
        for number, leaf in reversed(numbered) if newest_first else numbered:
            if not self._selects(leaf):
                continue
            before, after = (number + 1, number) if newest_first else (number, number + 1)
            if self._entries and self._bytes + len(leaf) > self._max_bytes:
                return before
            self._entries.append((number, leaf))
            self._bytes += len(leaf)
            if len(self._entries) == self._page_size:
                return after
        return None

    def _selects(self, leaf: bytes) -> bool:
        if self._selects_all:
            return True
        return (self._raw is None or self._raw(leaf)) and self._predicate(parse_leaf(leaf))
