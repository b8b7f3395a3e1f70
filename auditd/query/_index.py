"""The index of one log: filled by a thread behind the commits, read by searches."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from auditd.errors import AuditdError
from auditd.query._index_file import UnfitError, close, create, open_writer, write
from auditd.query._leaf import parse_leaf
from auditd.query._readers import Readers, Snapshot
from auditd.query._source import Source
from auditd.query._terms import terms_of

_MAX_WAITING = 50_000
_BATCH = 5_000
_GATHER_S = 0.25
_LEAVES_PER_READ = 256

Entry = str | Callable[[], Mapping[str, Any]]
"""The terms of an entry, or what returns its members `event` and `caller` for them to be made of."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Offer:
    first: int
    entries: Sequence[Entry]

    @property
    def end(self) -> int:
        return self.first + len(self.entries)


class Index:
    """Narrows searches of one log; never decides one, and can be deleted at any time.

    Its thread, and no other, writes the file. A file that is missing, damaged, of another version or of other
    evidence is built anew; until it covers an entry, searches read that entry from the evidence.

    Args:
        path: the file, made when it is missing.
        source: the log.
        retry_s: how long to wait, in seconds, when the file cannot be written or the evidence is damaged.

    """

    def __init__(self, path: Path, source: Source, *, retry_s: float = 5.0) -> None:
        self._path = path
        self._source = source
        self._retry_s = retry_s
        self._readers = Readers(path)
        # `_condition` guards every attribute below it.
        self._condition = threading.Condition()
        self._offers: deque[_Offer] = deque()
        self._waiting = 0
        self._covered = 0
        self._usable = False
        self._distrusted = False
        self._behind = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"index of {source.name}", daemon=True)
        self._thread.start()

    @property
    def covered(self) -> int:
        """How many entries, from the first on, the index covers."""
        with self._condition:
            return self._covered

    @property
    def lag(self) -> int:
        """How many committed entries the index does not cover yet."""
        return max(0, self._source.size - self.covered)

    def offer(self, first: int, entries: Sequence[Entry]) -> None:
        """Take the entries from index `first` on, just committed; never blocks, and may drop them.

        What is dropped is read from the evidence later.

        Args:
            first: the first entry's index. The source's size MUST cover all of them already.
            entries: an item for each; what is called is called in the index's thread, and may leave out
                attributes.

        """
        with self._condition:
            if self._waiting + len(entries) > _MAX_WAITING:
                self._behind = True
            else:
                self._offers.append(_Offer(first, entries))
                self._waiting += len(entries)
            if len(self._offers) <= 1 or self._waiting >= _BATCH:
                self._condition.notify_all()

    def wait_covered(self, size: int, timeout_s: float) -> bool:
        """Wait until the index covers the first `size` entries; return whether it does."""
        with self._condition:
            return self._condition.wait_for(lambda: self._covered >= size, timeout_s)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot | None]:
        """Give the index as it is now; None while it is unusable.

        Whatever goes wrong in reading it is raised as `IndexUnusableError`, after which it is built anew.
        """
        with self._condition:
            usable = self._usable
        if not usable:
            yield None
            return
        with self._readers.snapshot(self._distrust) as snapshot:
            yield snapshot

    def close(self) -> None:
        """Stop the thread and close the file. What was offered and not yet written is read again later."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join()
        self._readers.retire()

    def _distrust(self) -> None:
        with self._condition:
            self._distrusted = True
            self._usable = False
            self._condition.notify_all()

    def _run(self) -> None:
        rebuild = False
        while not self._closed(0):
            try:
                connection = self._open(rebuild=rebuild)
                try:
                    self._feed(connection)
                finally:
                    self._retire(connection)
                rebuild = True
            except (apsw.Error, OSError) as error:
                _logger.warning("index of %s: %s", self._source.origin, error)
                rebuild = isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.SQLError))
                self._closed(self._retry_s)
            except AuditdError as error:
                # Searches meet the same evidence and report it; the index must only not hide it.
                _logger.error("index of %s: %s", self._source.origin, error)
                rebuild = False
                self._closed(self._retry_s)

    def _closed(self, timeout_s: float) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._closing, timeout_s)

    def _open(self, *, rebuild: bool) -> apsw.Connection:
        """Open the file, in a state fit for use."""
        size = 0
        try:
            if rebuild:
                raise UnfitError("could not be read")
            connection, size = open_writer(self._path, self._source)
        except UnfitError as reason:
            _logger.info("index of %s is built: %s", self._source.origin, reason)
            connection = create(self._path)
        with self._condition:
            self._covered = size
            self._behind = True
            self._distrusted = False
            self._usable = True
            self._condition.notify_all()
        return connection

    def _retire(self, connection: apsw.Connection) -> None:
        with self._condition:
            self._usable = False
            self._covered = 0
        self._readers.retire()
        close(connection)

    def _feed(self, connection: apsw.Connection) -> None:
        """Write entries as they come, until the index is closed or distrusted."""
        covered = self.covered
        while self._await_work():
            rows = self._gather(covered)
            if not rows:
                continue
            end = covered + len(rows)
            write(connection, covered, rows, self._source.root_at(end))
            covered = end
            with self._condition:
                self._covered = covered
                self._condition.notify_all()

    def _await_work(self) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._behind or bool(self._offers))
            if not self._behind:
                # A commit of the index costs about as much as thousands of its rows.
                self._condition.wait_for(lambda: self._stopping or self._waiting >= _BATCH, _GATHER_S)
            return not self._stopping

    @property
    def _stopping(self) -> bool:
        return self._closing or self._distrusted

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
