"""Reading evidence without changing a byte of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from auditd.errors import FolderError
from auditd.log._database import checksum_vfs, plain_vfs, schema_differences

_CHUNK = 1_000


class EvidenceReader:
    """Plain SQL over one evidence file, damaged or not: no checksum is required, no trigger trusted."""

    def __init__(self, db: apsw.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self.size = int(self._one("SELECT coalesce(max(idx) + 1, 0) FROM entries") or 0)

    def entries(self) -> Iterator[Sequence[tuple[int, bytes, bytes]]]:
        """Yield chunks of (index, key, frame), lowest index first; each chunk is a read of its own."""
        after = -1
        while rows := list(
            self._db.execute(
                "SELECT idx, key, leaf FROM entries WHERE idx > ? AND idx < ? ORDER BY idx LIMIT ?",
                (after, self.size, _CHUNK),
            )
        ):
            yield [(index, _as_bytes(key), _as_bytes(frame)) for index, key, frame in rows]
            after = rows[-1][0]

    def tile(self, level: int, index: int) -> bytes | None:
        """Return a stored tile's bytes; None if it is missing."""
        found = self._one("SELECT hashes FROM tiles WHERE level = ? AND tile = ?", level, index)
        return None if found is None else _as_bytes(found)

    def tile_count(self) -> int:
        """Return how many tiles are stored."""
        return int(self._one("SELECT count(*) FROM tiles") or 0)

    def checkpoints(self) -> list[tuple[int, int, str, str | None]]:
        """Return (id, size, note, peers) of each stored checkpoint of no more than `size` entries, oldest first."""
        sql = "SELECT id, size, note, peers FROM checkpoints WHERE size <= ? ORDER BY id"
        rows = self._db.execute(sql, (self.size,))
        return [(number, size, _as_text(note), peers and _as_text(peers)) for number, size, note, peers in rows]

    def newest_checkpoint_size(self) -> int:
        """Return the largest size that a stored checkpoint names."""
        return int(self._one("SELECT coalesce(max(size), 0) FROM checkpoints") or 0)

    def dictionaries(self) -> list[tuple[int, bytes]]:
        """Return id and bytes of each dictionary."""
        rows = self._db.execute("SELECT id, dictionary FROM dictionaries ORDER BY rowid")
        return [(number, _as_bytes(data)) for number, data in rows]

    def credentials(self) -> Iterator[tuple[bytes, str, str, str, bytes, str]]:
        """Yield each credential row."""
        sql = "SELECT credential, issuer, header, payload, signature_hash, key_thumbprint FROM credentials"
        for credential, issuer, header, payload, signature_hash, thumbprint in self._db.execute(sql):
            yield (
                _as_bytes(credential),
                _as_text(issuer),
                _as_text(header),
                _as_text(payload),
                _as_bytes(signature_hash),
                _as_text(thumbprint),
            )

    def issuer_key(self, thumbprint: str) -> str | None:
        """Return an issuer key as a JSON Web Key; None if it is missing."""
        found = self._one("SELECT jwk FROM issuer_keys WHERE thumbprint = ?", thumbprint)
        return None if found is None else str(found)

    def identity(self) -> tuple[str, str] | None:
        """Return the origin and verifier key that the file says it is of."""
        return next(iter(self._db.execute("SELECT origin, verifier_key FROM log LIMIT 1")), None)

    def schema_differences(self) -> list[str]:
        """Name every table, index and trigger that is not as it was made."""
        return schema_differences(self._db)

    def page_damage(self) -> list[tuple[str, str]]:
        """Return (kind, text) of what page checksums and SQLite's structure check complain about, at most ten.

        `PAGE_CHECKSUM` alone means that every page is well-formed: a bit flipped within a value, or another program,
        such as stock `sqlite3`, wrote pages without checksums.
        """
        complaints: list[tuple[str, str]] = []
        guarded = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY, vfs=checksum_vfs())
        guarded.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for db, kind in ((guarded, "PAGE_CHECKSUM"), (self._db, "PAGE_DAMAGED")):
            try:
                rows = db.execute("PRAGMA integrity_check(10)")
                complaints += [("PAGE_DAMAGED", str(row[0])) for row in rows if row[0] != "ok"]
            except apsw.Error as error:
                complaints.append((kind, f"a page cannot be believed, its checksum does not match: {error}"))
        guarded.close()
        return list(dict.fromkeys(complaints))[:10]

    def _one(self, sql: str, *values: Any) -> Any:  # noqa: ANN401 -- whatever SQLite holds
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else row[0]


def _as_bytes(value: object) -> bytes:
    """Return a blob; `b""` for the value of another type that a damaged page may hold."""
    return value if isinstance(value, bytes) else b""


def _as_text(value: object) -> str:
    """Return text; an empty one for the value of another type that a damaged page may hold."""
    return value if isinstance(value, str) else ""


@contextmanager
def evidence_reader(folder: Path) -> Iterator[EvidenceReader]:
    """Read the evidence of the log in `folder`; raise FolderError if it cannot be read at all.

    Beside a running server this is one more reader. Otherwise SQLite is given a private folder with a hard link of
    the database and a copy of its write-ahead log, since even a read-only connection writes beside what it opens.
    """
    if not (folder / "evidence.db").is_file():
        raise FolderError("EVIDENCE_MISSING", f"{folder / 'evidence.db'} is missing; restore a backup")
    if _is_served(folder):
        with _connection(folder / "evidence.db") as reader:
            yield reader
        return
    with _private_copy(folder) as path, _connection(path) as reader:
        yield reader


def _is_served(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def _private_copy(folder: Path) -> Iterator[Path]:
    private = Path(_make_private(folder))
    try:
        path = private / "evidence.db"
        try:
            os.link(folder / "evidence.db", path)
        except OSError:
            shutil.copyfile(folder / "evidence.db", path)
        wal = folder / "evidence.db-wal"
        if wal.exists():
            shutil.copyfile(wal, private / "evidence.db-wal")
        yield path
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _make_private(folder: Path) -> str:
    """Make a folder on the same file system if that can be written to, for a hard link costs nothing."""
    try:
        return tempfile.mkdtemp(prefix=".check-", dir=folder.parent)
    except OSError:
        return tempfile.mkdtemp(prefix="auditd-check-")


@contextmanager
def _connection(path: Path) -> Iterator[EvidenceReader]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())
    try:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.set_busy_timeout(5_000)
        yield EvidenceReader(db, path)
    except apsw.NotADBError as error:
        raise FolderError("EVIDENCE_UNREADABLE", f"{path.name} is no SQLite file; restore a backup") from error
    finally:
        db.close()
