"""The folder of a backup that a server sends: whole, as the server's manifest says, or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from auditd_client._backup_manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BackupManifest,
    FileInBackup,
    LogInBackup,
    read_manifest,
    refuse,
)
from auditd_client._durable import sync
from auditd_client._history import History
from auditd_client.errors import OutputError
from auditd_proto.v1 import admin_service_pb2 as pb

BackupProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was received: `folder`, when it was made, its logs by name, and how much came.

    `since` is the hex SHA-256 of the manifest that it goes on from; empty for a whole one.
    """

    folder: Path
    made_at: str
    logs: Mapping[str, LogInBackup]
    files: int
    bytes: int
    since: str


def since_manifest(since: str | Path | None) -> bytes:
    """Return the bytes of the manifest of another backup; raise OutputError where it has none."""
    if since is None:
        return b""
    path = Path(since) / MANIFEST_NAME
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise OutputError(f"{path}: larger than a manifest can be")
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}: no backup to go on from", reason="NOT_A_BACKUP") from error


class BackupFolder:
    """Takes the parts of a backup as they come, and writes the files; for one thread at a time.

    `since` are the bytes of the manifest that was sent along. `histories` are those of logs whose key is known: each
    must be there, and its checkpoint be signed by that key and agree with what was verified before.
    """

    def __init__(self, folder: Path, since: bytes, histories: Iterable[History], progress: BackupProgress) -> None:
        self._folder = folder
        self._since = hashlib.sha256(since).hexdigest() if since else ""
        self._known = [(history, history.newest) for history in histories]
        self._progress = progress
        self._manifest: BackupManifest | None = None
        self._coming = iter([(MANIFEST_NAME, FileInBackup(0, ""))])
        self._file: _File | None = None
        self._done = 0
        self._total = 0

    def receive(self, message: pb.MakeBackupResponse) -> None:
        """Take a part.

        Raises ServerError where it is not the next one, or not what it says. Raises OSError where it cannot be written.
        """
        if not message.HasField("chunk"):
            step = message.step
            self._progress(step.name, step.done, step.total)
            return
        chunk = message.chunk
        if hashlib.sha256(chunk.data).digest() != chunk.sha256:
            refuse(f"{chunk.path[:200]!r}: the bytes from {chunk.offset} on are not those that were sent")
        if self._file is None:
            self._file = self._open(chunk)
        self._file.add(chunk)
        if self._manifest is not None:
            self._done += len(chunk.data)
            self._progress("receiving", self._done, self._total)
        if self._file.is_whole:
            self._file.close()
            self._file = None
            if self._manifest is None:
                self._read_manifest()

    def finish(self, destination: Path) -> Backup:
        """Return what came, made durable; raise ServerError where something is missing."""
        manifest, missing = self._manifest, next(self._coming, None)
        if manifest is None or self._file is not None or missing is not None:
            refuse("the stream ended before its last file did")
        for path in [*self._folder.rglob("*"), self._folder]:
            sync(path)
        return Backup(destination, manifest.made_at, manifest.logs, len(manifest.files), self._total, manifest.since)

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            with suppress(OSError):
                self._file.out.close()

    def _open(self, chunk: pb.BackupChunk) -> _File:
        path, told = next(self._coming, ("", FileInBackup(0, "")))
        if chunk.path != path:
            refuse(
                f"a file {chunk.path[:200]!r} came where {path!r} was to come" if path else "more came than it names"
            )
        if self._manifest is None:
            if chunk.file_bytes > MAX_MANIFEST_BYTES:
                refuse(f"a manifest of {chunk.file_bytes} bytes")
            told = FileInBackup(chunk.file_bytes, "")
        return _File(self._folder / path, path, told)

    def _read_manifest(self) -> None:
        manifest = self._manifest = read_manifest((self._folder / MANIFEST_NAME).read_bytes())
        if manifest.since != self._since:
            refuse("it does not go on from the backup that was named" if self._since else "it is only a part")
        notes = {log.origin: log.checkpoint for log in manifest.logs.values()}
        for history, known in self._known:
            origin = history.key.name
            if origin not in notes:
                refuse(f"the log {origin}, whose key is known, is not in it")
            history.check(known, notes[origin])
        self._coming = iter(list(manifest.files.items()))
        self._total = sum(file.bytes for file in manifest.files.values())


class _File:
    """A file that is being received; `told` is what it must become."""

    def __init__(self, path: Path, name: str, told: FileInBackup) -> None:
        self._name = name
        self._told = told
        self._digest = hashlib.sha256()
        self._written = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self.out: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb")

    @property
    def is_whole(self) -> bool:
        return self._written == self._told.bytes

    def add(self, chunk: pb.BackupChunk) -> None:
        if (chunk.path, chunk.offset, chunk.file_bytes) != (self._name, self._written, self._told.bytes):
            refuse(
                f"{chunk.path[:200]!r} at {chunk.offset} of {chunk.file_bytes} bytes came where {self._name!r}"
                f" was to go on at {self._written} of {self._told.bytes}"
            )
        if not chunk.data and self._told.bytes:
            refuse(f"{self._name!r}: a part without bytes")
        if self._written + len(chunk.data) > self._told.bytes:
            refuse(f"{self._name!r}: more than {self._told.bytes} bytes")
        self.out.write(chunk.data)
        self._digest.update(chunk.data)
        self._written += len(chunk.data)

    def close(self) -> None:
        self.out.close()
        if self._told.sha256 and self._digest.hexdigest() != self._told.sha256:
            refuse(f"{self._name!r} is not the file that {MANIFEST_NAME} names")


@contextmanager
def receiving(
    destination: str | Path, since: bytes, histories: Iterable[History], progress: BackupProgress
) -> Iterator[tuple[BackupFolder, Path]]:
    """Yield what takes the parts of a backup; `destination` is there when the block ends well, and else nothing is.

    Raises OutputError where it exists or cannot be written.
    """
    destination = Path(destination)
    if destination.exists() or destination.is_symlink():
        raise OutputError(f"{destination}: exists; a backup is a new folder", reason="BACKUP_EXISTS")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        folder = BackupFolder(temporary, since, histories, progress)
        try:
            yield folder, destination
            _name(temporary, destination)
            sync(destination.parent)
        except BaseException:
            folder.close()
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        message = f"{error.filename or destination}: {error.strerror}; nothing was kept"
        raise OutputError(message, reason="BACKUP_UNWRITABLE") from error


def _name(folder: Path, destination: Path) -> None:
    try:
        folder.rename(destination)
    except OSError as error:
        # Somebody took the name meanwhile; an empty folder would have been replaced.
        if not os.path.lexists(destination):
            raise
        raise OutputError(f"{destination}: exists by now; nothing was kept", reason="BACKUP_EXISTS") from error
