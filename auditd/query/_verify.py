"""Holding the files that narrow searches against the leaves: whether they would leave an entry out of an answer.

The terms of the index lie term by term, those of leaves entry by entry, and neither fits into memory. So each side is
summed up: for every block of entries, the sum of a hash of each term at each entry, keyed anew in each process. Only
blocks whose sums differ are looked at closely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from auditd.log import plain_vfs
from auditd.query._derived_file import BUSY_TIMEOUT_MS, Form, UnfitError, check_form
from auditd.query._grams import BLOCK_ENTRIES, TILE_ENTRIES, sign_leaves
from auditd.query._index_file import FORM as INDEX_FORM
from auditd.query._leaf import parse_leaf
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
_MASK = 2**64 - 1
_BREAK = re.compile(rb"[\x00-\x1f\x7f]+")
_VOCABULARY = "CREATE VIRTUAL TABLE temp.postings USING fts5vocab(main, terms, instance)"


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
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())
    except apsw.Error:
        return None
    try:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        row = db.execute("SELECT size FROM covered").fetchone()
    except apsw.Error:
        return None
    finally:
        db.close()
    return row[0] if row is not None and isinstance(row[0], int) else None


def verify_index(path: Path, leaves: Leaves, roots: Roots, progress: Progress) -> list[FalseEntries]:
    """Compare the postings of `index.db` with the terms of the leaves that it covers; return at most a hundred.

    Raises UnfitError for a file that a server would not use either, and build anew. Beside a running server its
    write-ahead log cannot shrink meanwhile.
    """
    with _opened(path, INDEX_FORM, roots) as (db, size):
        db.execute(_VOCABULARY)
        sums = [0] * -(-size // BLOCK_ENTRIES)
        for start in range(0, size, BLOCK_ENTRIES):
            end = min(size, start + BLOCK_ENTRIES)
            for index, leaf in enumerate(leaves(start, end), start):
                sums[start // BLOCK_ENTRIES] += sum(hash((term, index)) for term in _terms(leaf))
            progress(end, size)
        for term, index in db.execute("SELECT term, doc FROM temp.postings WHERE doc < ?", (size,)):
            sums[index // BLOCK_ENTRIES] -= hash((term, index))
        suspects = [number for number, total in enumerate(sums) if total & _MASK]
        return _differing(db, leaves, suspects, size) if suspects else []


def _differing(db: apsw.Connection, leaves: Leaves, suspects: Sequence[int], size: int) -> list[FalseEntries]:
    """Name the entries of the first few suspected blocks that have other postings than they should, and the others."""
    close, rest = suspects[:4], suspects[4:_MAX_FALSE]
    expected: dict[int, set[str]] = {}
    for block in close:
        start, end = block * BLOCK_ENTRIES, min(size, (block + 1) * BLOCK_ENTRIES)
        expected.update((index, _terms(leaf)) for index, leaf in enumerate(leaves(start, end), start))
    beyond: dict[int, int] = {}
    for term, index in db.execute("SELECT term, doc FROM temp.postings WHERE doc < ?", (size,)):
        if index in expected:
            if term in expected[index]:
                expected[index].discard(term)
            else:
                beyond[index] = beyond.get(index, 0) + 1
    found = [
        FalseEntries(index, index + 1, f"index.db lacks {len(missing)} of its terms, so searches by them miss it")
        for index, missing in expected.items()
        if missing
    ]
    found += [FalseEntries(index, index + 1, f"index.db has {count} terms too many") for index, count in beyond.items()]
    found += [
        FalseEntries(block * BLOCK_ENTRIES, min(size, (block + 1) * BLOCK_ENTRIES), "index.db has other terms")
        for block in rest
    ]
    return found[:_MAX_FALSE]


def _terms(leaf: bytes) -> set[str]:
    """Return the terms of a leaf as FTS5's tokenizer `ascii` takes them."""
    text = terms_of(parse_leaf(leaf)).encode().lower()
    return {term.decode() for term in _BREAK.split(text) if term}


def verify_tiles(path: Path, leaves: Leaves, roots: Roots, progress: Progress) -> list[FalseEntries]:
    """Compare what `tiles.db` says of event times and text with the leaves; raises as `verify_index` does."""
    found: list[FalseEntries] = []
    with _opened(path, TILES_FORM, roots) as (db, size):
        for start in range(0, size, BLOCK_ENTRIES):
            end = min(size, start + BLOCK_ENTRIES)
            block = list(leaves(start, end))
            for first in range(start, end - TILE_ENTRIES + 1, TILE_ENTRIES):
                tile = block[first - start : first - start + TILE_ENTRIES]
                if not _has_times(db, first // TILE_ENTRIES, [event_time_ns(leaf) for leaf in tile]):
                    found.append(FalseEntries(first, first + TILE_ENTRIES, "tiles.db has other event times"))
            stored = stored_text(db, start // BLOCK_ENTRIES)
            if stored is not None and (len(block) < BLOCK_ENTRIES or stored != sign_leaves(block)):
                found.append(FalseEntries(start, end, "tiles.db has another signature of their text"))
            progress(end, size)
            if len(found) > _MAX_FALSE:
                break
    return found[:_MAX_FALSE]


def _has_times(db: apsw.Connection, tile: int, times: Sequence[int]) -> bool:
    span = db.execute("SELECT earliest, latest FROM tiles WHERE tile = ?", (tile,)).fetchone()
    row = db.execute("SELECT times FROM times WHERE tile = ?", (tile,)).fetchone()
    return span == (min(times), max(times)) and row == (packed_times(times),)


@contextmanager
def _opened(path: Path, form: Form, roots: Roots) -> Iterator[tuple[apsw.Connection, int]]:
    """Give a file as it is at one moment, damaged pages and all, and up to which size it is to be compared."""
    if not path.exists():
        raise UnfitError("missing")
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())
    try:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        db.execute("PRAGMA temp_store = MEMORY; BEGIN")
        size, root = check_form(db, form)
        if size < 0 or (size and roots.get(size, root) != root):
            raise UnfitError("an index of other evidence")
        # Beside a running server it has grown since the roots were taken.
        yield db, max((known for known in roots if known <= size), default=0)
    except apsw.Error as error:
        raise UnfitError(str(error)) from error
    finally:
        db.close()
