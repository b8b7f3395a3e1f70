"""Which leaves a search reads, in which order."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from auditd.query._chosen_tiles import ChosenTiles
from auditd.query._grams import BLOCK_ENTRIES
from auditd.query._index import Index
from auditd.query._index_snapshot import IndexSnapshot
from auditd.query._narrow import Narrowing
from auditd.query._readers import IndexUnusableError
from auditd.query._tiles import Tiles
from auditd.query._tiles_file import TilesSnapshot

# Half-open. Once a span is read, everything before its end (oldest first) or from its start on (newest
# first) has been considered; an empty span only says so.
Span: TypeAlias = tuple[int, int]

_CHUNK = 256  # leaves read at once: as many as a tile covers, and at most 16 MiB
_GAP = 8  # leaves read for nothing rather than read apart


class Order(Enum):
    """Order of the results of a search: by index, or by event time and then by index."""

    NEWEST_FIRST = "newest first"
    OLDEST_FIRST = "oldest first"
    LATEST_EVENT_FIRST = "latest event first"
    EARLIEST_EVENT_FIRST = "earliest event first"

    @property
    def by_event_time(self) -> bool:
        """Whether event time comes first."""
        return self in {Order.LATEST_EVENT_FIRST, Order.EARLIEST_EVENT_FIRST}


@dataclass(frozen=True, slots=True)
class Indexes:
    """What may narrow a search; either may be missing."""

    fields: Index | None = None
    tiles: Tiles | None = None


def spans(indexes: Indexes, narrowing: Narrowing, start: int, end: int, order: Order) -> Generator[Span]:
    """Yield spans that hold every entry in `[start, end)` that a narrowing allows."""
    remaining = (start, end)
    try:
        with ExitStack() as seen:
            fields = tiles = None
            if indexes.fields is not None and narrowing.fields is not None:
                fields = seen.enter_context(indexes.fields.snapshot())
            if indexes.tiles is not None and (narrowing.text is not None or narrowing.event_time.limits_time):
                tiles = seen.enter_context(indexes.tiles.snapshot())
            if fields is not None:
                found = _narrowed(fields, narrowing, start, end, order)
            else:
                found = _chunks(start, end, order, BLOCK_ENTRIES if tiles is not None else _CHUNK)
            if tiles is not None:
                found = _chosen(found, tiles, narrowing, order)
            seen.enter_context(closing(found))
            for span in found:
                yield span
                remaining = _after(span, remaining, order)
        return
    except IndexUnusableError:
        pass  # what remains is read from the evidence
    yield from _chunks(*remaining, order)


def _chosen(found: Generator[Span], tiles: TilesSnapshot, narrowing: Narrowing, order: Order) -> Generator[Span]:
    """Yield what of the spans lies in tiles that may hold anything; of the rest only how far it goes."""
    newest_first = order is Order.NEWEST_FIRST
    chosen = ChosenTiles(tiles, narrowing, newest_first=newest_first)
    with closing(found):
        for span in found:
            if span[0] == span[1]:
                yield span
            # Spans may cross from one block, or tile, into the next.
            for of_block in _chunks(*span, order, BLOCK_ENTRIES):
                if not chosen.block_may_hold(of_block[0] // BLOCK_ENTRIES):
                    yield _passed(of_block, order)
                    continue
                for part in _chunks(*of_block, order):
                    yield part if chosen.may_hold(part[0] // _CHUNK) else _passed(part, order)


def _passed(span: Span, order: Order) -> Span:
    """Return the empty span that says that nothing of a span needs to be read."""
    return (span[0], span[0]) if order is Order.NEWEST_FIRST else (span[1], span[1])


def _after(span: Span, remaining: Span, order: Order) -> Span:
    if order is Order.OLDEST_FIRST:
        return span[1], remaining[1]
    return remaining[0], span[0]


def _chunks(start: int, end: int, order: Order, length: int = _CHUNK) -> Generator[Span]:
    """Yield consecutive spans between multiples of `length`."""
    if order is Order.OLDEST_FIRST:
        while start < end:
            stop = min(end, (start // length + 1) * length)
            yield start, stop
            start = stop
    else:
        while start < end:
            stop = max(start, (end - 1) // length * length)
            yield stop, end
            end = stop


def _narrowed(snapshot: IndexSnapshot, narrowing: Narrowing, start: int, end: int, order: Order) -> Generator[Span]:
    """Yield what the index has found, and all that it does not cover."""
    edge = min(max(start, snapshot.size), end)
    if order is Order.NEWEST_FIRST:
        yield from _chunks(edge, end, order)
        yield from _found(snapshot, narrowing, start, edge, order)
    else:
        yield from _found(snapshot, narrowing, start, edge, order)
        yield from _chunks(edge, end, order)


def _found(snapshot: IndexSnapshot, narrowing: Narrowing, start: int, end: int, order: Order) -> Iterator[Span]:
    assert narrowing.fields is not None
    newest_first = order is Order.NEWEST_FIRST
    for part, rows in snapshot.rows_by_run(narrowing.fields, start, end, newest_first=newest_first):
        yield from joined(rows)
        yield _passed(part, order)


def joined(rows: Iterable[int]) -> Iterator[Span]:
    """Join indexes that lie close together, in order, into spans of at most `_CHUNK` leaves."""
    span: Span | None = None
    for row in rows:
        if span is None:
            span = (row, row + 1)
            continue
        low, high = min(span[0], row), max(span[1], row + 1)
        if high - low <= _CHUNK and (high - low) - (span[1] - span[0]) <= _GAP + 1:
            span = (low, high)
        else:
            yield span
            span = (row, row + 1)
    if span is not None:
        yield span
