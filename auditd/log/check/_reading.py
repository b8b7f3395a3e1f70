"""Reading evidence without changing a byte of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import apsw

from auditd.errors import DamagedError, FolderError
from auditd.log._database import checksum_vfs, plain_vfs, schema_differences
from auditd.log._pending import waits_in
from auditd.log._plain_files import chunks_of
from auditd.log._queries import CREDENTIALS_SQL
from auditd.log._second_look import judged_by_pages, look_again, read_twice
from auditd.log._store import StoredCredential
from auditd.log.check._private_folder import private_folder
from auditd.regular_file import is_other

_CHUNK = 1_000
_WIDEST_GAP = 1_000_000
"""Entries that may be missing one by one; a row of a huge index must not have them all counted."""
_READ = ("evidence.db", "pending.db")
_MAX_UNREADABLE = 1_000
"""Rows on damaged pages that are named one by one; each is looked for some times."""


class EvidenceReader:
    """Plain SQL over one evidence file at `path`, damaged or not: no checksum is required, no trigger trusted.

    Every method raises UnavailableError where the device refuses a read, DamagedError where a page makes no sense.
    """

    def __init__(self, db: apsw.Connection, path: Path, pending: tuple[apsw.Connection, Path] | None = None) -> None:
        self._db = db
        self.path = path
        self._pending = pending
        self._unreadable = 0
        self.size = int(self._one("SELECT coalesce(max(idx), -1) FROM entries") or 0) + 1
        self.stray: int | None = None
        """The first entry behind a gap so wide that nothing is looked at from there on."""
        self.lowest = int(self._one("SELECT coalesce(min(idx), 0) FROM entries"))
        if (end := self._end()) < self.size:
            self.size, self.stray = end, int(self._one("SELECT min(idx) FROM entries WHERE idx >= ?", end))

    def rows(self, start: int, end: int) -> list[tuple[int, Any, Any]]:
        """Return (index, key, frame) of what is stored of the entries [start, end), lowest index first.

        Key and frame are None for an entry that is on a page which makes no sense.
        """
        sql = "SELECT idx, key, leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        try:
            return cast("list[tuple[int, Any, Any]]", self._rows(sql, start, end))
        except DamagedError:
            if end - start > 1:
                middle = (start + end) // 2
                return self.rows(start, middle) + self.rows(middle, end)
            self._unreadable += 1
            if self._unreadable > _MAX_UNREADABLE:
                raise
            return [(start, None, None)]

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end) that are there."""
        sql = "SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        return [_as_bytes(frame) for (frame,) in self._rows(sql, start, end)]

    def _end(self) -> int:
        """Return the number of entries before the first gap that is too wide."""
        end, behind = -1, 0
        while end < behind < self.size:
            end = behind
            sql = "SELECT coalesce(max(idx), -1) + 1 FROM entries WHERE idx < ?"
            behind = max(end, int(self._one(sql, end + _WIDEST_GAP)))
        return behind

    def tile(self, level: int, index: int) -> bytes | None:
        """Return a stored tile's bytes; None if it is missing."""
        found = self._one("SELECT hashes FROM tiles WHERE level = ? AND tile = ?", level, index)
        return None if found is None else _as_bytes(found)

    def tile_count(self) -> int:
        """Return how many tiles are stored."""
        return int(self._one("SELECT count(*) FROM tiles") or 0)

    def checkpoints(self) -> list[tuple[int, int, str]]:
        """Return (id, size, note) of each stored checkpoint of no more than `size` entries, oldest first."""
        sql = "SELECT id, size, note FROM checkpoints WHERE size <= ? ORDER BY id"
        rows = self._rows(sql, self.size)
        return [(number, size, _as_text(note)) for number, size, note in rows]

    def newest_peers(self) -> str | None:
        """Return what the newest of those says of the folder's other logs."""
        peers = self._one("SELECT peers FROM checkpoints WHERE size <= ? ORDER BY id DESC LIMIT 1", self.size)
        return None if peers is None else _as_text(peers)

    def newest_checkpoint_size(self) -> int:
        """Return the largest size that a stored checkpoint names."""
        return int(self._one("SELECT coalesce(max(size), 0) FROM checkpoints") or 0)

    def dictionaries(self) -> list[tuple[int, bytes]]:
        """Return id and bytes of each dictionary."""
        rows = self._rows("SELECT id, dictionary FROM dictionaries ORDER BY rowid")
        return [(number, _as_bytes(data)) for number, data in rows]

    def credentials(self) -> Iterator[StoredCredential]:
        """Yield each credential, with its key and signature as far as they are there."""
        after = 0
        sql = f"SELECT c.rowid, {CREDENTIALS_SQL[7:]} WHERE c.rowid > ? ORDER BY c.rowid LIMIT ?"
        while rows := self._rows(sql, after, _CHUNK):
            after = rows[-1][0]
            for _, credential, issuer, header, payload, signature_hash, thumbprint, jwk, signature in rows:
                name = _as_bytes(credential)
                if signature is None:
                    waits, signature = self._waiting(name)
                yield StoredCredential(
                    credential=name,
                    issuer=_as_text(issuer),
                    header=_as_text(header),
                    payload=_as_text(payload),
                    signature_hash=_as_bytes(signature_hash),
                    key_thumbprint=_as_text(thumbprint),
                    key_jwk=None if jwk is None else _as_text(jwk),
                    signature=None if signature is None else _as_text(signature),
                    waits=signature is None and waits,
                )

    def _waiting(self, credential: bytes) -> tuple[bool, object]:
        """Tell whether a signature waits in `pending.db`, and return it if it has come into the evidence by now."""
        waits = self._pending is not None and waits_in(*self._pending, credential)
        # In this order: a running server puts it into the evidence before it leaves `pending.db`.
        return waits, self._one("SELECT signature FROM credential_signatures WHERE credential = ?", credential)

    def identity(self) -> tuple[str, str] | None:
        """Return the origin and verifier key that the file says it is of."""
        rows = self._rows("SELECT origin, verifier_key FROM log LIMIT 1")
        return cast("tuple[str, str]", rows[0]) if rows else None

    def schema_differences(self) -> list[str]:
        """Name every table, index and trigger that is not as it was made."""
        return read_twice(self._db, self.path, schema_differences, guarded=False)

    def _one(self, sql: str, *values: Any) -> Any:  # noqa: ANN401 -- whatever SQLite holds
        rows = self._rows(sql, *values)
        return rows[0][0] if rows else None

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- whatever SQLite holds
        def look(db: apsw.Connection) -> list[tuple[Any, ...]]:
            return db.execute(sql, values).fetchall()

        return read_twice(self._db, self.path, look, guarded=False)


def page_damage(path: Path) -> list[tuple[str, str]]:
    """Return (kind, text) of what page checksums and SQLite's structure check complain about in a file, at most ten.

    Raises UnavailableError where the device refuses to give a page.

    `PAGE_CHECKSUM` alone means that every page is well-formed: a bit flipped within a value, or another program,
    such as stock `sqlite3`, wrote pages without checksums.
    """
    found = _complaints(path, guarded=True)
    if found:
        found += _complaints(path, guarded=False)
    return list(dict.fromkeys(found))[:10]


def _complaints(path: Path, *, guarded: bool) -> list[tuple[str, str]]:
    """Return what is wrong with pages; what a device refuses to read is none of it."""
    look = partial(_checked_pages, "PAGE_CHECKSUM" if guarded else "PAGE_DAMAGED")
    with open_undisturbed(path, guarded=guarded) as db:
        found = look(db)
    # A second look names less, for it ends at the first page that cannot be read.
    return found if found and look_again(path, look, guarded=guarded) else []


def _checked_pages(kind: str, db: apsw.Connection) -> list[tuple[str, str]]:
    try:
        rows = db.execute("PRAGMA integrity_check(10)").fetchall()
    except apsw.Error as error:
        why = "cannot be believed, its checksum does not match" if kind == "PAGE_CHECKSUM" else "makes no sense"
        return [(kind, f"a page {why}: {error}")]
    return [("PAGE_DAMAGED", str(row[0])) for row in rows if row[0] != "ok"]


def _as_bytes(value: object) -> bytes:
    """Return a blob; `b""` for the value of another type that a damaged page may hold."""
    return value if isinstance(value, bytes) else b""


def _as_text(value: object) -> str:
    """Return text; an empty one for the value of another type that a damaged page may hold."""
    return value if isinstance(value, str) else ""


@contextmanager
def evidence_reader(folder: Path) -> Iterator[EvidenceReader]:
    """Read the evidence of the log in `folder`; raise FolderError if it cannot be read at all.

    Beside a running server this is one more reader. Otherwise SQLite is given a private folder with hard links of
    the databases and copies of their write-ahead logs, since even a read-only connection writes beside what it opens.
    """
    if not (folder / "evidence.db").is_file():
        what = "is no regular file" if is_other(folder / "evidence.db") else "is missing"
        raise FolderError("EVIDENCE_MISSING", f"{folder / 'evidence.db'} {what}; restore a backup")
    with ExitStack() as opened:
        evidence, pending = opened.enter_context(undisturbed(folder, _READ))
        db = opened.enter_context(open_undisturbed(evidence))
        yield EvidenceReader(db, evidence, _open_pending(pending, opened))


@contextmanager
def undisturbed(folder: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Yield where SQLite may open these databases of a log's folder for reading without changing a byte of them."""
    if _is_served(folder):
        yield [folder / name for name in names]
        return
    with private_folder(folder) as private:
        # Errors name a file by its folder.
        copies = private / folder.name
        copies.mkdir()
        yield [_copy_database(folder / name, copies / name) for name in names]


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


def _copy_database(original: Path, path: Path) -> Path:
    # What is no file is as good as missing: SQLite would wait for a pipe.
    if not os.access(original, os.R_OK) or is_other(original):
        return path
    # As SQLite does: a database that was moved to another disk has its write-ahead log there.
    original = original.resolve()
    try:
        os.link(original, path)
    except OSError:
        _copy_file(original, path)
    wal = original.with_name(f"{original.name}-wal")
    if wal.exists():
        copy = path.with_name(f"{path.name}-wal")
        _copy_file(wal, copy)
        copy.chmod(0o600)
    return path


def _copy_file(original: Path, copy: Path) -> None:
    with copy.open("wb") as file:
        for chunk in chunks_of(original):
            file.write(chunk)


@contextmanager
def open_undisturbed(path: Path, *, guarded: bool = False) -> Iterator[apsw.Connection]:
    """Open a database where `undisturbed` says, for reading, and with `guarded` only what page checksums vouch for.

    Raises FolderError if it is none, UnavailableError where its device refuses what it begins with.
    """
    vfs = checksum_vfs() if guarded else plain_vfs()
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    except apsw.Error as error:
        raise judged_by_pages(error, path, guarded=guarded) from error
    try:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.set_busy_timeout(5_000)
        yield db
    finally:
        db.close()


def _open_pending(path: Path, opened: ExitStack) -> tuple[apsw.Connection, Path] | None:
    """Open `pending.db`; None where it is missing, damaged or no such file: what it held is then lost.

    Raises UnavailableError where its device refuses a read.
    """
    if not path.exists():
        return None
    try:
        db = opened.enter_context(open_undisturbed(path))
        waits_in(db, path, b"")
    except DamagedError:
        return None
    return db, path
