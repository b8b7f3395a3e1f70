"""The newest signed checkpoint of a log, in a small file beside the database."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from auditd.errors import AuditdError, FolderError
from auditd.log._keys import verify_ed25519
from auditd.log._plain_files import refused_read
from auditd.note import Checkpoint, VerifierKey, open_note

SLOT_BYTES = 4_096
SECTOR_BYTES = 512
"""What every disk writes whole or not at all."""


class HeadFile:
    """Two slots written in turn, so that a torn write leaves the other one whole.

    Not synced: after a power cut it may be older than the evidence, never newer, because the evidence is synced
    before a slot is written. Only a note longer than a sector is, for a power cut might tear both slots of such.
    Only the writer thread writes.
    """

    def __init__(self, path: Path, key: VerifierKey, *, writable: bool = True) -> None:
        self._key = key
        self._path = path
        try:
            # A pipe of that name shall not be waited for.
            self._descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise FolderError(
                "HEAD_MISSING", f"{path}: the head is missing, so nothing says how many entries there were; put it back"
            ) from error
        except OSError as error:
            raise FolderError("HEAD_UNREADABLE", f"{path}: {error.strerror}; put the head back") from error
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise FolderError("HEAD_UNREADABLE", f"{path}: is no file; put the head back")
        self._writable = writable
        self._slot = 0

    @classmethod
    def create(cls, path: Path, key: VerifierKey, note: str) -> None:
        """Make the file, which must not exist, with `note` in it."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
        head = cls(path, key)
        try:
            head.write(note)
        finally:
            head.close()

    def read(self) -> tuple[str, Checkpoint] | None:
        """Return the newest note that verifies and its checkpoint; None where neither slot holds one.

        Raises UnavailableError where the device refuses a slot, which may be the one that holds the newest.
        """
        found = self._read_slots()
        if not found:
            return None
        slot, newest = max(found, key=lambda item: item[1][1].size)
        self._slot = slot
        return newest

    def read_all(self) -> list[tuple[str, Checkpoint]]:
        """Return each note that verifies, with its checkpoint."""
        return [held for _, held in self._read_slots()]

    def write(self, note: str) -> None:
        """Put `note` in the slot that does not hold the newest one; raise OSError if that fails."""
        data = note.encode() + b"\0"
        slot = 1 - self._slot
        if len(data) > SLOT_BYTES or os.pwrite(self._descriptor, data, slot * SLOT_BYTES) != len(data):
            raise OSError(f"{self._path}: short write")
        if len(data) > SECTOR_BYTES:
            os.fdatasync(self._descriptor)
        self._slot = slot

    def close(self) -> None:
        """Sync what was written, and close."""
        try:
            if self._writable:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _read_slots(self) -> list[tuple[int, tuple[str, Checkpoint]]]:
        return [(slot, held) for slot in (0, 1) if (held := self._read_slot(slot))]

    def _read_slot(self, slot: int) -> tuple[str, Checkpoint] | None:
        offset = slot * SLOT_BYTES
        try:
            data, _, _ = os.pread(self._descriptor, SLOT_BYTES, offset).partition(b"\0")
        except OSError as error:
            raise refused_read(self._path, f"byte {offset} of {self._path.name}") from error
        try:
            note = data.decode()
            checkpoint = Checkpoint.parse(open_note(note, [self._key], verify_ed25519).text)
        except (UnicodeDecodeError, AuditdError):
            return None
        return (note, checkpoint) if checkpoint.origin == self._key.name else None
