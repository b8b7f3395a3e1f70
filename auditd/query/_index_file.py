"""The file of an index: its schema, what makes it fit for use, and writing it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import apsw

from auditd.query._source import Source
from auditd.query._terms import TOKEN_CHARACTERS

# Any change of terms, tokenizer or tables is another version: the index is then built anew.
VERSION = 1
_ROWS_PER_STATEMENT = 100
BUSY_TIMEOUT_MS = 5000
_SUFFIXES = ("", "-wal", "-shm", "-journal")


_INSERT = "INSERT INTO terms(rowid, text) VALUES "


def _sql_text(text: str) -> str:
    return text.replace("'", "''").replace('"', '""')


_TOKENIZER = f"ascii tokenchars '{_sql_text(TOKEN_CHARACTERS)}'"
_SCHEMA = f"""
CREATE VIRTUAL TABLE terms USING fts5(text, content='', detail=none, columnsize=0, tokenize="{_TOKENIZER}");
CREATE TABLE covered(size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
INSERT INTO covered VALUES (0, x'');
PRAGMA user_version = {VERSION};
"""  # noqa: S608  made of constants


class UnfitError(Exception):
    """The file cannot be used: it is missing, damaged, of another version, or of other evidence."""


def open_writer(path: Path, source: Source) -> tuple[apsw.Connection, int]:
    """Open an index and return the connection that may write it, and how many entries it covers.

    Raises:
        UnfitError: there is no file, or it is not an index of `source`.
        DamagedError: the evidence contradicts itself.

    """
    if not path.exists():
        raise UnfitError("missing")
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        _set_up(connection)
        size, root = _check(connection)
        if not 0 <= size <= source.size or (size and source.root_at(size) != root):
            raise UnfitError("an index of other evidence")
    except apsw.Error as error:
        connection.close()
        raise UnfitError(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection, size


def create(path: Path) -> apsw.Connection:
    """Put an empty index in the place of whatever is there, and return the connection that may write it."""
    for suffix in _SUFFIXES:
        Path(str(path) + suffix).unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    try:
        _set_up(connection)
        with connection:
            connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def write(connection: apsw.Connection, first: int, rows: Sequence[str], root: bytes) -> None:
    """Add the entries from `first` on, one text of terms each, and record what is then covered.

    All or nothing. `root` is that of the tree that ends with the last of them.
    """
    with connection:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[start : start + _ROWS_PER_STATEMENT]
            # One statement for many rows keeps the interpreter's lock released; one a row fights for it.
            bindings = [value for number, text in enumerate(part, first + start) for value in (number, text)]
            connection.execute(_INSERT + ",".join(["(?,?)"] * len(part)), bindings)
        connection.execute("UPDATE covered SET size = ?, root = ?", (first + len(rows), root))


def _set_up(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA journal_mode = WAL")
    # A lost commit is found by `covered` and made good from the evidence, so no commit waits for the disk.
    connection.execute("PRAGMA synchronous = NORMAL")


def _check(connection: apsw.Connection) -> tuple[int, bytes]:
    version = connection.pragma("user_version")
    if version != VERSION:
        raise UnfitError(f"version {version}, not {VERSION}")
    rows = connection.execute("SELECT size, root FROM covered").fetchall()
    if len(rows) != 1:
        raise UnfitError("no record of what it covers")
    size, root = cast("tuple[int, bytes]", rows[0])
    # Reads the index's structure and its newest segments, where a torn file shows first.
    connection.execute("SELECT count(*) FROM terms WHERE terms MATCH '\"o\"'").fetchone()
    return size, root


def close(connection: apsw.Connection) -> None:
    """Close a connection, whatever state its file is in."""
    with suppress(apsw.Error):
        connection.close()
