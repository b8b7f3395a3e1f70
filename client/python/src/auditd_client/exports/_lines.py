"""JSON Lines and CSV, plain or compressed with zstd."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import IO, cast

import zstandard

from auditd_client._csv import csv_text
from auditd_client._entry_tokens import TOKEN_COLUMNS, token_values, with_tokens
from auditd_client._model import Entry
from auditd_client._rows import row
from auditd_client.exports._leaf import read_leaf
from auditd_client.exports._manifest import Compression

_ENTRIES_A_WRITE = 1_000
_LEVEL = 3
_SUFFIXES = {None: "", "zstd": ".zst"}


class JsonLines:
    """Leaves verbatim, one a line; with `verify_tokens` in an object with the verdicts on the entry's tokens."""

    header = b""

    def __init__(self, compression: Compression = None, *, verify_tokens: bool = False) -> None:
        self.suffix = f".jsonl{_SUFFIXES[compression]}"
        self._compression = compression
        self._verify_tokens = verify_tokens

    def write(self, entries: Sequence[Entry], file: IO[bytes]) -> None:
        """Write a part."""
        with _compressed(file, self._compression) as out:
            for chunk in _chunks(entries):
                out.write(self.render(chunk))

    def render(self, entries: Iterable[Entry]) -> bytes:
        """Return entries as lines."""
        if self._verify_tokens:
            return b"".join([with_tokens(entry) + b"\n" for entry in entries])
        return b"".join([entry.leaf + b"\n" for entry in entries])


class Csv:
    """Chosen columns after RFC 4180, a header first; no spreadsheet takes a cell for a formula.

    With `verify_tokens` the verdicts on an entry's tokens are the last two columns.
    """

    def __init__(self, columns: Sequence[str], compression: Compression = None, *, verify_tokens: bool = False) -> None:
        self.suffix = f".csv{_SUFFIXES[compression]}"
        self.header = csv_text([(*columns, *TOKEN_COLUMNS) if verify_tokens else columns]).encode()
        self._columns = columns
        self._compression = compression
        self._verify_tokens = verify_tokens

    def write(self, entries: Sequence[Entry], file: IO[bytes]) -> None:
        """Write a part. Raises MalformedError for an entry that is no leaf."""
        with _compressed(file, self._compression) as out:
            out.write(self.header)
            for chunk in _chunks(entries):
                out.write(self.render(chunk))

    def render(self, entries: Iterable[Entry]) -> bytes:
        """Return entries as rows, without the header."""
        return csv_text(map(self._row, entries)).encode("utf-8", "backslashreplace")

    def _row(self, entry: Entry) -> list[object]:
        values = row(read_leaf(entry.leaf, entry.index), self._columns)
        return values + token_values(entry) if self._verify_tokens else values


def zstd_to(write: Callable[[bytes], object]) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """Return what compresses on the way to `write`, and what ends the stream; without the end it shows as cut."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    return lambda data: _unless_empty(write, compressor.compress(data)), lambda: _unless_empty(
        write, compressor.flush()
    )


def _unless_empty(write: Callable[[bytes], object], data: bytes) -> None:
    if data:
        write(data)


def _compressed(file: IO[bytes], compression: Compression) -> AbstractContextManager[IO[bytes]]:
    if compression is None:
        return nullcontext(file)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return cast("AbstractContextManager[IO[bytes]]", compressor.stream_writer(file, closefd=False))


def _chunks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while chunk := list(islice(rest, _ENTRIES_A_WRITE)):
        yield chunk
