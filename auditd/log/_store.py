"""The evidence store: the one narrow interface to where entries, tiles and checkpoints are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from auditd.errors import DamagedError
from auditd.log import _queries as queries
from auditd.log._database import (
    let_go_of_wal,
    open_housekeeper,
    open_writer,
    require_evidence,
    schema_differences,
)
from auditd.log._readers import CONNECTIONS, Readers
from auditd.log._second_look import judged
from auditd.merkle import Tile


@dataclass(frozen=True, slots=True)
class Credential:
    """The evidence of a caller's identity: a token in its parts, and the issuer's key it was verified with.

    `credential` is SHA-256(SHA-256(header "." payload) || signature_hash), so that the row is bound to the leaf
    that names it. The signature itself waits elsewhere until the token has expired (`expires_at`, Unix seconds); None
    where it is never kept, because claims were dropped. The key is named by its RFC 7638 thumbprint and given as a
    JSON Web Key; both are empty for a token whose key is not known.
    """

    credential: bytes
    issuer: str
    header: str
    payload: str
    signature: str | None = field(repr=False)
    signature_hash: bytes
    expires_at: int
    key_thumbprint: str
    key_jwk: str


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential read back: as `Credential`, but `signature` and `key_jwk` are None where the evidence lacks them.

    `waits` says that the signature is kept elsewhere until the token has expired.
    """

    credential: bytes
    issuer: str
    header: str
    payload: str
    signature_hash: bytes
    key_thumbprint: str
    key_jwk: str | None
    signature: str | None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint row; `peers` is a signed note naming size and root of the folder's other logs."""

    size: int
    note: str
    peers: str | None = None


@dataclass(slots=True)
class Batch:
    """What one commit adds, atomically."""

    first_index: int
    keys: Sequence[bytes] = ()
    frames: Sequence[bytes] = ()
    tiles: Sequence[Tile] = ()
    checkpoint: StoredCheckpoint | None = None
    credentials: Sequence[Credential] = ()
    dictionaries: Sequence[tuple[int, bytes]] = ()


class EvidenceStore:
    """One log's evidence in one SQLite file.

    The writer thread alone calls `append`, `release`, `find`, `has_credential`, `signature_hash`, `reopen` and
    `copy_wal_back`; any thread may call the rest. No read transaction outlives a call: the log only grows, so a tree
    size is a snapshot, while an open transaction would keep the write-ahead log growing. No error of SQLite passes:
    each method raises DamagedError where the file contradicts itself or its checksums, UnavailableError where a retry
    may do better, or the store is closed.
    """

    def __init__(self, path: Path, readers: int = CONNECTIONS) -> None:
        self.path = path
        self.wal_pages = 0
        require_evidence(path)
        with _opening(path), ExitStack() as opened:
            self._writer = self._open_writer()
            opened.callback(self._writer.close)
            self._readers = Readers(path, readers)
            opened.pop_all()

    def reopen(self) -> None:
        """Drop the writer's connection with whatever a failed commit left in it, and open another."""
        with _opening(self.path):
            self._writer.close(True)
            self._writer = self._open_writer()

    @property
    def unreadable(self) -> str:
        """What the device refuses to read, as far as is known; empty if nothing is."""
        return self._readers.problem

    @property
    def read_failures(self) -> int:
        """How often the device refused a read."""
        return self._readers.failures

    def read_again(self) -> None:
        """See whether what could not be read can be by now."""
        self._readers.try_again()

    def trust(self) -> None:
        """Learn that the evidence was verified: from now on, closing copies the write-ahead log back."""
        let_go_of_wal(self._writer)

    def open_housekeeper(self) -> apsw.Connection:
        """Return a connection for copying the write-ahead log back; close it before this store."""
        with _opening(self.path):
            return open_housekeeper(self.path)

    def _open_writer(self) -> apsw.Connection:
        writer = open_writer(self.path)
        writer.set_wal_hook(self._note_wal_pages)
        return writer

    def _note_wal_pages(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def append(self, batch: Batch) -> None:
        """Commit `batch`, durably and whole; where that raises, it may have been recorded all the same."""
        self._write(partial(_insert, batch))

    def release(self, signatures: Sequence[tuple[bytes, str]]) -> None:
        """Commit the signatures of (credential, signature) that the evidence lacks and whose credential it has."""
        self._write(partial(_insert_signatures, signatures))

    def find(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of `keys` that is recorded, as the writer sees it."""
        return self._readers.read_by(self._writer, queries.find, keys)

    def find_committed(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of `keys` that is recorded; for any thread."""
        return self._readers.read(queries.find, keys)

    def highest_key(self) -> bytes:
        """Return the highest key that is recorded, `b""` where there is none; for any thread."""
        return self._readers.read(queries.highest_key)

    def has_credential(self, credential: bytes) -> bool:
        """Tell whether the credential is recorded; for the writer thread."""
        return self._readers.read_by(self._writer, queries.signature_hash, credential) is not None

    def signature_hash(self, credential: bytes) -> bytes | None:
        """Return the hash of a recorded token's signature; for the writer thread."""
        return self._readers.read_by(self._writer, queries.signature_hash, credential)

    def stored_credential(self, credential: bytes) -> StoredCredential | None:
        """Return what the evidence holds of a credential; for any thread."""
        row = self._readers.read(queries.credential, credential)
        return None if row is None else StoredCredential(*row)

    def size(self) -> int:
        """Return the number of entries."""
        return self._readers.read(queries.size)

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end); raise DamagedError naming the first that is missing."""
        return self._readers.read(queries.frames, start, end)

    def tile(self, level: int, index: int) -> bytes:
        """Return the 8,192 bytes of a full tile; `b""` if it is not stored."""
        try:
            return self._readers.read(queries.tile, level, index)
        except DamagedError as error:
            error.facts |= {"level": str(level), "tile": str(index)}
            raise

    def newest_checkpoint(self, *within: int) -> StoredCheckpoint | None:
        """Return the checkpoint stored last, or the last one of at most `within` entries."""
        row = self._readers.read(queries.newest_checkpoint, *within)
        return None if row is None else StoredCheckpoint(*row)

    def dictionaries(self) -> list[tuple[int, bytes]]:
        """Return id and bytes of each dictionary, the oldest first."""
        return self._readers.read(queries.dictionaries)

    def identity(self) -> tuple[str, str]:
        """Return the origin and the verifier key that the file was made for."""
        row = self._readers.read(queries.identity)
        if row is None:
            raise DamagedError("IDENTITY_MISSING", f"{self.path} does not say which log it is")
        return row

    def copy_wal_back(self) -> None:
        """Copy the write-ahead log into the database from the writer's own connection, waiting for nobody."""
        # Busy means that the housekeeper is at it; whatever else fails here fails again where it matters.
        with suppress(apsw.Error):
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Close every connection, each as soon as it is given back; may be called once."""
        self._readers.close()
        self._writer.close()

    def _write(self, change: Callable[[apsw.Connection], None]) -> None:
        """Commit a change by the writer's connection."""
        try:
            with _transaction(self._writer):
                change(self._writer)
        except apsw.Error as error:
            raise judged(error, self.path, partial(_rehearse, change)) from error


def _insert(batch: Batch, db: apsw.Connection) -> None:
    for dictionary in batch.dictionaries:
        db.execute("INSERT INTO dictionaries (id, dictionary) VALUES (?, ?)", dictionary)
    _insert_entries(batch, db)
    for tile in batch.tiles:
        db.execute("INSERT INTO tiles (level, tile, hashes) VALUES (?, ?, ?)", (tile.level, tile.index, tile.hashes))
    if batch.checkpoint is not None:
        db.execute(
            "INSERT INTO checkpoints (id, size, note, peers) SELECT coalesce(max(id) + 1, 0), ?, ?, ? FROM checkpoints",
            (batch.checkpoint.size, batch.checkpoint.note, batch.checkpoint.peers),
        )
    for credential in batch.credentials:
        _insert_credential(credential, db)


def _insert_entries(batch: Batch, db: apsw.Connection) -> None:
    first = batch.first_index
    for start, end in queries.statements(len(batch.keys)):
        values: list[Any] = []
        for position in range(start, end):
            values += (first + position, batch.keys[position], batch.frames[position])
        rows = ", ".join(["(?, ?, ?)"] * (end - start))
        db.execute(f"INSERT INTO entries (idx, key, leaf) VALUES {rows}", values)  # noqa: S608 -- marks


def _insert_credential(credential: Credential, db: apsw.Connection) -> None:
    key = credential.key_thumbprint
    if key and db.execute("SELECT 1 FROM issuer_keys WHERE thumbprint = ?", (key,)).fetchone() is None:
        db.execute(
            "INSERT INTO issuer_keys (thumbprint, issuer, jwk) VALUES (?, ?, ?)",
            (key, credential.issuer, credential.key_jwk),
        )
    db.execute(
        "INSERT INTO credentials (credential, issuer, header, payload, signature_hash, key_thumbprint)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            credential.credential,
            credential.issuer,
            credential.header,
            credential.payload,
            credential.signature_hash,
            key,
        ),
    )


def _insert_signatures(signatures: Sequence[tuple[bytes, str]], db: apsw.Connection) -> None:
    for credential, signature in signatures:
        db.execute(
            "INSERT INTO credential_signatures (credential, signature) SELECT ?1, ?2"
            " WHERE EXISTS (SELECT 1 FROM credentials WHERE credential = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM credential_signatures WHERE credential = ?1)",
            (credential, signature),
        )


def _rehearse(change: Callable[[apsw.Connection], None], db: apsw.Connection) -> None:
    """Make a change as far as it goes without committing it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        change(db)
    finally:
        db.execute("ROLLBACK")


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise judged(error, path, schema_differences) from error


@contextmanager
def _transaction(db: apsw.Connection) -> Iterator[None]:
    """Run the block in one transaction; keep the first error where the rollback fails as well."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
