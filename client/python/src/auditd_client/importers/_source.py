"""Where records come from: files or stdin, plain, gzip or zstd, read piece by piece."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from auditd_client.importers._errors import ImportFileError

STDIN = "-"
MAX_EXPANSION = 500
"""How many times its size compressed data may become: logs shrink to a tenth, zeros to a thousandth."""

_READ_BYTES = 1 << 18
_EXPANSION_FROM_BYTES = 64 << 20
_MAX_WINDOW_BYTES = 1 << 27  # what `zstd` itself agrees to without being told
_ZSTD_STEP_BYTES = 1 << 10  # four bytes may become 128 KiB, and no more are made at once than of one step
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Source:
    """The decompressed bytes of one input, in pieces; `name` is its path, or `stdin`.

    `is_live` says that more may come at any time, so that nothing should be held back for long.
    """

    def __init__(self, name: str, file: IO[bytes], advance: Callable[[int, int], None], *, is_live: bool) -> None:
        self.name = name
        self.is_live = is_live
        self._raw = _Counted(file, advance)

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes as they come.

        Raises ImportFileError for damaged compressed data, or data that becomes more than MAX_EXPANSION times larger.
        """
        head = self._raw.peek(4)
        if head.startswith(_GZIP_MAGIC):
            yield from self._bounded("gzip", self._gzip())
        elif head == _ZSTD_MAGIC:
            yield from self._bounded("zstd", self._zstd())
        else:
            while piece := self._raw.read(_READ_BYTES):
                yield piece

    def _bounded(self, kind: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        total = 0
        for piece in pieces:
            total += len(piece)
            if total > max(_EXPANSION_FROM_BYTES, MAX_EXPANSION * self._raw.count):
                raise self._error(f"{self._raw.count} bytes of {kind} data become more than {total}; no log does")
            yield piece

    def _gzip(self) -> Iterator[bytes]:
        # Not gzip.GzipFile: it takes a pipe's short reads for the end of the data.
        member, data = None, b""
        try:
            while data := data or self._raw.read(_READ_BYTES):
                if member is None:
                    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                while piece := member.decompress(data, _READ_BYTES):
                    data = member.unconsumed_tail
                    yield piece
                data = member.unused_data
                if member.eof:
                    member = None
        except zlib.error as error:
            raise self._error(f"damaged gzip data: {error}") from error
        if member is not None:
            raise self._error("damaged gzip data: cut off")

    def _zstd(self) -> Iterator[bytes]:
        from zstandard import ZstdDecompressor, ZstdError  # not at the top: few inputs need it

        frame, data, begun = None, b"", False
        try:
            while data := data or self._raw.read(_READ_BYTES):
                step, data = data[:_ZSTD_STEP_BYTES], data[_ZSTD_STEP_BYTES:]
                if frame is None:
                    frame = ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompressobj()
                if piece := frame.decompress(step):
                    yield piece
                begun = not frame.eof
                if frame.eof:
                    data, frame = frame.unused_data + data, None
        except ZstdError as error:
            raise self._error(f"damaged zstd data: {error}") from error
        if begun:
            raise self._error("damaged zstd data: cut off")

    def _error(self, message: str) -> ImportFileError:
        return ImportFileError(self.name, "", message)


class _Counted(io.RawIOBase):
    """Reads from a file, counts what it reads, and can look at the first bytes without taking them."""

    def __init__(self, file: IO[bytes], advance: Callable[[int, int], None]) -> None:
        super().__init__()
        self._file = file
        self._advance = advance
        self._ahead = b""
        self.count = 0

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size and (piece := self._file.read(_READ_BYTES)):
            self._ahead += piece
        return self._ahead[:size]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = _READ_BYTES if size < 0 else size
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if not data:
            data = self._file.read(size)
        self.count += len(data)
        self._advance(len(data), 0)
        return data


def _unobserved(_steps: int, _count: int) -> None:
    """Tell nobody."""


@contextmanager
def opened(path: str, advance: Callable[[int, int], None] = _unobserved) -> Iterator[Source]:
    """Open a file, or stdin for `-`; `advance` is told of the bytes read, before they are decompressed.

    Raises OSError if it cannot be opened.
    """
    if path == STDIN:
        # Unbuffered: a buffer's lock, held by a thread that waits for input, would keep the interpreter from exiting.
        raw: IO[bytes] = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        yield Source("stdin", raw, advance, is_live=True)
        return
    with Path(path).open("rb", buffering=0) as file:
        yield Source(path, file, advance, is_live=False)
