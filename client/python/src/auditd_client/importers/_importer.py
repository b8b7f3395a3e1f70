"""An importer: a mapping, and what reads its files."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeAlias

from auditd_client.importers._csv import read_csv
from auditd_client.importers._errors import ImportFileError, RecordError
from auditd_client.importers._json import read_json
from auditd_client.importers._linux_audit import read_linux_audit
from auditd_client.importers._mapper import Mapper
from auditd_client.importers._mapping import Mapping
from auditd_client.importers._records import BadRecord, Found, Reader
from auditd_client.importers._source import STDIN, Source, opened
from auditd_client.importers._syslog import read_syslog
from auditd_proto.v1.event_pb2 import Event

_READERS: AnyMapping[str, Reader] = {
    "json": read_json,
    "csv": read_csv,
    "syslog": read_syslog,
    "linux-audit": read_linux_audit,
}
MAX_ATTRIBUTES_BYTES = 60_000
"""As every log has it: said here before a request becomes too large to be answered with a place."""

_COMPRESSED = re.compile(r"\.(?:gz|zst)\Z")
_REMEMBERED = 1 << 16


class PlacedEvent(NamedTuple):
    """An event, where it was read from, such as `file.json.gz:7: Records[3]`, and the bytes it was read from."""

    where: str
    event: Event
    raw: bytes = b""


class BadLine(NamedTuple):
    """What could not become an event: `where` it stands, why not, and its bytes, as far as they were kept."""

    where: str
    reason: str
    raw: bytes


Imported: TypeAlias = PlacedEvent | BadLine


class Importer:
    """Reads the files of one format as its mapping says.

    The same file gives the same events, names included, whenever it is read. An event without an id of its own is
    named by the SHA-256 of its record, and how many same records stood before it.
    """

    def __init__(self, mapping: Mapping, name: str = "") -> None:
        self.mapping = mapping
        self.name = name or mapping.name
        self._read = _READERS[mapping.reading.form]

    def accepts(self, path: Path) -> bool:
        """Whether a file of a folder is of this format, as its name says; `.gz` and `.zst` may stand behind it."""
        name, reading = _COMPRESSED.sub("", path.name), self.mapping.reading
        return any(fnmatch(name, one) for one in reading.files) and not any(
            fnmatch(name, one) for one in reading.excluded
        )

    def read(self, source: Source) -> Iterator[list[Imported]]:
        """Yield the events of a source in lists, each as soon as it can be read.

        Raises ImportFileError if no more can be read, OSError if reading fails.
        """
        mapper, names = Mapper(self.mapping), _DerivedNames(self.mapping.constants)

        def event(found: Found) -> Imported:
            where = f"{source.name}:{found.line}" + (f": {found.place}" if found.place else "")
            if isinstance(found, BadRecord):
                return BadLine(where, found.reason, found.raw)
            try:
                made = mapper.event(found.members, lambda: names.next(found.raw))
            except RecordError as error:
                return BadLine(where, str(error), found.raw)
            if (size := len(made.attributes_json)) > MAX_ATTRIBUTES_BYTES // 4 and (
                (size := len(made.attributes_json.encode())) > MAX_ATTRIBUTES_BYTES
            ):
                return BadLine(where, f"event.attributes: {size} bytes, limit {MAX_ATTRIBUTES_BYTES}", found.raw)
            return PlacedEvent(where, made, found.raw)

        for batch in self._read(source.pieces(), self.mapping.reading):
            yield [event(found) for found in batch]

    def read_file(self, path: Path) -> Iterator[PlacedEvent]:
        """Yield the events of a file.

        Raises ImportFileError at the first line that cannot become an event, OSError if reading fails.
        """
        with opened(str(path)) as source:
            for batch in self.read(source):
                for one in batch:
                    if isinstance(one, BadLine):
                        raise ImportFileError(one.where, "", one.reason)
                    yield one


class _DerivedNames:
    """Ids for records that have none: their hash, and the number of same records so far.

    Remembers the last 65,536 records, so a repetition further away is taken for the record itself.
    """

    def __init__(self, constants: Sequence[tuple[str, str]]) -> None:
        self._suffix = b"".join(f"\n{name}={text}".encode() for name, text in sorted(constants))
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def next(self, raw: bytes) -> str:
        digest = hashlib.sha256(raw + self._suffix).digest()[:16]
        count = self._counts[digest] = self._counts.pop(digest, 0) + 1
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return f"{digest.hex()}-{count}"


def find_files(importer: Importer, paths: Iterable[str]) -> Sequence[str]:
    """Return the files to read: those named, `-` for stdin, and in folders all that the importer accepts, by name.

    Raises ImportFileError for a folder that holds none, or a path that does not exist.
    """
    found: dict[str, None] = {}
    for name in paths:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            if name != STDIN and not path.exists():
                raise ImportFileError(name, "", "no such file or folder")
            found[name] = None
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file() and importer.accepts(file))
        if not files:
            raise ImportFileError(name, "", f"the folder holds no {importer.name} files")
        found.update(dict.fromkeys(map(str, files)))
    return tuple(found)
