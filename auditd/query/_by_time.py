"""Entries in the order of their event times, which is not that in which they were recorded."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterator
from contextlib import closing
from typing import TypeAlias

from auditd.query._chosen_tiles import ChosenTiles, times_within
from auditd.query._grams import TILE_ENTRIES
from auditd.query._index_snapshot import IndexSnapshot
from auditd.query._leaf import parse_leaf
from auditd.query._live import Matcher
from auditd.query._narrow import Narrowing
from auditd.query._source import Source
from auditd.query._tiles import event_time_ns
from auditd.query._tiles_file import TilesSnapshot

# Event time in nanoseconds since 1970, and index; both negative where the latest comes first, so that the lesser of
# two places always comes first.
Place: TypeAlias = tuple[int, int]

MAX_CANDIDATES = 50_000
"""Entries of the index of fields that are looked up before their times are; with more, times come first."""


def ordered(
    tiles: TilesSnapshot,
    fields: IndexSnapshot | None,
    narrowing: Narrowing,
    start: int,
    end: int,
    after: Place | None,
    *,
    latest_first: bool,
) -> Iterator[Place | None]:
    """Yield the place of every entry in `[start, end)` that a narrowing allows, in order, `after` a place.

    Tiles come into memory as their times are reached, so it holds few of them where events were recorded about
    when they happened. None is yielded now and then, so that the caller can stop.

    Args:
        tiles: the event times, which MUST cover `end`.
        fields: the index of fields, which MUST cover `end`; None if it is not to be used.
        narrowing: what selected entries fulfil.
        start: the first index.
        end: the index behind the last.
        after: the place before the first one; None for all.
        latest_first: whether the latest time comes first.

    Raises:
        IndexUnusableError: a file cannot be read.

    """
    among = _candidates(fields, narrowing, start, end)
    tiles_among = None if among is None else {index // TILE_ENTRIES for index in among}
    chosen = ChosenTiles(tiles, narrowing, newest_first=latest_first)
    sign = -1 if latest_first else 1
    covering = start // TILE_ENTRIES, -(-end // TILE_ENTRIES)
    times = _times_after(times_within(narrowing.event_time), after, latest_first=latest_first)
    places: list[Place] = []
    with closing(tiles.within(covering, times, latest_first=latest_first)) as by_time:
        waiting = (
            (-latest if latest_first else earliest, tile)
            for tile, earliest, latest in by_time
            if _is_in(tiles_among, tile)
        )
        nearest = next(waiting, None)
        while nearest is not None or places:
            while nearest is not None and (not places or nearest[0] <= places[0][0]):
                tile = nearest[1]
                if chosen.may_hold(tile):
                    first_index = tile * TILE_ENTRIES
                    for index, time_ns in enumerate(tiles.times(tile), first_index):
                        if times[0] <= time_ns <= times[1] and start <= index < end and _is_in(among, index):
                            place = (sign * time_ns, sign * index)
                            if after is None or place > after:
                                heapq.heappush(places, place)
                nearest = next(waiting, None)
                yield None
            if places:
                yield heapq.heappop(places)


def _times_after(times: tuple[int, int], after: Place | None, *, latest_first: bool) -> tuple[int, int]:
    """Return what of a span of time can hold places after one."""
    first, last = times
    if after is None:
        return times
    return (first, min(last, -after[0])) if latest_first else (max(first, after[0]), last)


def _is_in(among: Container[int] | None, index: int) -> bool:
    return among is None or index in among


def _candidates(fields: IndexSnapshot | None, narrowing: Narrowing, start: int, end: int) -> set[int] | None:
    if fields is None or narrowing.fields is None:
        return None
    found: set[int] = set()
    for row in fields.rows(narrowing.fields, start, end, newest_first=False):
        found.add(row)
        if len(found) > MAX_CANDIDATES:
            return None
    return found


def first_places(
    source: Source,
    matcher: Matcher,
    start: int,
    end: int,
    after: Place | None,
    size: int,
    *,
    latest_first: bool,
    stopped: Callable[[], bool],
) -> tuple[list[Place], int] | None:
    """Read the entries `[start, end)`; return the first `size` places of those selected, and how many were read.

    None if it was stopped, for until all are read nobody knows which are first.
    """
    sign = -1 if latest_first else 1
    kept: list[Place] = []
    for low in range(start, end, TILE_ENTRIES):
        high = min(end, low + TILE_ENTRIES)
        for index, leaf, sure in source.sift(low, high, matcher.sieve):
            place = (sign * event_time_ns(leaf), sign * index)
            if (after is None or place > after) and (sure or matcher.selects(parse_leaf(leaf))):
                kept.append(place)
        if len(kept) > 4 * size:
            kept = heapq.nsmallest(size, kept)
        if high < end and stopped():
            return None
    return heapq.nsmallest(size, kept), end - start
