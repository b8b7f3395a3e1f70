"""What is asked of an evidence file, each by one connection and in no transaction that outlives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from auditd.errors import DamagedError

_ROWS_A_STATEMENT = (1_000, 100)
"""Each statement may lose the GIL to other threads and wait to have it back, so they are few and of few lengths."""

CREDENTIALS_SQL = (
    "SELECT c.credential, c.issuer, c.header, c.payload, c.signature_hash, c.key_thumbprint, k.jwk, s.signature"
    " FROM credentials AS c LEFT JOIN issuer_keys AS k ON k.thumbprint = c.key_thumbprint"
    " LEFT JOIN credential_signatures AS s ON s.credential = c.credential"
)
"""The columns of a StoredCredential, in its order."""

_ANY_SIZE = (1 << 63) - 1


def statements(count: int) -> Iterator[tuple[int, int]]:
    """Split `count` rows into [start, end) of few distinct lengths, so that SQLite has prepared most of them before."""
    start = 0
    for length in _ROWS_A_STATEMENT:
        while count - start >= length:
            yield start, start + length
            start += length
    if start < count:
        yield start, count


def find(db: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the index of each of `keys` that is recorded."""
    found: dict[bytes, int] = {}
    for start, end in statements(len(keys)):
        chunk = keys[start:end]
        marks = ", ".join("?" * len(chunk))
        found.update(db.execute(f"SELECT key, idx FROM entries WHERE key IN ({marks})", chunk))  # noqa: S608 -- marks
    return found


def highest_key(db: apsw.Connection) -> bytes:
    """Return the highest key that is recorded, `b""` where there is none."""
    return bytes(db.execute("SELECT coalesce(max(key), x'') FROM entries").get)


def signature_hash(db: apsw.Connection, credential: bytes) -> bytes | None:
    """Return the hash of a recorded token's signature."""
    row = db.execute("SELECT signature_hash FROM credentials WHERE credential = ?", (credential,)).fetchone()
    return None if row is None else bytes(row[0])


def credential(db: apsw.Connection, credential: bytes) -> tuple[Any, ...] | None:
    """Return a recorded token in the columns of `CREDENTIALS_SQL`."""
    return db.execute(f"{CREDENTIALS_SQL} WHERE c.credential = ?", (credential,)).fetchone()


def size(db: apsw.Connection) -> int:
    """Return the number of entries."""
    return int(db.execute("SELECT coalesce(max(idx) + 1, 0) FROM entries").get)


def frames(db: apsw.Connection, start: int, end: int) -> list[bytes]:
    """Return the frames of the entries [start, end); raise DamagedError naming the first that is missing."""
    rows = db.execute("SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end))
    found = [row[0] for row in rows]
    if len(found) == end - start:
        return found
    there = {row[0] for row in db.execute("SELECT idx FROM entries WHERE idx >= ? AND idx < ?", (start, end))}
    missing = next(index for index in range(start, end) if index not in there)
    raise DamagedError("ENTRY_MISSING", f"entry {missing} is missing", {"index": str(missing)})


def tile(db: apsw.Connection, level: int, index: int) -> bytes:
    """Return the 8,192 bytes of a full tile; `b""` if it is not stored."""
    row = db.execute("SELECT hashes FROM tiles WHERE level = ? AND tile = ?", (level, index)).fetchone()
    return b"" if row is None else bytes(row[0])


def newest_checkpoint(db: apsw.Connection, within: int = _ANY_SIZE) -> tuple[int, str, str | None] | None:
    """Return size, note and peers of the checkpoint stored last of those of at most `within` entries."""
    sql = "SELECT size, note, peers FROM checkpoints WHERE size <= ? ORDER BY id DESC LIMIT 1"
    return db.execute(sql, (within,)).fetchone()


def dictionaries(db: apsw.Connection) -> list[tuple[int, bytes]]:
    """Return id and bytes of each dictionary, the oldest first."""
    return list(db.execute("SELECT id, dictionary FROM dictionaries ORDER BY rowid"))


def identity(db: apsw.Connection) -> tuple[str, str] | None:
    """Return the origin and the verifier key that the file was made for, if it says so."""
    row = db.execute("SELECT origin, verifier_key FROM log").fetchone()
    return None if row is None else (str(row[0]), str(row[1]))
