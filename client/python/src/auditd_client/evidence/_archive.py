"""Reading a package's zip: only what a package may be, each byte accounted for, nothing unpacked."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

from auditd_client.evidence._layout import (
    CREDENTIALS,
    ENTRIES,
    INSTRUCTIONS,
    MANIFEST,
    MAX_FILES,
    MAX_SMALL_BYTES,
    OMITTED,
    PROOF,
    REPORT,
    VERIFIER,
    Manifest,
    PackedFile,
)
from auditd_client.verify import MalformedError, MismatchError

_NAMES = (ENTRIES, PROOF, CREDENTIALS, OMITTED, REPORT, VERIFIER, INSTRUCTIONS, MANIFEST)
_TREES = re.compile(r"checkpoint-\d{1,19}|consistency-\d{1,19}-\d{1,19}\.hashes", re.ASCII)
_END = struct.Struct("<4s6xHI4xH")
_LOCAL = struct.Struct("<4s2xHH16xHH")
_END_SIZE, _LOCAL_SIZE = 22, 30
_MAX_DIRECTORY_BYTES = MAX_FILES * 256
_CHUNK = 1 << 18
_ENCRYPTED_OR_STREAMED = 0b1001


class PackedReader:
    """A file of the package, hashed as it is read, never longer than the manifest lists it."""

    def __init__(self, stream: IO[bytes], listed: PackedFile) -> None:
        self.name = listed.name
        self._stream = stream
        self._listed = listed
        self._left = listed.bytes
        self._sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only at the end."""
        return self._seen(self._stream.read(size))

    def lines(self, max_bytes: int) -> Iterator[bytes]:
        """Yield each line without its line feed. Raises MalformedError for one that is longer, or cut off."""
        number = 0
        while line := self._seen(self._stream.readline(max_bytes + 1)):
            number += 1
            if not line.endswith(b"\n"):
                raise MalformedError(self.name, f"cut off, or longer than {max_bytes} bytes", number)
            yield line[:-1]

    def finish(self) -> None:
        """Read what is left. Raises MismatchError unless the whole is what the manifest lists."""
        while self.read(_CHUNK):
            pass
        if self._left:
            raise MismatchError(f"{self.name}: bytes", self._listed.bytes, self._listed.bytes - self._left)
        if self._sha256.hexdigest() != self._listed.sha256:
            raise MismatchError(f"{self.name}: SHA-256", self._listed.sha256, self._sha256.hexdigest())

    def _seen(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise MismatchError(f"{self.name}: bytes", self._listed.bytes, f"more than {self._listed.bytes}")
        self._sha256.update(data)
        return data


class Archive:
    """The zip of a package: its files are known by name, stand one behind the other, and nothing stands between.

    Raises MalformedError, and within `readable` whatever a broken zip makes of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        _require_small_directory(stream)
        self._zip = zipfile.ZipFile(stream)
        infos = self._zip.infolist()
        self.names = [info.filename for info in infos]
        for info in infos:
            _require_plain(info)
        for name in self.names:
            if self.names.count(name) > 1:
                raise MalformedError("package", f"{name!a} is in it twice")
        _require_contiguous(stream, infos, self._zip.start_dir)

    def manifest(self) -> Manifest:
        """Return what the manifest says. Raises MalformedError, also unless it lists the files there are, in order."""
        if MANIFEST not in self.names:
            raise MalformedError("package", f"{MANIFEST} is missing")
        data = self._zip.open(MANIFEST).read(MAX_SMALL_BYTES + 1)
        if len(data) > MAX_SMALL_BYTES:
            raise MalformedError(MANIFEST, f"longer than {MAX_SMALL_BYTES} bytes")
        manifest = Manifest.parse(data)
        require_names([*(file.name for file in manifest.files), MANIFEST], self.names, MANIFEST)
        return manifest

    def open(self, listed: PackedFile) -> PackedReader:
        """Open a file that the manifest lists."""
        return PackedReader(self._zip.open(listed.name), listed)

    def read(self, listed: PackedFile, max_bytes: int = MAX_SMALL_BYTES) -> bytes:
        """Return a small file whole. Raises MismatchError unless it is what the manifest lists."""
        if listed.bytes > max_bytes:
            raise MalformedError(listed.name, f"{listed.bytes} bytes, limit {max_bytes}")
        reader = self.open(listed)
        data = reader.read(listed.bytes)
        reader.finish()
        return data


def require_names(expected: Sequence[str], found: Sequence[str], what: str) -> None:
    """Raise MalformedError unless exactly the expected files were found, in their order."""
    for name in found:
        if name not in expected:
            raise MalformedError("package", f"{name!a} does not belong there: {what} knows no such file")
    for name in expected:
        if name not in found:
            raise MalformedError("package", f"{name} is missing")
    if list(expected) != list(found):
        raise MalformedError("package", f"its files are in another order than {what} has them")


@contextmanager
def readable() -> Iterator[None]:
    """Turn what Python's zip reader raises for broken or hostile files into MalformedError."""
    try:
        yield
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, UnicodeError,
        OverflowError,
    ) as error:  # fmt: skip
        raise MalformedError("package", f"a broken zip file: {ascii(str(error))[:200]}") from error


def _require_small_directory(stream: BinaryIO) -> None:
    """Raise MalformedError before a directory is read that is larger than a package's can be."""
    size = stream.seek(0, 2)
    stream.seek(max(size - _END_SIZE, 0))
    end = stream.read(_END_SIZE)
    if len(end) < _END_SIZE or not end.startswith(b"PK\5\6"):
        raise MalformedError("package", "not a zip file, cut off, or something stands behind it")
    _, count, directory_bytes, comment = _END.unpack(end)
    if comment or not 0 < count <= MAX_FILES or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise MalformedError("package", f"a zip with a comment, with no file, or with more than {MAX_FILES}")


def _require_plain(info: zipfile.ZipInfo) -> None:
    if info.filename not in _NAMES and not _TREES.fullmatch(info.filename):
        raise MalformedError("package", f"{info.filename[:200]!a} does not belong to a package")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED_OR_STREAMED:
        raise MalformedError("package", f"{info.filename}: encrypted, or of an unknown compression")


def _require_contiguous(stream: BinaryIO, infos: Sequence[zipfile.ZipInfo], directory: int) -> None:
    """Raise MalformedError where another program could see other files: overlapping ones, gaps, two sets of headers."""
    position = 0
    for info in infos:
        stream.seek(position)
        header = stream.read(_LOCAL_SIZE)
        if info.header_offset != position or len(header) < _LOCAL_SIZE:
            raise MalformedError("package", f"{info.filename} does not follow the file before it")
        magic, flags, method, name_bytes, extra_bytes = _LOCAL.unpack(header)
        name = stream.read(name_bytes)
        if (
            magic != b"PK\3\4"
            or name != info.filename.encode()
            or (flags, method) != (info.flag_bits, info.compress_type)
        ):
            raise MalformedError("package", f"{info.filename} has two headers that differ")
        position += _LOCAL_SIZE + name_bytes + extra_bytes + info.compress_size
    if position != directory:
        raise MalformedError("package", "something stands between its files and their directory")
