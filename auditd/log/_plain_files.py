"""Files read as they are, so that a device which refuses to give bytes is told from everything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from auditd.errors import FolderError, UnavailableError
from auditd.regular_file import is_other, open_regular

_CHUNK = 1 << 20

_REMEDIES = {
    "evidence.db": "put the evidence back, or restore a backup",
    "pending.db": "move it away; signatures of tokens not yet expired are lost, entries stay sound",
    "lock": "move it away",
}
"""What to do where one of a log's files is no file, by its name; `head` is opened in a way that tells by itself."""


def require_files(folder: Path) -> None:
    """Raise FolderError where something else has the name of one of a log's files: SQLite would wait for a pipe."""
    for name, remedy in _REMEDIES.items():
        if is_other(folder / name):
            raise FolderError("FOLDER_UNUSABLE", f"{folder / name} is no regular file; {remedy}")


def chunks_of(path: Path, chunk_bytes: int = _CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a file, so many at a time at most.

    Raises UnavailableError where its device refuses them, OSError where it cannot be opened.
    """
    offset = 0
    with open_regular(path) as file:
        while True:
            try:
                chunk = file.read(chunk_bytes)
            except OSError as error:
                raise refused_read(path, f"byte {offset} of {path.name}") from error
            if not chunk:
                return
            yield chunk
            offset += len(chunk)


def bytes_of(path: Path) -> bytes:
    """Return all bytes of a file; raises as `chunks_of` does."""
    return b"".join(chunks_of(path))


def refused_read(path: Path, refused: str) -> UnavailableError:
    """Return the error for a file whose device does not give what is `refused`."""
    message = f"{short_name(path)} cannot be read now: its device refuses {refused}"
    return UnavailableError("EVIDENCE_UNAVAILABLE", message)


def short_name(path: Path) -> str:
    """Shorten a path, because callers may read it."""
    return f"{path.parent.name}/{path.name}"
