"""The evidence store: the one narrow interface to where entries, tiles and checkpoints are kept."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from auditd.errors import AuditdError, DamagedError, UnavailableError
from auditd.log._database import let_go_of_wal, open_housekeeper, open_reader, open_writer, require_evidence
from auditd.merkle import Tile

_ROWS_A_STATEMENT = (1_000, 100)
"""Each statement may lose the GIL to other threads and wait to have it back, so they are few and of few lengths."""
_READERS = 8
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)
"""SQLError too: our own SQL fails for no other reason than a schema altered meanwhile."""
_DAMAGE_CODES = frozenset({apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS})
"""A page whose checksum does not match, and a file system that says the same of itself."""


CREDENTIALS_SQL = (
    "SELECT c.credential, c.issuer, c.header, c.payload, c.signature_hash, c.key_thumbprint, k.jwk, s.signature"
    " FROM credentials AS c LEFT JOIN issuer_keys AS k ON k.thumbprint = c.key_thumbprint"
    " LEFT JOIN credential_signatures AS s ON s.credential = c.credential"
)
"""The columns of a StoredCredential, in its order."""


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

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wal_pages = 0
        # None, once closed, tells whoever waits for a reader.
        # The one used last comes first: its pages are in memory, and those of readers that nobody needs never are.
        self._readers: queue.LifoQueue[apsw.Connection | None] = queue.LifoQueue()
        require_evidence(path)
        with _typed_errors(path), ExitStack() as opened:
            self._writer = self._open_writer()
            opened.callback(self._writer.close)
            for _ in range(_READERS):
                reader = open_reader(path)
                opened.callback(reader.close)
                self._readers.put(reader)
            opened.pop_all()

    def reopen(self) -> None:
        """Drop the writer's connection with whatever a failed commit left in it, and open another."""
        with _typed_errors(self.path):
            self._writer.close(True)
            self._writer = self._open_writer()

    def trust(self) -> None:
        """Learn that the evidence was verified: from now on, closing copies the write-ahead log back."""
        let_go_of_wal(self._writer)

    def open_housekeeper(self) -> apsw.Connection:
        """Return a connection for copying the write-ahead log back; close it before this store."""
        with _typed_errors(self.path):
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
        db = self._writer
        with _typed_errors(self.path), _transaction(db):
            for dictionary in batch.dictionaries:
                db.execute("INSERT INTO dictionaries (id, dictionary) VALUES (?, ?)", dictionary)
            self._insert_entries(batch)
            for tile in batch.tiles:
                db.execute(
                    "INSERT INTO tiles (level, tile, hashes) VALUES (?, ?, ?)",
                    (tile.level, tile.index, tile.hashes),
                )
            if batch.checkpoint is not None:
                db.execute(
                    "INSERT INTO checkpoints (id, size, note, peers)"
                    " SELECT coalesce(max(id) + 1, 0), ?, ?, ? FROM checkpoints",
                    (batch.checkpoint.size, batch.checkpoint.note, batch.checkpoint.peers),
                )
            for credential in batch.credentials:
                self._insert_credential(credential)

    def _insert_credential(self, credential: Credential) -> None:
        db = self._writer
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

    def _insert_entries(self, batch: Batch) -> None:
        first = batch.first_index
        for start, end in _statements(len(batch.keys)):
            values: list[Any] = []
            for position in range(start, end):
                values += (first + position, batch.keys[position], batch.frames[position])
            rows = ", ".join(["(?, ?, ?)"] * (end - start))
            self._writer.execute(f"INSERT INTO entries (idx, key, leaf) VALUES {rows}", values)  # noqa: S608 -- marks

    def release(self, signatures: Sequence[tuple[bytes, str]]) -> None:
        """Commit the signatures of (credential, signature) that the evidence lacks and whose credential it has."""
        db = self._writer
        with _typed_errors(self.path), _transaction(db):
            for credential, signature in signatures:
                db.execute(
                    "INSERT INTO credential_signatures (credential, signature) SELECT ?1, ?2"
                    " WHERE EXISTS (SELECT 1 FROM credentials WHERE credential = ?1)"
                    " AND NOT EXISTS (SELECT 1 FROM credential_signatures WHERE credential = ?1)",
                    (credential, signature),
                )

    def find(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of `keys` that is recorded, as the writer sees it."""
        with _typed_errors(self.path):
            return _find(self._writer, keys)

    def find_committed(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of `keys` that is recorded; for any thread."""
        with self._reader() as db:
            return _find(db, keys)

    def highest_key(self) -> bytes:
        """Return the highest key that is recorded, `b""` where there is none; for any thread."""
        with self._reader() as db:
            return bytes(db.execute("SELECT coalesce(max(key), x'') FROM entries").get)

    def has_credential(self, credential: bytes) -> bool:
        """Tell whether the credential is recorded; for the writer thread."""
        with _typed_errors(self.path):
            rows = self._writer.execute("SELECT 1 FROM credentials WHERE credential = ?", (credential,))
            return rows.fetchone() is not None

    def signature_hash(self, credential: bytes) -> bytes | None:
        """Return the hash of a recorded token's signature; for the writer thread."""
        with _typed_errors(self.path):
            sql = "SELECT signature_hash FROM credentials WHERE credential = ?"
            row = self._writer.execute(sql, (credential,)).fetchone()
        return None if row is None else bytes(row[0])

    def stored_credential(self, credential: bytes) -> StoredCredential | None:
        """Return what the evidence holds of a credential; for any thread."""
        with self._reader() as db:
            row = db.execute(f"{CREDENTIALS_SQL} WHERE c.credential = ?", (credential,)).fetchone()
        return None if row is None else StoredCredential(*row)

    def size(self) -> int:
        """Return the number of entries."""
        with self._reader() as db:
            return int(db.execute("SELECT coalesce(max(idx) + 1, 0) FROM entries").get)

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end); raise DamagedError naming the first that is missing."""
        with self._reader() as db:
            rows = db.execute("SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end))
            frames = [row[0] for row in rows]
            if len(frames) == end - start:
                return frames
            there = {row[0] for row in db.execute("SELECT idx FROM entries WHERE idx >= ? AND idx < ?", (start, end))}
        missing = next(index for index in range(start, end) if index not in there)
        raise DamagedError("ENTRY_MISSING", f"entry {missing} is missing", {"index": str(missing)})

    def tile(self, level: int, index: int) -> bytes:
        """Return the 8,192 bytes of a full tile; `b""` if it is not stored."""
        with self._reader() as db:
            row = db.execute("SELECT hashes FROM tiles WHERE level = ? AND tile = ?", (level, index)).fetchone()
        return b"" if row is None else bytes(row[0])

    def newest_checkpoint(self) -> StoredCheckpoint | None:
        """Return the checkpoint stored last."""
        with self._reader() as db:
            row = db.execute("SELECT size, note, peers FROM checkpoints ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else StoredCheckpoint(*row)

    def dictionaries(self) -> list[tuple[int, bytes]]:
        """Return id and bytes of each dictionary, the oldest first."""
        with self._reader() as db:
            return list(db.execute("SELECT id, dictionary FROM dictionaries ORDER BY rowid"))

    def identity(self) -> tuple[str, str]:
        """Return the origin and the verifier key that the file was made for."""
        with self._reader() as db:
            row = db.execute("SELECT origin, verifier_key FROM log").fetchone()
        if row is None:
            raise DamagedError("IDENTITY_MISSING", f"{self.path} does not say which log it is")
        return str(row[0]), str(row[1])

    def copy_wal_back(self) -> None:
        """Copy the write-ahead log into the database from the writer's own connection, waiting for nobody."""
        # Busy means that the housekeeper is at it; whatever else fails here fails again where it matters.
        with suppress(apsw.Error):
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Close every connection, each as soon as it is given back; may be called once."""
        for _ in range(_READERS):
            if reader := self._readers.get():
                reader.close()
        self._readers.put(None)
        self._writer.close()

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        db = self._readers.get()
        try:
            if db is None:
                raise UnavailableError("LOG_CLOSED", "the log is closed: the server is stopping")
            yield db
        except apsw.Error as error:
            raise _typed(error, self.path) from error
        finally:
            self._readers.put(db)


@contextmanager
def _typed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise _typed(error, path) from error


def is_damage(error: apsw.Error) -> bool:
    """Tell whether SQLite says that the file is damaged, rather than that it cannot be used now."""
    return isinstance(error, _DAMAGE) or getattr(error, "extendedresult", 0) in _DAMAGE_CODES


def _typed(error: apsw.Error, path: Path) -> AuditdError:
    """Return our error for one of SQLite's; `path` is shortened, because callers may read the message."""
    name = f"{path.parent.name}/{path.name}"
    facts = {"sqlite": f"{type(error).__name__}: {error}"}
    if is_damage(error):
        message = f"{name} is damaged ({error}); run 'auditlog check', restore a backup"
        return DamagedError("EVIDENCE_UNREADABLE", message, facts)
    return UnavailableError("EVIDENCE_UNAVAILABLE", f"{name} cannot be used now: {error}", 1.0, facts)


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


def _statements(count: int) -> Iterator[tuple[int, int]]:
    """Split `count` rows into [start, end) of few distinct lengths, so that SQLite has prepared most of them before."""
    start = 0
    for length in _ROWS_A_STATEMENT:
        while count - start >= length:
            yield start, start + length
            start += length
    if start < count:
        yield start, count


def _find(db: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for start, end in _statements(len(keys)):
        chunk = keys[start:end]
        marks = ", ".join("?" * len(chunk))
        found.update(db.execute(f"SELECT key, idx FROM entries WHERE key IN ({marks})", chunk))  # noqa: S608 -- marks
    return found
