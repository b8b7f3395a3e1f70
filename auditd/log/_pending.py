"""Signatures of tokens that have not expired yet: kept apart, so that no copy of the evidence can act as anyone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from auditd.errors import FolderError
from auditd.log._database import BUSY_TIMEOUT_MS
from auditd.log._store import Credential

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signatures (
    credential BLOB PRIMARY KEY,
    signature TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


class PendingSignatures:
    """`pending.db`: mode 0600, never backed up or exported, used by the writer thread alone.

    Made where it is missing; raises FolderError where SQLite cannot read it.
    """

    def __init__(self, path: Path) -> None:
        # SQLite gives its journal files the mode of the database, which therefore exists before SQLite opens it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        self._db = apsw.Connection(str(path))
        try:
            self._db.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", "FULL")
            self._db.execute(_SCHEMA)
        except apsw.Error as error:
            self._db.close()
            raise FolderError(
                "PENDING_UNREADABLE",
                f"{path}: {error}. Move it away to go on; the signatures of tokens that have not expired are then lost",
            ) from error

    def keep(self, credentials: Sequence[Credential]) -> None:
        """Store the signatures durably; a credential that is there already stays as it is."""
        with self._db:
            for credential in credentials:
                self._db.execute(
                    "INSERT OR IGNORE INTO signatures (credential, signature, expires_at) VALUES (?, ?, ?)",
                    (credential.credential, credential.signature, credential.expires_at),
                )

    def close(self) -> None:
        """Close the file."""
        self._db.close()
