"""SQLite connections, opened in one place, with each setting beside its reason."""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import resources
from pathlib import Path

import apsw
import apsw.sqlite_extra

from auditd.errors import DamagedError, FolderError
from auditd.log._plain_files import chunks_of

APPLICATION_ID = 0x61756474  # "audt"
FORMAT_VERSION = 1
BUSY_TIMEOUT_MS = 5_000
CHECKSUM_BYTES = 8
_HEADER = struct.Struct(">16s44xi4xi")
"""The magic string, user_version and application_id in a SQLite file's header."""

_READ_ACTIONS = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE, apsw.SQLITE_TRANSACTION}
)


def bound_caches(max_bytes: int) -> None:
    """Have all of the process's connections together cache no more: beyond it, each reuses pages of its own.

    Each may cache some megabytes, and there are eight readers of each log, which seldom read at once.
    """
    apsw.soft_heap_limit(max_bytes)


@functools.cache
def schema_text() -> str:
    """Return the SQL that makes an evidence file."""
    return resources.files("auditd.log").joinpath("schema.sql").read_text(encoding="utf-8")


def checksum_vfs() -> str:
    """Return the name of SQLite's checksum VFS.

    It keeps eight bytes a page, so that a flipped bit is an error instead of a wrong answer; stock `sqlite3`
    reads such a file as any other.
    """
    return _vfs_names()[0]


def plain_vfs() -> str:
    """Return the VFS below the checksum VFS, which reads damaged pages as they are."""
    return _vfs_names()[1]


@functools.cache
def _vfs_names() -> tuple[str, str]:
    """Register the checksum VFS once a process; return its name, and that of the one it was put on."""
    if apsw.sqlite_extra.has("cksumvfs") is None:
        raise FolderError(
            "CHECKSUM_VFS_MISSING",
            "this build of apsw lacks SQLite's checksum VFS; install apsw from its published wheel",
        )
    # Not asked for later: whatever is registered meanwhile comes before it.
    below = apsw.vfs_names()[0]
    # The extension stays registered with the process after the connection that loaded it is gone.
    apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")
    return "cksmvfs", below


def create_evidence(path: Path, origin: str, verifier_key: str) -> None:
    """Make an empty evidence file at `path`, which must not exist; raise OSError where it cannot be written."""
    try:
        _create(path, origin, verifier_key)
    except apsw.Error as error:
        number = errno.ENOSPC if isinstance(error, apsw.FullError) else errno.EIO
        raise OSError(number, said_by(error), str(path)) from error


def _create(path: Path, origin: str, verifier_key: str) -> None:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_EXCLUSIVE
    db = apsw.Connection(str(path), flags=flags, vfs=checksum_vfs())
    try:
        db.reserve_bytes(reserve=CHECKSUM_BYTES)
        _use_wal(db)
        _sync_every_commit(db)
        with db:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            db.execute(schema_text())
            db.execute("INSERT INTO log (origin, verifier_key) VALUES (?, ?)", (origin, verifier_key))
    finally:
        db.close()


def said_by(error: apsw.Error) -> str:
    """Return what SQLite says of a file that cannot be written; of a copy's it says "not an error"."""
    if isinstance(error, apsw.FullError):
        return "database or disk is full"
    return "disk I/O error" if isinstance(error, apsw.IOError) else str(error)


def require_evidence(path: Path) -> None:
    """Judge a file by its header, before SQLite and its checksums do, which another format may not have.

    MUST be called before the first connection: when a process closes any descriptor of a file, it loses all of its
    locks on it, and the next stranger to close the database would take the write-ahead log away.

    Raises FolderError for a file that is missing, of another program or of a newer format, UnavailableError where its
    device refuses to give it.
    """
    try:
        header = next(chunks_of(path, _HEADER.size), b"")
    except FileNotFoundError as error:
        raise FolderError(
            "EVIDENCE_MISSING",
            f"{path}: the evidence is missing; put the file back, or restore a backup",
            {"path": str(path)},
        ) from error
    magic, version, application_id = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0, 0)
    if magic != b"SQLite format 3\0":
        raise FolderError("NOT_EVIDENCE", f"{path} is no SQLite file; put the evidence back, or restore a backup")
    _require_format(path, application_id, version)


def restore_checksums(path: Path) -> None:
    """Write every page anew, with its checksum; raise apsw.Error if that fails.

    Only for evidence of which every entry was verified: the checksums that are lost would have told of damage.
    """
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=checksum_vfs())
    try:
        db.execute("PRAGMA checksum_verification = OFF")
        _sync_every_commit(db)
        db.execute("VACUUM")
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        db.close()


def open_writer(path: Path) -> apsw.Connection:
    """Open an evidence file for the writer thread: inserts only, durable at each commit.

    Raises FolderError for a file of another program or of a newer format, DamagedError for an altered schema,
    apsw.Error where SQLite cannot read the file.
    """
    db = _open(path)
    try:
        _use_wal(db)
        _sync_every_commit(db)
        require_writable(db)
        # Copying the WAL back is the housekeeper's work, off the commit path.
        db.pragma("wal_autocheckpoint", 0)
        db.pragma("cache_size", -16_384)
        db.authorizer = _authorizer(_READ_ACTIONS | {apsw.SQLITE_INSERT})
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path) -> apsw.Connection:
    """Open an evidence file for reading alone."""
    db = _open(path)
    try:
        db.pragma("query_only", True)
        db.pragma("cache_size", -4_096)
        db.authorizer = _authorizer(_READ_ACTIONS)
    except BaseException:
        db.close()
        raise
    return db


def open_housekeeper(path: Path) -> apsw.Connection:
    """Open an evidence file for copying its WAL back into it, and nothing else."""
    db = _open(path)
    try:
        _sync_every_commit(db)
        require_writable(db)
        db.authorizer = _authorizer(_READ_ACTIONS)
    except BaseException:
        db.close()
        raise
    return db


def open_once_more(path: Path, vfs: str, flags: int = apsw.SQLITE_OPEN_READWRITE) -> apsw.Connection:
    """Open an evidence file through a VFS, without finding that it is one: that was done before, or is done next."""
    db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=256)
    try:
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        _keep_wal(db)
        _distrust(db)
    except BaseException:
        db.close()
        raise
    return db


def _open(path: Path) -> apsw.Connection:
    db = open_once_more(path, checksum_vfs())
    try:
        _require_format(path, db.pragma("application_id"), db.pragma("user_version"))
        _require_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def require_writable(db: apsw.Connection) -> None:
    """Raise apsw.ReadOnlyError where SQLite, without a word, opened a file or its journal for reading alone.

    It does so whenever opening for writing fails, be it for a moment, and the connection stays like that.
    """
    with suppress(apsw.BusyError):  # then another process writes, which does not make it a file for reading
        db.execute("BEGIN IMMEDIATE; ROLLBACK")


def _use_wal(db: apsw.Connection) -> None:
    """Readers never wait for the writer, nor it for them."""
    mode = db.pragma("journal_mode", "wal")
    if mode != "wal":
        raise FolderError("NO_WAL", f"SQLite could not switch to its write-ahead log (journal_mode is {mode})")


def _sync_every_commit(db: apsw.Connection) -> None:
    """A commit returns after its WAL frames reached the disk (promise 1)."""
    db.pragma("synchronous", "FULL")
    db.pragma("fullfsync", True)


def _keep_wal(db: apsw.Connection) -> None:
    """A write-ahead log is not copied back and deleted at close: a damaged one is evidence of what is missing."""
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def let_go_of_wal(db: apsw.Connection) -> None:
    """At close the write-ahead log may be copied back and deleted, because the evidence was verified."""
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)


def _distrust(db: apsw.Connection) -> None:
    """A schema altered behind our back must not run code, and nobody may write to it through us."""
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)
    db.pragma("cell_size_check", True)
    db.pragma("temp_store", "MEMORY")


def _require_format(path: Path, application_id: int, version: int) -> None:
    if application_id != APPLICATION_ID or version < 1:
        raise FolderError(
            "NOT_EVIDENCE",
            f"{path} is no evidence file of auditd (application_id {application_id}, format {version});"
            " put the evidence back, or restore a backup",
        )
    if version > FORMAT_VERSION:
        raise FolderError(
            "NEWER_FORMAT",
            f"{path} has format {version}, this release knows {FORMAT_VERSION}; serve it with a newer release",
        )


@functools.cache
def _expected_schema() -> frozenset[tuple[str, str, str, str | None]]:
    db = apsw.Connection(":memory:")
    db.execute(schema_text())
    return _schema_of(db)


def _schema_of(db: apsw.Connection) -> frozenset[tuple[str, str, str, str | None]]:
    return frozenset(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def _require_schema(db: apsw.Connection, path: Path) -> None:
    differences = schema_differences(db)
    if differences:
        raise DamagedError(
            "SCHEMA_ALTERED",
            f"{path}: the schema is not the one that was made: {', '.join(differences)}; run 'auditlog check'",
            {"objects": ", ".join(differences)},
        )


def schema_differences(db: apsw.Connection) -> list[str]:
    """Name every table, index and trigger that was added, removed or altered; empty if none."""
    changed = _schema_of(db) ^ _expected_schema()
    return sorted({f"{kind} {name}" for kind, name, _, _ in changed})


def _authorizer(allowed: Iterable[int]) -> Callable[..., int]:
    permitted = frozenset(allowed)

    def authorize(action: int, first: str | None, _second: str | None, *_: str | None) -> int:
        if action in permitted:
            return apsw.SQLITE_OK
        # apsw's wal_checkpoint() and our own size queries need no pragma; data_version is how readers wait.
        if action == apsw.SQLITE_PRAGMA and first in {"data_version", "page_count", "page_size", "wal_checkpoint"}:
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY

    return authorize
