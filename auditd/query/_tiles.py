"""What is known of tiles: filled by a thread of its own, which reads what is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import apsw

from auditd.filter import leaf_time, time_ns
from auditd.query._derived import Derived, OnError, unheard
from auditd.query._grams import BLOCK_ENTRIES, TILE_ENTRIES, sign_leaves
from auditd.query._leaf import parse_leaf
from auditd.query._source import Source
from auditd.query._tiles_file import FORM, MAX_TIME_NS, TilesSnapshot, text_blocks, write_text, write_times

_POLL_S = 0.5
_TILES_PER_WRITE = 16
_REST = 4.0
"""How long the thread rests while the server has callers, in times of what it worked."""
_EVENT_TIME = b'"time":"'
_EVENT = b',"event":'


class Tiles(Derived[TilesSnapshot]):
    """Event times of whole tiles, and the text of whole blocks of them; see `Derived`.

    Entries after the last whole tile, or block, are read by those who search. While there are callers the thread
    rests for longer than it works, so that they go before it.

    Args:
        path: the file, made when it is missing.
        source: the log.
        text: whether text is indexed as well.
        calls: how many calls the server has taken; entries recorded count as such in any case.
        retry_s: how long to wait, in seconds, when the file cannot be written or the evidence is damaged.
        on_error: as for `Derived`.

    """

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        text: bool = True,
        calls: Callable[[], int] = lambda: 0,
        retry_s: float = 5.0,
        room: Callable[[], bool] = lambda: True,
        on_error: OnError = unheard,
    ) -> None:
        super().__init__(path, source, FORM, TilesSnapshot, retry_s, room, on_error)
        self._text = text
        self._calls = calls
        # Guarded by `_condition`.
        self._text_covered = 0
        self._thread.start()

    @property
    def text_covered(self) -> int:
        """How many entries, from the first on, are covered by the index of text."""
        with self._condition:
            return self._text_covered

    @property
    def with_text(self) -> bool:
        """Whether text is indexed as well."""
        return self._text

    def wait_text_covered(self, size: int, timeout_s: float) -> bool:
        """Wait until the text of the first `size` entries is covered; return whether it is."""
        with self._condition:
            return self._condition.wait_for(lambda: self._text_covered >= size, timeout_s)

    def _feed(self, connection: apsw.Connection) -> None:
        self._set_covered(self.covered, text_blocks(connection) * BLOCK_ENTRIES)
        while not self._stopping_now():
            sealed, size, calls, started = self._sealed, self._source.size, self._calls(), time.monotonic()
            if not self._feed_once(connection, size):
                if sealed:
                    return
                self._rest(_POLL_S)
            elif (self._source.size, self._calls()) != (size, calls):
                self._rest(_REST * (time.monotonic() - started))

    def _feed_once(self, connection: apsw.Connection, size: int) -> bool:
        """Add some times, or else the text of a block; tell whether there was anything to add."""
        covered, text_covered = self.covered, self.text_covered
        tiles = min((size - covered) // TILE_ENTRIES, _TILES_PER_WRITE)
        text_end = text_covered + BLOCK_ENTRIES
        # Signatures are bound to the evidence by what `covered` records, so they never run ahead of it.
        if tiles <= 0 and not (self._text and text_end <= covered):
            return False
        if not self._await_room():
            return True
        if tiles > 0:
            end = covered + tiles * TILE_ENTRIES
            times = [
                [event_time_ns(leaf) for leaf in self._source.leaves(start, start + TILE_ENTRIES)]
                for start in range(covered, end, TILE_ENTRIES)
            ]
            write_times(connection, covered // TILE_ENTRIES, times, self._source.root_at(end))
            self._set_covered(end, text_covered)
            self._complaint.over()
            return True
        bits, places = sign_leaves(self._leaves(text_covered, text_end))
        if not self._stopping_now():
            write_text(connection, text_covered // BLOCK_ENTRIES, bits, places)
            self._set_covered(covered, text_end)
            self._complaint.over()
        return True

    def _leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Give leaves, read a tile at a time: the largest of a block would take 256 MB. Ends early where it must."""
        for first in range(start, end, TILE_ENTRIES):
            if self._stopping_now():
                return
            yield from self._source.leaves(first, first + TILE_ENTRIES)

    def _set_covered(self, covered: int, text_covered: int) -> None:
        with self._condition:
            self._covered, self._text_covered = covered, text_covered
            self._condition.notify_all()

    def _stopping_now(self) -> bool:
        with self._condition:
            return self._stopping

    def _rest(self, timeout_s: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._stopping, timeout_s)


def event_time_ns(leaf: bytes) -> int:
    """Return a leaf's event time in nanoseconds since 1970, the nearest one that 63 bits hold."""
    start = leaf.find(_EVENT_TIME, leaf.find(_EVENT)) + len(_EVENT_TIME)
    end = leaf.find(b'"', start)
    text = leaf[start:end]
    if leaf.startswith(b"{", leaf.find(_EVENT) + len(_EVENT)) and text.endswith(b"Z") and text.isascii():
        seconds_ns = _seconds_ns(text[:19])
        digits = text[20:-1]
        if seconds_ns is not None and (not digits or digits.isdigit()):
            return min(seconds_ns + int(digits.ljust(9, b"0") or 0), MAX_TIME_NS)
    canonical = leaf_time(parse_leaf(leaf)["event"].get("time"))
    return 0 if canonical is None else max(0, min(time_ns(canonical), MAX_TIME_NS))


@lru_cache(maxsize=65_536)
def _seconds_ns(text: bytes) -> int | None:
    try:
        return time_ns(text.decode("ascii"))
    except ValueError:
        return None
