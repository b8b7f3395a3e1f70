"""What an operator could do to a copy of the evidence, with nothing but SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import zstandard


def try_update(evidence: Path, index: int) -> str:
    """Try to change an entry with plain SQL; return how the file itself refused.

    Raises RuntimeError if it did not.
    """
    with closing(sqlite3.connect(evidence)) as connection:
        try:
            connection.execute("UPDATE entries SET leaf = x'00' WHERE idx = ?", (index,))
        except sqlite3.DatabaseError as error:
            return str(error)
    raise RuntimeError("the evidence let an entry be changed")


def change_entry(evidence: Path, index: int, leaf: bytes) -> None:
    """Put another leaf in the place of an entry's own: take the triggers off, change it, put them back.

    What remains is sound SQLite with the schema it had before.
    """
    frame = zstandard.ZstdCompressor().compress(leaf)
    with closing(sqlite3.connect(evidence)) as connection, connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE entries SET leaf = ? WHERE idx = ?", (frame, index))
        for _, sql in triggers:
            connection.execute(sql)
