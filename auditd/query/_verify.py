"""Holding the files that narrow searches against the leaves: whether they would leave an entry out of an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw

from auditd.errors import AuditdError, UnavailableError
from auditd.log import judged_by_pages, look_again, plain_vfs
from auditd.query._derived_file import BUSY_TIMEOUT_MS, Form, UnfitError, UnreadableError, check_form
from auditd.query._grams import BLOCK_ENTRIES, TILE_ENTRIES, sign_leaves
from auditd.query._index_file import FORM as INDEX_FORM
from auditd.query._index_file import RUNS
from auditd.query._leaf import parse_leaf
from auditd.query._rows import in_order
from auditd.query._runs import MOST_ROWS, Block, distinct_terms, make_run, terms_in
from auditd.query._terms import terms_of
from auditd.query._tiles import event_time_ns
from auditd.query._tiles_file import FORM as TILES_FORM
from auditd.query._tiles_file import packed_times, stored_text

Leaves = Callable[[int, int], Sequence[bytes]]
"""Returns the leaves of the entries [start, end)."""
Roots = Mapping[int, bytes]
"""The root of the tree at some sizes."""
Progress = Callable[[int, int], None]

_MAX_FALSE = 100
_BLOCKS = "SELECT term, block FROM blocks WHERE run = ? ORDER BY term"


@dataclass(frozen=True, slots=True)
class FalseEntries:
    """Entries [first, end) of which a file says something else than is recorded, and what."""

    first: int
    end: int
    what: str


def covered_by(path: Path) -> int | None:
    """Return how many entries a file says that it covers; None where it says nothing."""
    if not path.exists():
        return None
    try:
        row = look_again(path, lambda db: db.execute("SELECT size FROM covered").fetchone(), guarded=False)
    except AuditdError:
        return None
    return row[0] if row is not None and isinstance(row[0], int) else None


def verify_index(path: Path, leaves: Leaves, roots: Roots, progress: Progress) -> list[FalseEntries]:
    """Compare each run of `index.db` with the one that its leaves make; return at most a hundred differences.

    Raises UnfitError for a file that a server would not use either, and build anew, UnreadableError where that is for
    damage, UnavailableError where its device refuses a read. Beside a running server its write-ahead log cannot shrink
    meanwhile.
    """
    found: list[FalseEntries] = []
    with _opened(path, INDEX_FORM, roots) as (db, size):
        at = 0
        for first, end in cast("list[tuple[int, int]]", db.execute(RUNS, (0, size)).fetchall()):
            if at != first or not first < end <= first + MOST_ROWS:
                raise UnfitError(f"a run of entries {first} to {end} at {at}")
            at = end
            rows = _terms(leaves, first, min(end, size))
            stored = cast("list[Block]", db.execute(_BLOCKS, (first,)).fetchall())
            # A run that has grown beyond the checked size is compared as far as that.
            if end > size or make_run(rows) != stored:
                found += _differing(first, rows, [block for _, block in stored], end - first)
            progress(min(end, size), size)
            if len(found) > _MAX_FALSE:
                break
        else:
            if at < size:
                found.append(FalseEntries(at, size, "index.db has no run of them"))
    return found[:_MAX_FALSE]


def _terms(leaves: Leaves, start: int, end: int) -> list[str]:
    return [
        terms_of(parse_leaf(leaf))
        for at in range(start, end, BLOCK_ENTRIES)
        for leaf in leaves(at, min(end, at + BLOCK_ENTRIES))
    ]


def _differing(first: int, rows: Sequence[str], blocks: Sequence[bytes], length: int) -> list[FalseEntries]:
    """Name the entries from `first` on that have other terms, in the blocks of their run, than they should."""
    missing = [distinct_terms(row) for row in rows]
    beyond = [0] * len(rows)
    try:
        for term, numbers in (found for block in blocks for found in terms_in(block, length)):
            for row in filter(len(rows).__gt__, in_order(numbers, ascending=True)):
                beyond[row] += term not in missing[row]
                missing[row].discard(term)
    except ValueError as error:
        return [FalseEntries(first, first + len(rows), f"index.db cannot be read: {error}")]
    lacks = "index.db lacks {} of its terms, so searches by them miss it"
    false = [(row, lacks.format(len(terms))) for row, terms in enumerate(missing) if terms]
    false += [(row, f"index.db has {count} terms too many") for row, count in enumerate(beyond) if count]
    if not false and len(rows) == length:
        return [FalseEntries(first, first + length, "index.db has their terms in other places, so searches miss them")]
    return [FalseEntries(first + row, first + row + 1, what) for row, what in false[:_MAX_FALSE]]


def verify_tiles(path: Path, leaves: Leaves, roots: Roots, progress: Progress) -> list[FalseEntries]:
    """Compare what `tiles.db` says of event times and text with the leaves; raises as `verify_index` does."""
    found: list[FalseEntries] = []
    with _opened(path, TILES_FORM, roots) as (db, size):
        for start in range(0, size, BLOCK_ENTRIES):
            end = min(size, start + BLOCK_ENTRIES)
            times: list[int] = []
            block = _noting_times(leaves, start, end, times)
            stored = stored_text(db, start // BLOCK_ENTRIES)
            signed = None if stored is None else sign_leaves(block)
            deque(block, maxlen=0)
            found += [
                FalseEntries(first, first + TILE_ENTRIES, "tiles.db has other event times")
                for first in range(start, end - TILE_ENTRIES + 1, TILE_ENTRIES)
                if not _has_times(db, first // TILE_ENTRIES, times[first - start : first - start + TILE_ENTRIES])
            ]
            if stored is not None and (len(times) < BLOCK_ENTRIES or stored != signed):
                found.append(FalseEntries(start, end, "tiles.db has another signature of their text"))
            progress(end, size)
            if len(found) > _MAX_FALSE:
                break
    return found[:_MAX_FALSE]


def _noting_times(leaves: Leaves, start: int, end: int, times: list[int]) -> Iterator[bytes]:
    """Give the leaves of the entries [start, end), read a tile at a time, and add the time of each to `times`."""
    for first in range(start, end, TILE_ENTRIES):
        for leaf in leaves(first, min(first + TILE_ENTRIES, end)):
            times.append(event_time_ns(leaf))
            yield leaf


def _has_times(db: apsw.Connection, tile: int, times: Sequence[int]) -> bool:
    span = db.execute("SELECT earliest, latest FROM tiles WHERE tile = ?", (tile,)).fetchone()
    row = db.execute("SELECT times FROM times WHERE tile = ?", (tile,)).fetchone()
    return span == (min(times), max(times)) and row == (packed_times(times),)


@contextmanager
def _opened(path: Path, form: Form, roots: Roots) -> Iterator[tuple[apsw.Connection, int]]:
    """Give a file as it is at one moment, damaged pages and all, and up to which size it is to be compared.

    Raises UnavailableError where its device refuses a read.
    """
    if not path.exists():
        raise UnfitError("missing")
    db: apsw.Connection | None = None
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        db.execute("PRAGMA temp_store = MEMORY; BEGIN")
        size, root = check_form(db, form)
        if size < 0 or (size and roots.get(size, root) != root):
            raise UnfitError("an index of other evidence")
        # Beside a running server it has grown since the roots were taken.
        yield db, max((known for known in roots if known <= size), default=0)
    except apsw.Error as error:
        found = judged_by_pages(error, path, guarded=False)
        if isinstance(found, UnavailableError):
            raise found from error
        raise UnreadableError(str(error)) from error
    finally:
        if db is not None:
            db.close()
