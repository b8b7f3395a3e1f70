"""Files that are derived from the evidence of a log: how they are opened, and what makes them fit for use."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw

from auditd.log import CHECKSUM_BYTES, checksum_vfs, is_damage
from auditd.query._source import Source

BUSY_TIMEOUT_MS = 5000
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_COVERED = """
CREATE TABLE covered(size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
INSERT INTO covered VALUES (0, x'');
"""


@dataclass(frozen=True, slots=True)
class Form:
    """What a file holds: its tables, their version, and a query that reads where damage shows first.

    Each has a table `covered` as well: the size and root of the tree that the file covers.
    """

    schema: str
    version: int
    probe: str
    page_bytes: int = 4_096


class UnfitError(Exception):
    """The file cannot be used: it is missing, damaged, of another version, or of other evidence."""


class UnreadableError(UnfitError):
    """The file is there, and SQLite cannot read it."""


def open_writer(path: Path, form: Form, source: Source) -> tuple[apsw.Connection, int]:
    """Open a file and return the connection that may write it, and how many entries it covers.

    Raises:
        UnfitError: there is no file, or it is not one of `source`.
        DamagedError: the evidence contradicts itself.

    """
    if not path.exists():
        raise UnfitError("missing")
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=checksum_vfs())
    try:
        _set_up(connection)
        size, root = check_form(connection, form)
        if not 0 <= size <= source.size or (size and source.root_at(size) != root):
            raise UnfitError("an index of other evidence")
    except apsw.Error as error:
        connection.close()
        raise UnfitError(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection, size


def create(path: Path, form: Form) -> apsw.Connection:
    """Put an empty file in the place of whatever is there, and return the connection that may write it."""
    for suffix in _SUFFIXES:
        Path(str(path) + suffix).unlink(missing_ok=True)
    connection = apsw.Connection(str(path), vfs=checksum_vfs())
    try:
        connection.pragma("page_size", form.page_bytes)
        connection.reserve_bytes(reserve=CHECKSUM_BYTES)
        _set_up(connection)
        with connection:
            connection.execute(form.schema + _COVERED)
            connection.pragma("user_version", form.version)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a connection that reads a file, and notices a flipped bit where it meets it."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=checksum_vfs())
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA query_only = ON")
    # A search for one value in ten million entries looks at some three hundred pages of 8 KiB.
    connection.pragma("cache_size", -4_096)
    return connection


def is_unfit(error: Exception) -> bool:
    """Tell whether an error says that the file is damaged, so that only building it anew helps."""
    return isinstance(error, apsw.Error) and is_damage(error)


def record_covered(connection: apsw.Connection, size: int, root: bytes) -> None:
    """Record what is covered by the transaction under way: the first `size` entries, whose tree has this root."""
    connection.execute("UPDATE covered SET size = ?, root = ?", (size, root))


def close(connection: apsw.Connection) -> None:
    """Close a connection, whatever state its file is in."""
    with suppress(apsw.Error):
        connection.close()


def _set_up(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA journal_mode = WAL")
    # A lost commit is found by `covered` and made good from the evidence, so no commit waits for the disk.
    connection.execute("PRAGMA synchronous = NORMAL")


def check_form(connection: apsw.Connection, form: Form) -> tuple[int, bytes]:
    """Return how many entries a file covers and the root of their tree; raise UnfitError unless it is of this form."""
    version = connection.pragma("user_version")
    if version != form.version:
        raise UnfitError(f"version {version}, not {form.version}")
    rows = connection.execute("SELECT size, root FROM covered").fetchall()
    if len(rows) != 1:
        raise UnfitError("no record of what it covers")
    size, root = cast("tuple[int, bytes]", rows[0])
    connection.execute(form.probe).fetchone()
    return size, root
