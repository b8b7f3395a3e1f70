"""Signatures of tokens that have not expired yet: kept apart, so that no copy of the evidence can act as anyone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from auditd.log._store import Credential

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signatures (
    credential BLOB PRIMARY KEY,
    signature TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


class PendingSignatures:
    """`pending.db`: mode 0600, never backed up or exported, used by the writer thread alone."""

    def __init__(self, path: Path) -> None:
        # SQLite gives its journal files the mode of the database, which therefore exists before SQLite opens it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = apsw.Connection(str(path))
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "FULL")
        self._db.execute(_SCHEMA)

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
