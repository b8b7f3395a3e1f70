"""Searching one log: the index narrows, the predicate over the leaf decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from auditd.errors import DamagedError
from auditd.filter import Filter, leaf_time
from auditd.query._index import Index
from auditd.query._leaf import parse_leaf
from auditd.query._live import Matcher
from auditd.query._narrow import Bounds, By, Narrowing, narrow
from auditd.query._page import Page, Wanted, page_by_index, page_by_time
from auditd.query._source import Source
from auditd.query._spans import Indexes, Order, Span, spans
from auditd.query._tiles import Tiles

_MAX_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Walked:
    """A step of a walk: the leaves of selected entries, how many were read, and the index before which all is done."""

    leaves: list[bytes]
    examined: int
    next_index: int


def never() -> bool:
    """Stop nothing."""
    return False


class Search:
    """Searches of one log. May be used from several threads at once.

    Args:
        source: the log, whose leaves come verified.
        index: its index of fields; without one they narrow nothing.
        tiles: what is known of its tiles; without it neither text nor event times narrow anything.

    """

    def __init__(self, source: Source, index: Index | None, tiles: Tiles | None = None) -> None:
        self._source = source
        self._indexes = Indexes(index, tiles)
        # From (time, whether it is included) to the first index recorded later: true for ever once known.
        self._first_after: dict[tuple[str, bool], int] = {}

    @property
    def size(self) -> int:
        """Number of entries there are to search."""
        return self._source.size

    def page(
        self,
        tree: Filter,
        *,
        order: Order,
        page_size: int,
        tree_size: int,
        cursor: int | None = None,
        cursor_time_ns: int = 0,
        max_bytes: int = 4_000_000,
        stopped: Callable[[], bool] = never,
        use_index: bool = True,
    ) -> Page:
        """Return the next entries that a filter selects.

        Args:
            tree: the filter.
            order: what comes first.
            page_size: most entries to return, at least 1.
            tree_size: only entries with a lower index are considered; at most the log's size.
            cursor: `next_cursor` of the page before, of a search that differs in nothing else but
                `page_size`, `max_bytes` and `use_index`; None for the first page.
            cursor_time_ns: `next_time_ns` of the page before.
            max_bytes: most bytes of leaves to return; a single leaf may pass it.
            stopped: asked between reads; once it is true the page ends where it is. Some progress is made in
                any case.
            use_index: whether the index may narrow the search.

        Raises:
            ValueError: `page_size` is below 1, or `tree_size` beyond the log's size.
            DamagedError: a leaf that had to be read is not the one in the tree.
            UnavailableError: `ORDER_UNAVAILABLE`; in an order by event time, what the index does not cover could
                not be read before `stopped` was true.

        """
        if page_size < 1 or not 0 <= tree_size <= self._source.size:
            raise ValueError(f"page_size {page_size}, tree_size {tree_size} of {self._source.size}")
        narrowing = narrow(tree)
        start, end = self._range(narrowing.bounds, tree_size, use_index=use_index)
        indexes = self._indexes if use_index else Indexes()
        wanted = Wanted(tree, narrowing, order, page_size, max_bytes, stopped)
        if order.by_event_time:
            after = None if cursor is None else (cursor_time_ns, cursor)
            page = page_by_time(self._source, indexes, wanted, (start, end), after)
        else:
            page = page_by_index(self._source, indexes, wanted, _beyond(cursor, start, end, order))
        return replace(
            page,
            in_range=end - start,
            uncovered=_uncovered(start, end, self._indexes),
            narrowed_by=_effective(narrowing, indexes, use_index=use_index),
        )

    def scope(self, tree: Filter, tree_size: int, *, use_index: bool = True) -> tuple[int, int]:
        """Return `in_range` and `uncovered` of a page, without searching."""
        start, end = self._range(narrow(tree).bounds, tree_size, use_index=use_index)
        return end - start, _uncovered(start, end, self._indexes)

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
        indexes = self._indexes if use_index else Indexes()
        with closing(spans(indexes, narrowing, max(start, first), end, Order.OLDEST_FIRST)) as pending:
            for span in pending:
                leaves = [leaf for _, leaf in matcher.read(self._source, *span)]
                yield Walked(leaves, span[1] - span[0], span[1])
                if stopped():
                    return
        yield Walked([], 0, tree_size)

    def _range(self, bounds: Bounds, tree_size: int, *, use_index: bool) -> Span:
        """Return the indexes in which bounds allow anything."""
        start, end = min(max(0, bounds.first), tree_size), min(tree_size, bounds.last + 1)
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


def _effective(narrowing: Narrowing, indexes: Indexes, *, use_index: bool) -> tuple[tuple[By, str], ...]:
    """Return what narrowed a search, and by what, as far as there is an index for it."""
    there = {
        By.RANGE: use_index or narrowing.bounds.limits_index,
        By.FIELDS: indexes.fields is not None,
        By.TEXT: indexes.tiles is not None and indexes.tiles.text_covered > 0,
        By.EVENT_TIME: indexes.tiles is not None,
    }
    return tuple(reason for reason in narrowing.reasons if there[reason[0]])


def _uncovered(start: int, end: int, indexes: Indexes) -> int:
    """Return how many entries of `[start, end)` the index of fields does not have."""
    covered = indexes.fields.covered if indexes.fields is not None else 0
    return max(0, end - max(start, covered))


def _beyond(cursor: int | None, start: int, end: int, order: Order) -> Span:
    """Return what remains of `[start, end)` after the pages before."""
    if cursor is None:
        return start, end
    if order is Order.NEWEST_FIRST:
        return start, max(start, min(end, cursor))
    return min(end, max(start, cursor)), end
