"""The file of an index of fields: runs of entries, written at its end and merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import apsw

from auditd.query._derived_file import Form, record_covered
from auditd.query._runs import MOST_ROWS, make_run, merge_runs

# Any change of terms or tables is another version: the index is then built anew.
VERSION = 4
FORM = Form(
    """
    CREATE TABLE runs(first INTEGER PRIMARY KEY, end INTEGER NOT NULL) STRICT;
    CREATE TABLE blocks(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, term BLOB NOT NULL, block BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX block_of_term ON blocks(run, term);
    """,
    VERSION,
    # The newest pages, where a torn file shows first.
    "SELECT (SELECT max(end) FROM runs), (SELECT length(block) FROM blocks ORDER BY id DESC LIMIT 1)",
    page_bytes=8_192,
)
# So many neighbouring runs of about one length become one: an entry is written some six times where commits are of
# single entries, twice where they are of thousands.
_MERGED = 8
_LEVEL_BITS = 3
_RUN = "INSERT INTO runs VALUES (?, ?)"
_BLOCK = "INSERT INTO blocks(run, term, block) VALUES (?, ?, ?)"
_BLOCKS_OF_RUN = "SELECT block FROM blocks WHERE run = ? ORDER BY term"
RUNS = f"SELECT first, end FROM runs WHERE first > ?1 - {MOST_ROWS} AND first < ?2 AND end > ?1 ORDER BY first"  # noqa: S608
"""The runs that hold any of the entries [?1, ?2)."""


def write(connection: apsw.Connection, first: int, rows: Sequence[str], root: bytes) -> None:
    """Add the entries from `first` on, one text of terms each, and record what is then covered.

    All or nothing. `root` is that of the tree that ends with the last of them.
    """
    end = first + len(rows)
    with connection:
        start = first
        while start < end:
            stop = min(end, window_end(start))
            connection.execute(_RUN, (start, stop))
            connection.executemany(_BLOCK, ((start, *block) for block in make_run(rows[start - first : stop - first])))
            _merge(connection, stop)
            start = stop
        record_covered(connection, end, root)


def window_end(first: int) -> int:
    """Return where the run must end that begins at `first`: no run crosses a multiple of `MOST_ROWS`."""
    return (first // MOST_ROWS + 1) * MOST_ROWS


def _merge(connection: apsw.Connection, end: int) -> None:
    """Merge the newest runs, which end at `end`, where there are many, and all of a window that is full."""
    window = (end - 1) // MOST_ROWS * MOST_ROWS
    runs = cast("list[tuple[int, int]]", connection.execute(RUNS, (window, end)).fetchall())
    while (number := len(runs) if end == window_end(window) else _to_merge(runs)) > 1:
        merged = runs[-number:]
        del runs[-number:]
        parts = [
            (stop - start, [cast("bytes", block) for (block,) in connection.execute(_BLOCKS_OF_RUN, (start,))])
            for start, stop in merged
        ]
        for start, _ in merged:
            connection.execute("DELETE FROM blocks WHERE run = ?", (start,))
            connection.execute("DELETE FROM runs WHERE first = ?", (start,))
        first = merged[0][0]
        connection.execute(_RUN, (first, end))
        connection.executemany(_BLOCK, ((first, *block) for block in merge_runs(parts)))
        runs.append((first, end))


def _to_merge(runs: Sequence[tuple[int, int]]) -> int:
    """Return how many of the last runs are to become one; 0 for none."""
    levels = [(end - first).bit_length() // _LEVEL_BITS for first, end in runs]
    number = next((count for count, level in enumerate(reversed(levels)) if level > levels[-1]), len(levels))
    return number if number >= _MERGED else 0
