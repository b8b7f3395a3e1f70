"""Filling a page: the index narrows, the predicate over the leaf decides."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from auditd.errors import UnavailableError
from auditd.filter import Filter
from auditd.query._by_time import Place, first_places, ordered
from auditd.query._leaf import parse_leaf
from auditd.query._live import Matcher
from auditd.query._narrow import By, Narrowing
from auditd.query._readers import IndexUnusableError
from auditd.query._source import Source
from auditd.query._spans import Indexes, Order, Span, joined, spans
from auditd.query._tiles import event_time_ns

_PLACES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results: entries as (index, leaf), in order.

    `next_cursor` says where the next page begins, together with `next_time_ns` in an order by event time, and is None
    at the end; a page may be short, or empty, without being the last. `examined` counts the entries looked at, each
    once, `in_range` those within the filter's ranges of index and time of recording, `uncovered` how many of these
    the index of fields does not cover. `narrowed_by` says what narrowed the search, and by which part of the filter.
    """

    entries: list[tuple[int, bytes]]
    next_cursor: int | None
    examined: int
    next_time_ns: int = 0
    in_range: int = 0
    uncovered: int = 0
    narrowed_by: tuple[tuple[By, str], ...] = ()


@dataclass(slots=True)
class Wanted:
    """What a page is to hold; see `Search.page`."""

    tree: Filter
    narrowing: Narrowing
    order: Order
    page_size: int
    max_bytes: int
    stopped: Callable[[], bool]
    matcher: Matcher = field(init=False)

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.tree)


class _Sheet:
    """The entries of a page so far."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._bytes = 0
        self.entries: list[tuple[int, bytes]] = []
        self.examined = 0

    def sifted(self, source: Source, span: Span) -> list[tuple[int, bytes, bool]]:
        """Return the entries of a span that may be selected, as (index, leaf, whether they certainly are)."""
        self.examined += span[1] - span[0]
        return source.sift(*span, self._wanted.matcher.sieve)

    def selects(self, leaf: bytes) -> bool:
        """Whether the filter selects a leaf."""
        return self._wanted.matcher.selects(parse_leaf(leaf))

    def has_room(self, leaf: bytes) -> bool:
        """Whether a leaf may be added; the first one always may."""
        return not self.entries or self._bytes + len(leaf) <= self._wanted.max_bytes

    def add(self, index: int, leaf: bytes) -> None:
        self.entries.append((index, leaf))
        self._bytes += len(leaf)

    @property
    def full(self) -> bool:
        return len(self.entries) == self._wanted.page_size


def page_by_index(source: Source, indexes: Indexes, wanted: Wanted, span: Span) -> Page:
    """Return the entries selected in a span, by index."""
    start, end = span
    newest_first = wanted.order is Order.NEWEST_FIRST
    sheet = _Sheet(wanted)
    with closing(spans(indexes, wanted.narrowing, start, end, wanted.order)) as pending:
        for part in pending:
            full_at = _read(source, sheet, part, newest_first=newest_first) if part[0] < part[1] else None
            cursor = full_at if full_at is not None else part[0 if newest_first else 1]
            if full_at is not None or wanted.stopped():
                done = cursor <= start if newest_first else cursor >= end
                return Page(sheet.entries, None if done else cursor, sheet.examined)
    return Page(sheet.entries, None, sheet.examined)


def _read(source: Source, sheet: _Sheet, span: Span, *, newest_first: bool) -> int | None:
    """Add what is selected of a span; return the next page's cursor once the page is full."""
    sifted = sheet.sifted(source, span)
    for number, leaf, sure in reversed(sifted) if newest_first else sifted:
        if not sure and not sheet.selects(leaf):
            continue
        before, after = (number + 1, number) if newest_first else (number, number + 1)
        if not sheet.has_room(leaf):
            return before
        sheet.add(number, leaf)
        if sheet.full:
            return after
    return None


def page_by_time(source: Source, indexes: Indexes, wanted: Wanted, span: Span, after: tuple[int, int] | None) -> Page:
    """Return the entries selected in a span by event time, behind a time and an index.

    Raises UnavailableError `ORDER_UNAVAILABLE` where what the index does not cover cannot be read in time.
    """
    sign = -1 if wanted.order is Order.LATEST_EVENT_FIRST else 1
    place = None if after is None else (sign * after[0], sign * after[1])
    try:
        return _PageByTime(source, wanted, span, place).fill(indexes)
    except IndexUnusableError:
        return _PageByTime(source, wanted, span, place).fill(Indexes())


class _PageByTime:
    def __init__(self, source: Source, wanted: Wanted, span: Span, after: Place | None) -> None:
        self._source = source
        self._wanted = wanted
        self._start, self._end = span
        self._latest_first = wanted.order is Order.LATEST_EVENT_FIRST
        self._sign = -1 if self._latest_first else 1
        self._last = after
        self._covered = self._start
        self._sheet = _Sheet(wanted)

    def fill(self, indexes: Indexes) -> Page:
        narrowing, start, end = self._wanted.narrowing, self._start, self._end
        with ExitStack() as seen:
            tiles = seen.enter_context(indexes.tiles.snapshot()) if indexes.tiles is not None else None
            fields = None
            if tiles is not None and indexes.fields is not None and narrowing.fields is not None:
                fields = seen.enter_context(indexes.fields.snapshot())
            covered = min(end, tiles.size if tiles is not None else 0, fields.size if fields is not None else end)
            self._covered = covered = max(start, covered)
            rest = self._read_rest(covered)
            if tiles is None:
                return self._take(iter(rest))
            places = ordered(tiles, fields, narrowing, start, covered, self._last, latest_first=self._latest_first)
            return self._take(_merged(places, rest))

    def _read_rest(self, covered: int) -> list[Place]:
        """Return the first places of what the index does not cover."""
        wanted = self._wanted
        found = first_places(
            self._source,
            wanted.matcher,
            covered,
            self._end,
            self._last,
            wanted.page_size,
            latest_first=self._latest_first,
            stopped=wanted.stopped,
        )
        if found is None:
            raise UnavailableError(
                "ORDER_UNAVAILABLE",
                f"{self._end - covered} entries that no index of event times covers could not be read in time, so"
                " nobody knows which come first; ask with the index, narrow by recorded_at, or order by index",
                5.0,
            )
        places, read = found
        self._sheet.examined += read
        return places

    def _take(self, places: Iterator[Place | None]) -> Page:
        batch: list[Place] = []
        considered = False
        for place in places:
            if place is not None:
                batch.append(place)
            if len(batch) >= _PLACES_AT_ONCE or (place is None and (batch or considered) and self._wanted.stopped()):
                considered = considered or bool(batch)
                if self._consider(batch) or self._wanted.stopped():
                    return self._page()
                batch = []
        return self._page() if self._consider(batch) else Page(self._sheet.entries, None, self._sheet.examined)

    def _page(self) -> Page:
        time_ns, index = self._last or (0, 0)
        return Page(self._sheet.entries, self._sign * index, self._sheet.examined, self._sign * time_ns)

    def _consider(self, batch: Sequence[Place]) -> bool:
        """Add what is selected of some places, in their order; tell whether the page is full."""
        leaves: dict[int, bytes] = {}
        indexes = sorted(abs(index) for _, index in batch)
        for span in joined(indexes):
            leaves.update(enumerate(self._source.leaves(*span), span[0]))
        # What lies between is not looked at, and what no index covers was counted when it was read.
        self._sheet.examined += bisect_left(indexes, self._covered)
        for place in batch:
            index = abs(place[1])
            leaf = leaves[index]
            # A wrong time in the index would put an entry out of order, or in two pages.
            if event_time_ns(leaf) != abs(place[0]):
                raise IndexUnusableError(f"entry {index} has another time")
            if self._sheet.selects(leaf):
                if not self._sheet.has_room(leaf):
                    return True
                self._sheet.add(index, leaf)
            self._last = place
            if self._sheet.full:
                return True
        return False


def _merged(places: Iterator[Place | None], rest: list[Place]) -> Iterator[Place | None]:
    """Merge places of the index with others, both in order."""
    others = iter(rest)
    other = next(others, None)
    for place in places:
        while place is not None and other is not None and other < place:
            yield other
            other = next(others, None)
        yield place
    if other is not None:
        yield other
    yield from others
