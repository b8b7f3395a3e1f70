"""The limits that no server can pass: SQLite's own rate for the same rows, and SHA-256's."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from benchmarks._leaves import Entries

ROWS_A_COMMIT = 1_000
_ROWS_A_STATEMENT = 100
_ONE_ROW_COMMITS = 300
_WORK = """
from time import perf_counter
ends, rounds, table = perf_counter() + 0.5, 0, {}
while perf_counter() < ends:
    for number in range(1000):
        table[number] = str(number)
    rounds += 1
print(rounds)
"""
_INSERT = "INSERT INTO entries (idx, key, leaf) VALUES "


@contextmanager
def _evidence_table(folder: Path) -> Iterator[apsw.Connection]:
    """Give an empty database with the evidence's schema and triggers, durable at each commit, else as SQLite is."""
    with TemporaryDirectory(dir=folder) as scratch:
        db = apsw.Connection(str(Path(scratch) / "raw.db"))
        try:
            db.pragma("journal_mode", "wal")
            db.pragma("synchronous", "FULL")
            db.execute(resources.files("auditd.log").joinpath("schema.sql").read_text(encoding="utf-8"))
            yield db
        finally:
            db.close()


def raw_inserts_per_s(entries: Entries, folder: Path) -> float:
    """Return how many uncompressed leaves a second SQLite records, 1,000 a commit, and nothing else is done.

    The number of entries must be a multiple of 1,000.
    """
    rows = list(zip(range(len(entries.keys)), entries.keys, entries.leaves, strict=True))
    statement = _INSERT + ", ".join(["(?, ?, ?)"] * _ROWS_A_STATEMENT)
    bindings = [
        [value for row in rows[start : start + _ROWS_A_STATEMENT] for value in row]
        for start in range(0, len(rows), _ROWS_A_STATEMENT)
    ]
    a_commit = ROWS_A_COMMIT // _ROWS_A_STATEMENT
    with _evidence_table(folder) as db:
        started = time.perf_counter()
        for start in range(0, len(bindings), a_commit):
            db.execute("BEGIN IMMEDIATE")
            for values in bindings[start : start + a_commit]:
                db.execute(statement, values)
            db.execute("COMMIT")
        return len(rows) / (time.perf_counter() - started)


def raw_commit_s(entries: Entries, folder: Path) -> float:
    """Return how long SQLite takes to commit one uncompressed leaf, in seconds."""
    with _evidence_table(folder) as db:
        started = time.perf_counter()
        for index in range(_ONE_ROW_COMMITS):
            db.execute(_INSERT + "(?, ?, ?)", (index, entries.keys[index], entries.leaves[index]))
        return (time.perf_counter() - started) / _ONE_ROW_COMMITS


def sha256_mb_per_s() -> float:
    """Return SHA-256's rate over 1 MB blocks, in MB (10^6 bytes) a second, on one core."""
    block = bytes(1_000_000)
    started = time.perf_counter()
    for _ in range(200):
        hashlib.sha256(block).digest()
    return 200 / (time.perf_counter() - started)


def parallel_cores() -> float:
    """Return how many times the work of one busy process two do at once: less than two where cores are shared."""
    return _rounds_of(2) / _rounds_of(1)


def _rounds_of(processes: int) -> int:
    command = [sys.executable, "-c", _WORK]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(int(process.communicate()[0]) for process in running)
