"""Bytes on disk, the entropy that no format can go below, and how far the index lags."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import zstandard

from auditd_client import Client
from benchmarks._append import Subject

_SALT_BYTES = 16
_FLOOR_LEVEL = 19
_POLL_S = 0.02
_LAG_LIMIT_S = 120.0
_TEXT_LIMIT_S = 1_800.0
_BLOCK_ENTRIES = 4_096


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes an entry, on average.

    `floor` is what one zstd stream of level 19 over all sampled leaves takes, `random` what of it no
    compressor can save: salts and identifiers.
    """

    entries: int
    leaf: float
    evidence: float
    index: float
    floor: float
    random: float


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the index was behind the log when the load ended, and how long it took to catch up."""

    entries: int
    seconds: float


def index_lag(subject: Subject) -> Lag:
    """Wait until the index covers the log. Raises TimeoutError if it does not."""
    size = subject.size()
    started = time.perf_counter()
    behind = size - _covered(subject)
    while _covered(subject) < size:
        if time.perf_counter() - started > _LAG_LIMIT_S:
            raise TimeoutError(f"the index covers {_covered(subject):,} of {size:,} entries")
        time.sleep(_POLL_S)
    return Lag(behind, time.perf_counter() - started)


def text_lag(log: Path, size: int) -> Lag:
    """Wait until the index of text of the log in a folder covers every whole block of its first `size` entries.

    Raises TimeoutError if it does not.
    """
    started = time.perf_counter()
    behind = size - _text_covered(log)
    while _text_covered(log) < size // _BLOCK_ENTRIES * _BLOCK_ENTRIES:
        if time.perf_counter() - started > _TEXT_LIMIT_S:
            raise TimeoutError(f"text of {_text_covered(log):,} of {size:,} entries")
        time.sleep(_POLL_S)
    return Lag(behind, time.perf_counter() - started)


def sample_leaves(subject: Subject, number: int) -> list[bytes]:
    """Return the first leaves of the log."""
    with Client(subject.server.address, subject.reader, timeout_s=60) as client:
        entries = client.query("", limit=number, order="asc")
        return [entry.leaf for entry in islice(entries, number)]


def footprint(subject: Subject, leaves: list[bytes], size: int) -> Footprint:
    """Return the bytes an entry of a log of `size` entries; its server has stopped, `leaves` are a sample."""
    folder = _folder(subject)
    return Footprint(
        entries=size,
        leaf=sum(map(len, leaves)) / len(leaves),
        evidence=(folder / "evidence.db").stat().st_size / size,
        index=(folder / "index.db").stat().st_size / size,
        floor=entropy_floor(leaves),
        random=subject.kind.random_bytes + _SALT_BYTES,
    )


def entropy_floor(leaves: list[bytes]) -> float:
    """Return the bytes a leaf in one zstd stream of level 19, which no format that returns single entries reaches."""
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(_FLOOR_LEVEL, enable_ldm=True)
    )
    return len(compressor.compress(b"\n".join(leaves))) / len(leaves)


def _folder(subject: Subject) -> Path:
    return subject.server.folder / "logs" / "main"


def _covered(subject: Subject) -> int:
    """Ask the index's own file, which says what it covers; nobody else tells it to the outside."""
    uri = f"file:{_folder(subject) / 'index.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return int(db.execute("SELECT size FROM covered").fetchone()[0])


def _text_covered(log: Path) -> int:
    with closing(sqlite3.connect(f"file:{log / 'tiles.db'}?mode=ro", uri=True, timeout=10)) as db:
        return _BLOCK_ENTRIES * int(db.execute("SELECT coalesce(max(block) + 1, 0) FROM texts").fetchone()[0])
