"""`MakeBackup`: a backup made beside the running server and sent, file by file, without anything left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from auditd.errors import ExhaustedError, FolderError, UnavailableError
from auditd.server._access import AccessRecorder
from auditd.server._backup_maker import BackupMaker
from auditd.server._backup_process import require_room
from auditd.server._caller import CallContext
from auditd.server._config import Config
from auditd.server._limits import violation
from auditd.server._logs import log_names
from auditd.server._manifest import MANIFEST_NAME, Manifest
from auditd.server._standing import LOOK_S, Standing, written
from auditd_proto.v1 import admin_service_pb2 as pb

CHUNK_BYTES = 1024 * 1024
_FOLDER = ".backup"
"""Within the server folder, where evidence is as well: a backup is as confidential."""
_RETRY_AFTER_S = 10.0

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


def clear_copy(server_folder: Path) -> None:
    """Remove the server's copy of a backup that has ended, or that a server which was killed has left."""
    shutil.rmtree(server_folder / _FOLDER, ignore_errors=True)


class Backups:
    """Makes backups and sends them, one at a time. Belongs to the event loop's thread."""

    def __init__(self, config: Config, access: AccessRecorder) -> None:
        self._config = config
        self._access = access
        self._folder = config.folder / _FOLDER
        self._is_busy = False
        self._stopping = False

    def stop(self) -> None:
        """End the backup that is under way, and begin no other."""
        self._stopping = True

    async def run(
        self, request: pb.MakeBackupRequest, caller: CallContext, ip: str, standing: Standing, write: Write
    ) -> None:
        """Make a backup, record that the logs were read, and send it; raise where the caller may no longer read."""
        since = _since(request.since_manifest)
        self._require_going_on()
        if self._is_busy:
            message = "another backup is being made or sent, and one at a time is; try again when it has ended"
            raise ExhaustedError("BACKUP_UNDER_WAY", message, _RETRY_AFTER_S)
        self._require_room(since)
        self._is_busy = True
        made = self._folder / "made"
        maker = BackupMaker(self._config.folder, made, since.text() if since else "")
        try:
            await self._make(maker, standing, write)
            manifest = await asyncio.to_thread(Manifest.read, made)
            await self._record(manifest, since, caller, ip)
            await self._send(made, manifest, standing, write)
        except OSError as error:
            message = f"the server's copy cannot be read: {error.filename or made}: {error.strerror}"
            raise UnavailableError("BACKUP_FAILED", message, _RETRY_AFTER_S) from error
        finally:
            # A task of its own: whoever waits for it may be cancelled once more.
            await asyncio.shield(asyncio.ensure_future(self._end(maker)))

    async def _end(self, maker: BackupMaker) -> None:
        try:
            await maker.end()
            await asyncio.to_thread(clear_copy, self._config.folder)
        finally:
            self._is_busy = False

    def _require_going_on(self) -> None:
        if self._stopping:
            raise UnavailableError("BACKUP_ENDED", "the server is stopping; ask for a backup later", _RETRY_AFTER_S)

    def _require_room(self, since: Manifest | None) -> None:
        """Raise ExhaustedError where a copy would leave callers' events no room; how large a part is shows later."""
        needed = self._config.limits.min_free_bytes
        if since is None:
            logs = (self._config.log_folder(name) for name in log_names(self._config.folder))
            needed += sum((log / "evidence.db").stat().st_size for log in logs)
        require_room(self._config.folder, needed)

    async def _make(self, maker: BackupMaker, standing: Standing, write: Write) -> None:
        try:
            clear_copy(self._config.folder)
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            raise FolderError("BACKUP_UNWRITABLE", f"{error.filename}: {error.strerror}; no backup was made") from error
        await maker.begin()
        while (step := await maker.step(LOOK_S)) is not None:
            self._require_going_on()
            standing.require()
            name, done, total = step
            message = pb.MakeBackupResponse(step=pb.BackupStep(name=name, done=done, total=total))
            await written(write(message.SerializeToString()), standing)

    async def _record(self, manifest: Manifest, since: Manifest | None, caller: CallContext, ip: str) -> None:
        """Record which entries of each log are about to be shown, and by which backup; as `AccessRecorder.read`."""
        digest = manifest.hash()
        for name, log in sorted(manifest.logs.items()):
            before = since.logs.get(name) if since is not None else None
            first = before.rows["entries"] + 1 if before is not None else 0
            entries = (first, log.entries - 1) if log.entries > first else None
            about = {"manifest": digest, "origin": log.origin}
            await self._access.read(caller, "backup", name, ip, about, entries)

    async def _send(self, made: Path, manifest: Manifest, standing: Standing, write: Write) -> None:
        for path in (MANIFEST_NAME, *manifest.files):
            with (made / path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                # An empty file is one chunk without bytes.
                for offset in range(0, max(size, 1), CHUNK_BYTES):
                    message = await asyncio.to_thread(_chunk, path, file, offset, size)
                    self._require_going_on()
                    standing.require()
                    await written(write(message.SerializeToString()), standing)


def _chunk(path: str, file: BinaryIO, offset: int, size: int) -> pb.MakeBackupResponse:
    data = file.read(CHUNK_BYTES)
    digest = hashlib.sha256(data).digest()
    return pb.MakeBackupResponse(
        chunk=pb.BackupChunk(path=path, offset=offset, data=data, sha256=digest, file_bytes=size)
    )


def _since(text: bytes) -> Manifest | None:
    """Return the manifest that a request goes on from; raise InvalidRequestError where it is none."""
    if not text:
        return None
    try:
        manifest = Manifest.parse(text)
    except ValueError as error:
        raise violation("since_manifest", f"is no manifest of a backup: {error}") from error
    if manifest.text().encode() != text:
        # Its hash is what the increment names, so another spelling would be another backup.
        raise violation("since_manifest", "is not as it was written: give the file byte for byte")
    return manifest
