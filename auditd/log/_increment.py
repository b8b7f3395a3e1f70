"""What a log gained since a backup: the rows that its tables got, put behind those of the backup again.

Rows are only ever added to evidence, so what came later is what has a higher rowid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from auditd.errors import DamagedError, FolderError, UnavailableError
from auditd.log._database import checksum_vfs, plain_vfs
from auditd.log._second_look import judged_by_pages, tells_of_read

_COLUMNS: Final = {
    "dictionaries": "id, dictionary",
    "issuer_keys": "thumbprint, issuer, jwk",
    "credentials": "credential, issuer, header, payload, signature_hash, key_thumbprint",
    "credential_signatures": "credential, signature",
    "entries": "idx, key, leaf",
    "tiles": "level, tile, hashes",
    "checkpoints": "id, size, note, peers",
}
_NEW = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_EXCLUSIVE
_ROWS_A_STEP = 10_000

Progress = Callable[[int, int], None]
"""Told how many rows are done, and how many there are."""


def last_rows(evidence: apsw.Connection) -> dict[str, int]:
    """Return the highest rowid of each table, -1 where it is empty."""
    sql = "SELECT coalesce(max(rowid), -1) FROM "
    return {table: int(evidence.execute(sql + table).get) for table in _COLUMNS}


def write_increment(evidence: apsw.Connection, before: Mapping[str, int], path: Path, progress: Progress) -> None:
    """Write to the new file `path` the rows beyond `before`, which is of an earlier `last_rows`, in their order."""
    with closing(apsw.Connection(str(path), flags=_NEW, vfs=plain_vfs())) as file, file:
        for table in _COLUMNS:
            file.execute(_made(table))
        _copy(evidence, file, before, progress)


def apply_increment(increment: Path, evidence: Path, progress: Progress) -> None:
    """Add the rows of an increment to a copy of the evidence that it was made after.

    The evidence's own triggers are in force: what is not the next row is refused. Whether the rows are genuine says
    only a check of all of it. Raises DamagedError where rows do not follow, or the file is no increment,
    UnavailableError where its device refuses a read, FolderError where the copy's is full.
    """
    try:
        with (
            closing(apsw.Connection(str(increment), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())) as file,
            closing(apsw.Connection(str(evidence), flags=apsw.SQLITE_OPEN_READWRITE, vfs=checksum_vfs())) as db,
        ):
            # Whoever puts a backup together syncs it once it is whole, or throws it away.
            db.pragma("journal_mode", "off")
            db.pragma("synchronous", "OFF")
            file.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            _require_plain(file)
            with db:
                _copy(file, db, dict.fromkeys(_COLUMNS, -1), progress)
    except apsw.FullError as error:
        raise FolderError("BACKUP_UNWRITABLE", f"{evidence}: {error}; nothing was joined") from error
    except apsw.Error as error:
        found = judged_by_pages(error, increment, guarded=False) if tells_of_read(error) else None
        if isinstance(found, UnavailableError):
            raise found from error
        raise DamagedError(
            "INCREMENT_UNFIT", f"{increment} does not follow on what is there: {error}; nothing was joined"
        ) from error


def _copy(source: apsw.Connection, target: apsw.Connection, before: Mapping[str, int], progress: Progress) -> None:
    last = last_rows(source)
    done, total = 0, sum(last[table] - before[table] for table in _COLUMNS)
    for table, columns in _COLUMNS.items():
        places = ", ".join("?" * len(columns.split(",")))
        insert = f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - our own names
        select = f"SELECT {columns} FROM {table} WHERE rowid > ? ORDER BY rowid"  # noqa: S608 - our own names
        rows = source.execute(select, (before[table],))
        while step := list(islice(rows, _ROWS_A_STEP)):
            target.executemany(insert, step)
            done += len(step)
            progress(min(done, total), total)


def _made(table: str) -> str:
    return f"CREATE TABLE {table} ({_COLUMNS[table]})"


def _require_plain(file: apsw.Connection) -> None:
    found = {row[0] for row in file.execute("SELECT sql FROM sqlite_schema")}
    if found != {_made(table) for table in _COLUMNS}:
        raise apsw.SQLError("it has other tables than an increment")
