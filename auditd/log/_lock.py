"""One process a log."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from auditd.errors import FolderError


class FolderLock:
    """Holds `lock` in a log's folder; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            raise FolderError(
                "IN_USE", f"{path.parent} is in use by process {holder}; stop that server first"
            ) from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the lock."""
        os.close(self._descriptor)
