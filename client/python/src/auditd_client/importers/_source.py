"""What an importer yields, how it fails, and how files are found and read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from pathlib import Path

from auditd_proto.v1.event_pb2 import Event

MAX_TEXT_BYTES = 1 << 29
"""Most bytes that one file may hold once decompressed; a gzip file may claim a thousand times its size."""

_GZIP_MAGIC = b"\x1f\x8b"


class ImportFileError(Exception):
    """A file, or one record of it, cannot be imported; `place` is such as `Records[3]`, or empty."""

    def __init__(self, path: Path, place: str, message: str) -> None:
        super().__init__(f"{path}: {place}: {message}" if place else f"{path}: {message}")
        self.path = path
        self.place = place
        self.message = message


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event, and where it was read from, such as `file.json.gz: Records[3]`."""

    where: str
    event: Event


@dataclass(frozen=True, slots=True)
class Importer:
    """A format that events can be imported from.

    `read` MUST yield the events of one file in the file's order, give the same event the same id and time
    whenever it is read, and raise ImportFileError for a file or record it cannot read, OSError for one it
    cannot open. `accepts` says which files of a folder are of this format; a file named by the user is read
    without asking.
    """

    name: str
    summary: str
    read: Callable[[Path], Iterator[PlacedEvent]]
    accepts: Callable[[Path], bool]


def find_files(importer: Importer, paths: Iterable[Path]) -> Sequence[Path]:
    """Return the files to read: those named, and in folders all that the importer accepts, by name.

    Raises ImportFileError for a folder that holds none, or a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise ImportFileError(path, "", "no such file or folder")
            found[path] = None
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file() and importer.accepts(file))
        if not files:
            raise ImportFileError(path, "", f"the folder holds no {importer.name} files")
        found.update(dict.fromkeys(files))
    return tuple(found)


def read_text(path: Path) -> str:
    """Return a file's text, gzip or plain, as its first bytes say.

    Raises ImportFileError for damaged gzip, more than MAX_TEXT_BYTES, or bytes that are no UTF-8.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            reader = GzipFile(fileobj=file) if compressed else file
            data = reader.read(MAX_TEXT_BYTES + 1)
        except (BadGzipFile, EOFError, zlib.error) as error:
            raise ImportFileError(path, "", f"damaged gzip data: {error}") from error
    if len(data) > MAX_TEXT_BYTES:
        raise ImportFileError(path, "", f"more than {MAX_TEXT_BYTES} bytes once decompressed; split the file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImportFileError(path, "", f"no UTF-8 at byte {error.start}") from error
