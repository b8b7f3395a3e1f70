"""Room on the disk that callers' events leave to the record of what happens, of reads above all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from auditd.errors import UnavailableError

_RETRY_AFTER_S = 5.0


class DiskRoom:
    """Knows whether the file system of `folder` has `min_free_bytes` free for others than its administrator.

    `owed` returns how many bytes more it takes to copy back what is recorded already, which count as taken.
    """

    def __init__(self, folder: Path, min_free_bytes: int, owed: Callable[[], int] = lambda: 0) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._owed = owed

    def allows(self, more: int = 0) -> bool:
        """Tell whether work that can wait may take so many bytes more."""
        free = self._free()
        return free is None or free - more >= self._min_free_bytes

    @property
    def problem(self) -> str:
        """Why callers' events cannot be recorded now, empty where nothing stands against it."""
        free, owed = self._free(), self._owed()
        if free is None or free - owed >= self._min_free_bytes:
            return ""
        taken = f", what is recorded already still takes {owed}" if owed else ""
        return f"disk has {free} bytes free{taken}, min_free_bytes is {self._min_free_bytes}"

    def refusal(self) -> UnavailableError | None:
        """Return the same as the error that refuses them, None where nothing stands against it."""
        problem = self.problem
        if not problem:
            return None
        facts = {"recorded": "no", "limit": "min_free_bytes", "value": str(self._min_free_bytes)}
        return UnavailableError(
            "DISK_LOW",
            f"the server's {problem}: the rest is kept for the record of reads and refusals",
            _RETRY_AFTER_S,
            {**facts, "free_bytes": str(self._free())},
        )

    def _free(self) -> int | None:
        try:
            disk = os.statvfs(self._folder)
        except OSError:  # then writing fails as well, and says why
            return None
        return disk.f_bavail * disk.f_frsize
