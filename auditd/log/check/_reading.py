"""Reading evidence without changing a byte of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import apsw

from auditd.errors import FolderError
from auditd.log._database import checksum_vfs, plain_vfs, schema_differences
from auditd.log._pending import holds_signature
from auditd.log._queries import CREDENTIALS_SQL
from auditd.log._store import StoredCredential

_CHUNK = 1_000
_WIDEST_GAP = 1_000_000
"""Entries that may be missing one by one; a row of a huge index must not have them all counted."""
_READ = ("evidence.db", "pending.db")


class EvidenceReader:
    """Plain SQL over one evidence file at `path`, damaged or not: no checksum is required, no trigger trusted."""

    def __init__(self, db: apsw.Connection, path: Path, pending: apsw.Connection | None = None) -> None:
        self._db = db
        self.path = path
        self._pending = pending
        self.size = int(self._one("SELECT coalesce(max(idx), -1) FROM entries") or 0) + 1
        self.stray: int | None = None
        """The first entry behind a gap so wide that nothing is looked at from there on."""
        self.lowest = int(self._one("SELECT coalesce(min(idx), 0) FROM entries"))
        if (end := self._end()) < self.size:
            self.size, self.stray = end, int(self._one("SELECT min(idx) FROM entries WHERE idx >= ?", end))

    def rows(self, start: int, end: int) -> list[tuple[int, Any, Any]]:
        """Return (index, key, frame) of what is stored of the entries [start, end), lowest index first."""
        sql = "SELECT idx, key, leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        return cast("list[tuple[int, Any, Any]]", self._db.execute(sql, (start, end)).fetchall())

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end) that are there."""
        sql = "SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        return [_as_bytes(frame) for (frame,) in self._db.execute(sql, (start, end))]

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

    def credentials(self) -> Iterator[StoredCredential]:
        """Yield each credential, with its key and signature as far as they are there."""
        after = 0
        while rows := list(
            self._db.execute(
                f"SELECT c.rowid, {CREDENTIALS_SQL[7:]} WHERE c.rowid > ? ORDER BY c.rowid LIMIT ?", (after, _CHUNK)
            )
        ):
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
        waits = self._pending is not None and holds_signature(self._pending, credential)
        # In this order: a running server puts it into the evidence before it leaves `pending.db`.
        return waits, self._one("SELECT signature FROM credential_signatures WHERE credential = ?", credential)

    def identity(self) -> tuple[str, str] | None:
        """Return the origin and verifier key that the file says it is of."""
        return next(iter(self._db.execute("SELECT origin, verifier_key FROM log LIMIT 1")), None)

    def schema_differences(self) -> list[str]:
        """Name every table, index and trigger that is not as it was made."""
        return schema_differences(self._db)

    def _one(self, sql: str, *values: Any) -> Any:  # noqa: ANN401 -- whatever SQLite holds
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else row[0]


def page_damage(path: Path) -> list[tuple[str, str]]:
    """Return (kind, text) of what page checksums and SQLite's structure check complain about in a file, at most ten.

    `PAGE_CHECKSUM` alone means that every page is well-formed: a bit flipped within a value, or another program,
    such as stock `sqlite3`, wrote pages without checksums.
    """
    guarded = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=checksum_vfs())
    guarded.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    complaints = _complaints(guarded, "PAGE_CHECKSUM")
    guarded.close()
    if complaints:
        with open_undisturbed(path) as plain:
            complaints += _complaints(plain, "PAGE_DAMAGED")
    return list(dict.fromkeys(complaints))[:10]


def _complaints(db: apsw.Connection, kind: str) -> list[tuple[str, str]]:
    try:
        rows = db.execute("PRAGMA integrity_check(10)").fetchall()
    except apsw.Error as error:
        return [(kind, f"a page cannot be believed, its checksum does not match: {error}")]
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
        raise FolderError("EVIDENCE_MISSING", f"{folder / 'evidence.db'} is missing; restore a backup")
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
    private = Path(_make_private(folder))
    try:
        yield [_copy_database(folder / name, private / name) for name in names]
    finally:
        shutil.rmtree(private, ignore_errors=True)


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
    if not os.access(original, os.R_OK):
        return path
    try:
        os.link(original, path)
    except OSError:
        shutil.copyfile(original, path)
    wal = original.with_name(f"{original.name}-wal")
    if wal.exists():
        shutil.copyfile(wal, path.with_name(wal.name))
        path.with_name(wal.name).chmod(0o600)
    return path


def _make_private(folder: Path) -> str:
    """Make a folder on the same file system if that can be written to, for a hard link costs nothing."""
    try:
        return tempfile.mkdtemp(prefix=".check-", dir=folder.parent)
    except OSError:
        return tempfile.mkdtemp(prefix="auditd-check-")


@contextmanager
def open_undisturbed(path: Path) -> Iterator[apsw.Connection]:
    """Open a database where `undisturbed` says, for reading; raise FolderError if it is none."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=plain_vfs())
    try:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.set_busy_timeout(5_000)
        yield db
    except apsw.NotADBError as error:
        raise FolderError("EVIDENCE_UNREADABLE", f"{path.name} is no SQLite file; restore a backup") from error
    finally:
        db.close()


def _open_pending(path: Path, opened: ExitStack) -> apsw.Connection | None:
    """Open `pending.db`; None where it is missing, unreadable or no such file: what it held is then lost."""
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        return None
    opened.callback(db.close)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.set_busy_timeout(5_000)
    try:
        holds_signature(db, b"")
    except apsw.Error:
        return None
    return db
