"""Room on the disk that callers' events leave to the record of what happens, of reads above all."""

from __future__ import annotations

import os
from pathlib import Path

from auditd.errors import UnavailableError

_RETRY_AFTER_S = 5.0


class DiskRoom:
    """Knows whether the file system of `folder` has `min_free_bytes` free for others than its administrator."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes

    def refusal(self) -> UnavailableError | None:
        """Return why callers' events cannot be recorded now, None where nothing stands against it."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:  # then writing fails as well, and says why
            return None
        free = disk.f_bavail * disk.f_frsize
        if free >= self._min_free_bytes:
            return None
        return UnavailableError(
            "DISK_LOW",
            f"the server's disk has {free} bytes free, min_free_bytes is {self._min_free_bytes}: the rest is kept for"
            " the record of reads and refusals",
            _RETRY_AFTER_S,
            {"recorded": "no", "limit": "min_free_bytes", "value": str(self._min_free_bytes), "free_bytes": str(free)},
        )
