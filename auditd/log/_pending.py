"""Signatures of tokens that have not expired yet: kept apart, so that no copy of the evidence can act as anyone."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import apsw

from auditd.errors import AuditdError, DamagedError, FolderError, UnavailableError
from auditd.log._database import BUSY_TIMEOUT_MS, require_writable
from auditd.log._second_look import judged_by_pages, read_twice, tells_of_read
from auditd.log._store import Credential

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signatures (
    credential BLOB PRIMARY KEY,
    signature TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


class PendingSignatures:
    """`pending.db`: mode 0600, never backed up or exported. The writer thread alone changes it.

    `next_expiry` is the Unix time in seconds at which the first of its tokens expires, None where it is empty; any
    thread may read it.

    Made where it is missing; raises FolderError where it is no such file, or cannot be written, UnavailableError where
    its device refuses a read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.Lock()  # guards _reader
        self._open()

    def _open(self) -> None:
        path = self._path
        # SQLite gives its journal files the mode of the database, which therefore exists before SQLite opens it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        with ExitStack() as opened:
            try:
                db = apsw.Connection(str(path))
                opened.callback(db.close)
                db.set_busy_timeout(BUSY_TIMEOUT_MS)
                db.pragma("journal_mode", "wal")
                db.pragma("synchronous", "FULL")
                db.pragma("secure_delete", True)
                db.execute(_SCHEMA)
                require_writable(db)
                reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
                opened.callback(reader.close)
                reader.set_busy_timeout(BUSY_TIMEOUT_MS)
                self._db, self._reader = db, reader
                self.next_expiry = self._first_expiry()
            except apsw.Error as error:
                raise self._unusable(error) from error
            opened.pop_all()

    def _unusable(self, error: apsw.Error) -> AuditdError:
        # Whoever moves it away loses signatures, so not for a device that refuses reads.
        found = judged_by_pages(error, self._path, guarded=False)
        if isinstance(found, DamagedError):
            message = f"{self._path}: {error}. Move it away to go on; the signatures of tokens that have not expired"
            return FolderError("PENDING_UNREADABLE", f"{message} are then lost")
        if isinstance(error, apsw.ReadOnlyError | apsw.FullError | apsw.IOError) and not tells_of_read(error):
            return FolderError("FOLDER_UNUSABLE", f"{self._path}: {error}; the server must be able to write there")
        return found

    def reopen(self) -> None:
        """Open the file anew, as after a failure that may have left a connection that is good for nothing."""
        with self._reading:
            self._reader.close()
            self._db.close(True)
            self._open()

    def keep(self, credentials: Sequence[Credential]) -> None:
        """Store the signatures durably; a credential that is there already stays as it is."""
        kept = [item for item in credentials if item.signature is not None]
        if not kept:
            return
        with self._db:
            for credential in kept:
                self._db.execute(
                    "INSERT OR IGNORE INTO signatures (credential, signature, expires_at) VALUES (?, ?, ?)",
                    (credential.credential, credential.signature, credential.expires_at),
                )
        first = min(item.expires_at for item in kept)
        self.next_expiry = first if self.next_expiry is None else min(first, self.next_expiry)

    def expired(self, by: int, limit: int) -> list[tuple[bytes, str]]:
        """Return at most `limit` (credential, signature) of tokens that expired by Unix time `by`, the first first."""
        rows = self._db.execute(
            "SELECT credential, signature FROM signatures WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            (by, limit),
        )
        return list(rows)

    def remove(self, credentials: Sequence[bytes]) -> None:
        """Forget signatures, which the evidence holds by now or will never need."""
        with self._db:
            self._db.executemany("DELETE FROM signatures WHERE credential = ?", [(item,) for item in credentials])
        self.next_expiry = self._first_expiry()

    def holds(self, credential: bytes) -> bool:
        """Tell whether a signature waits here; for any thread. Raises UnavailableError if that cannot be read."""
        try:
            with self._reading:
                return waits_in(self._reader, self._path, credential)
        except DamagedError as error:
            # It is no evidence, and what it holds is lost only once somebody says so by moving it away.
            raise UnavailableError("EVIDENCE_UNAVAILABLE", f"pending.db cannot be read now: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._reading:
            self._reader.close()
        self._db.close()

    def _first_expiry(self) -> int | None:
        return self._db.execute("SELECT min(expires_at) FROM signatures").get  # type: ignore[no-any-return]


def waits_in(db: apsw.Connection, path: Path, credential: bytes) -> bool:
    """Tell whether the signature of a credential waits in the `pending.db` at `path`, which `db` has open.

    Raises UnavailableError where that cannot be read now, DamagedError where the file is damaged.
    """

    def look(db: apsw.Connection) -> bool:
        return db.execute("SELECT 1 FROM signatures WHERE credential = ?", (credential,)).fetchone() is not None

    return read_twice(db, path, look, guarded=False)
