"""Searching the logs of a chain as one: their entries counted on, from the first of the oldest log."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from auditd.filter import Filter
from auditd.query._by_time import Place
from auditd.query._page import Page
from auditd.query._search import Search, Walked, never
from auditd.query._spans import Order
from auditd.query._tiles import event_time_ns


@dataclass(slots=True)
class _Asked:
    """What a page is to hold; see `Search.page`."""

    tree: Filter
    order: Order
    max_bytes: int
    stopped: Callable[[], bool]
    use_index: bool


@dataclass(slots=True)
class _Gathered:
    """A page put together of the logs' pages."""

    page: Page = field(default_factory=lambda: Page([], None, 0))
    used_bytes: int = 0

    def count(self, page: Page) -> None:
        """Add what a log's page says of how it was found."""
        mine = self.page
        self.page = replace(
            mine,
            examined=mine.examined + page.examined,
            narrowed_by=mine.narrowed_by or page.narrowed_by,
        )

    def add(self, index: int, leaf: bytes) -> None:
        self.page.entries.append((index, leaf))
        self.used_bytes += len(leaf)

    def ends_at(self, cursor: int, time_ns: int = 0) -> Page:
        """Return it with where the next page begins."""
        return replace(self.page, next_cursor=cursor, next_time_ns=time_ns)


class ChainSearch:
    """Searches of several logs, oldest first, as `Search` has them of one; only the last one grows.

    Indexes, cursors and tree sizes count on from log to log. What a filter says of `index` is of each log's own.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        sizes = [search.size for search in searches]
        self._parts = list(zip([0, *accumulate(sizes[:-1])], searches, sizes, strict=True))

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
        """Return the next entries that a filter selects; as `Search.page`."""
        asked = _Asked(tree, order, max_bytes, stopped, use_index)
        if order.by_event_time:
            after = None if cursor is None else (cursor_time_ns, cursor)
            page = self._by_time(asked, page_size, tree_size, after)
        else:
            page = self._by_index(asked, page_size, tree_size, cursor)
        # Of all logs, those too that this page did not come to.
        scopes = [search.scope(tree, size, use_index=use_index) for _, search, size in self._within(tree_size)]
        in_range, uncovered = (sum(counts) for counts in zip((0, 0), *scopes, strict=True))
        return replace(page, in_range=in_range, uncovered=uncovered)

    def walk(
        self, tree: Filter, start: int, tree_size: int, stopped: Callable[[], bool], *, use_index: bool = True
    ) -> Iterator[Walked]:
        """Yield all entries that a filter selects in `[start, tree_size)`, oldest first; as `Search.walk`."""
        for first, search, size in self._within(tree_size):
            if start < first + size:
                for step in search.walk(tree, max(0, start - first), size, stopped, use_index=use_index):
                    yield replace(step, next_index=first + step.next_index)
                if stopped():
                    return

    def _within(self, tree_size: int) -> list[tuple[int, Search, int]]:
        """Return where each log begins, its search, and how many of its entries the tree has; none without any."""
        parts = [(first, search, min(size, tree_size - first)) for first, search, size in self._parts]
        return [part for part in parts if part[2] > 0]

    def _by_index(self, asked: _Asked, page_size: int, tree_size: int, cursor: int | None) -> Page:
        newest_first = asked.order is Order.NEWEST_FIRST
        parts = self._within(tree_size)
        gathered = _Gathered()
        for first, search, size in reversed(parts) if newest_first else parts:
            own = None if cursor is None else cursor - first
            if own is not None and (own <= 0 if newest_first else own >= size):
                continue
            if (
                len(gathered.page.entries) == page_size
                or gathered.used_bytes >= asked.max_bytes
                or (gathered.page.examined and asked.stopped())
            ):
                return gathered.ends_at(first + size if newest_first else first)
            page = search.page(
                asked.tree,
                order=asked.order,
                page_size=page_size - len(gathered.page.entries),
                tree_size=size,
                cursor=None if own is None else min(max(own, 0), size),
                max_bytes=asked.max_bytes - gathered.used_bytes,
                stopped=asked.stopped,
                use_index=asked.use_index,
            )
            gathered.count(page)
            for index, leaf in page.entries:
                gathered.add(first + index, leaf)
            if page.next_cursor is not None:
                return gathered.ends_at(first + page.next_cursor)
        return gathered.page

    def _by_time(self, asked: _Asked, page_size: int, tree_size: int, after: Place | None) -> Page:
        """Merge the logs' pages; what comes behind the place where one of them broke off is left for the next."""
        sign = -1 if asked.order is Order.LATEST_EVENT_FIRST else 1
        gathered = _Gathered()
        found: list[list[tuple[Place, bytes]]] = []
        ends: list[Place] = []
        for first, search, size in self._within(tree_size):
            page = search.page(
                asked.tree,
                order=asked.order,
                page_size=page_size,
                tree_size=size,
                # Of another log's entry at this time: the ones here come all before or all behind it.
                cursor=None if after is None else after[1] - first,
                cursor_time_ns=0 if after is None else after[0],
                max_bytes=asked.max_bytes,
                stopped=asked.stopped,
                use_index=asked.use_index,
            )
            gathered.count(page)
            found.append([((sign * event_time_ns(leaf), sign * (first + i)), leaf) for i, leaf in page.entries])
            if page.next_cursor is not None:
                ends.append((sign * page.next_time_ns, sign * (first + page.next_cursor)))
        end = min(ends, default=None)
        last: Place | None = None
        for place, leaf in heapq.merge(*found):
            if end is not None and place > end:
                break
            full = len(gathered.page.entries) == page_size
            if full or (last is not None and gathered.used_bytes + len(leaf) > asked.max_bytes):
                return _ends_at(gathered, sign, last)
            gathered.add(sign * place[1], leaf)
            last = place
        return gathered.page if end is None else _ends_at(gathered, sign, end)


def _ends_at(gathered: _Gathered, sign: int, place: Place | None) -> Page:
    time, index = place or (0, 0)
    return gathered.ends_at(sign * index, sign * time)
