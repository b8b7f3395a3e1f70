"""The index of one log: filled by a thread behind the commits, read by searches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import apsw

from auditd.query._derived import Derived, OnError, unheard
from auditd.query._index_file import FORM, write
from auditd.query._index_snapshot import IndexSnapshot
from auditd.query._leaf import parse_leaf
from auditd.query._source import Source
from auditd.query._terms import terms_of

_MAX_WAITING = 100_000
_MAX_WAITING_BYTES = 32 * 1024 * 1024
_BATCH = 20_000
_GATHER_S = 0.25
_LEAVES_PER_READ = 256


class Members(Protocol):
    """What returns the members `event` and `caller` of an entry, for terms to be made of them."""

    def __call__(self) -> Mapping[str, Any]: ...

    def __len__(self) -> int:
        """How many bytes it takes."""


Entry = str | Members
"""The terms of an entry, or what they are made of."""


@dataclass(frozen=True, slots=True)
class _Offer:
    first: int
    entries: Sequence[Entry]
    size: int

    @property
    def end(self) -> int:
        return self.first + len(self.entries)


class Index(Derived[IndexSnapshot]):
    """The index of fields: which values each entry has; see `Derived`."""

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        retry_s: float = 5.0,
        room: Callable[[], bool] = lambda: True,
        on_error: OnError = unheard,
    ) -> None:
        super().__init__(path, source, FORM, IndexSnapshot, retry_s, room, on_error)
        # Guarded by `_condition`.
        self._offers: deque[_Offer] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._behind = True
        self._thread.start()

    def _opened(self) -> None:
        self._behind = True

    def offer(self, first: int, entries: Sequence[Entry]) -> None:
        """Take the entries from index `first` on, just committed; never blocks, and may drop them.

        What is dropped is read from the evidence later.

        Args:
            first: the first entry's index. The source's size MUST cover all of them already.
            entries: an item for each; what is called is called in the index's thread, and may leave out
                attributes.

        """
        size = sum(map(len, entries))
        with self._condition:
            if self._waiting + len(entries) > _MAX_WAITING or self._waiting_bytes + size > _MAX_WAITING_BYTES:
                self._behind = True
            else:
                self._offers.append(_Offer(first, entries, size))
                self._waiting += len(entries)
                self._waiting_bytes += size
            if len(self._offers) <= 1 or self._waiting >= _BATCH:
                self._condition.notify_all()

    def _feed(self, connection: apsw.Connection) -> None:
        """Write entries as they come, until the index is closed or distrusted."""
        covered = self.covered
        while self._await_work() and self._await_room():
            rows = self._gather(covered)
            if not rows:
                continue
            end = covered + len(rows)
            write(connection, covered, rows, self._source.root_at(end))
            covered = end
            self._complaint.over()
            with self._condition:
                self._covered = covered
                self._condition.notify_all()

    def _await_work(self) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._behind or bool(self._offers) or self._sealed)
            if self._sealed and not self._offers:
                self._behind = self._covered < self._source.size
                if not self._behind:
                    return False
            if not self._behind:
                # A commit of the index costs about as much as thousands of its rows.
                self._condition.wait_for(lambda: self._stopping or self._waiting >= _BATCH, _GATHER_S)
            return not self._stopping

    def _gather(self, covered: int) -> list[str]:
        """Return the terms of up to some `_BATCH` entries from `covered` on, as offered or else as read."""
        rows: list[str] = []
        while len(rows) < _BATCH:
            position = covered + len(rows)
            offer = self._take(position)
            if offer is not None and offer.first <= position:
                rows.extend(map(_terms, offer.entries[position - offer.first :]))
                continue
            gap_end = self._unoffered_end(position) if offer is None else offer.first
            if gap_end <= position:
                break
            end = min(gap_end, position + _LEAVES_PER_READ)
            rows.extend(terms_of(parse_leaf(leaf)) for leaf in self._source.leaves(position, end))
        return rows

    def _take(self, position: int) -> _Offer | None:
        """Return the next offer; it stays where it is while there is a gap between `position` and it."""
        with self._condition:
            while self._offers:
                offer = self._offers[0]
                if position < offer.first and offer.end <= self._source.size:
                    return offer
                self._offers.popleft()
                self._waiting -= len(offer.entries)
                self._waiting_bytes -= offer.size
                if offer.end <= self._source.size:
                    return offer
                self._behind = True
            return None

    def _unoffered_end(self, position: int) -> int:
        """Return where the entries end that must be read because their offer was dropped or never made."""
        with self._condition:
            # An offer that comes after this line sets the flag again, or is taken later.
            size = self._source.size
            self._behind = self._behind and position < size and not self._offers
            return size if self._behind and not self._stopping else position


def _terms(entry: Entry) -> str:
    return entry if isinstance(entry, str) else terms_of(entry())
