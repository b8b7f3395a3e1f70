"""The process that makes a backup for a server: it takes no time from the server's event loop, and can be ended.

Reads one line of JSON on stdin, `{"folder", "destination", "since"}`, and writes one a line on stdout: how far it
is, at the end `{"made": true}`, or the error. It ends at once when stdin ends, for then the server is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from auditd.errors import AuditdError, ExhaustedError
from auditd.server._backup import make_backup
from auditd.server._config import load_config
from auditd.server._manifest import Manifest

_NICENESS = 10
"""A backup is in less haste than callers are."""
_SAY_S = 0.25
_RETRY_AFTER_S = 60.0


class _Steps:
    """Says how far the backup is, now and then, and looks if the disk still has room for what the server records."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._said_at = 0.0

    def update(self, name: str, done: int, total: int) -> None:
        """Take in how far a step is; raise ExhaustedError where the disk is too full to go on."""
        now = time.monotonic()
        if now - self._said_at < _SAY_S and done != total:
            return
        self._said_at = now
        require_room(self._folder, self._min_free_bytes)
        _say({"name": name, "done": done, "total": total})


def require_room(folder: Path, bytes_needed: int) -> None:
    """Raise ExhaustedError unless the file system of `folder` has so many bytes free."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < bytes_needed:
        raise ExhaustedError(
            "BACKUP_NO_ROOM",
            f"the server's disk has {free} bytes free, and a backup would leave it less than min_free_bytes; make room,"
            " or make the backup on the server's machine, to another disk: auditlog backup DIR DEST",
            _RETRY_AFTER_S,
            {"limit": "min_free_bytes", "free_bytes": str(free)},
        )


def _make(order: dict[str, Any]) -> None:
    config = load_config(Path(order["folder"]))
    since = Manifest.parse(order["since"].encode()) if order["since"] else None
    steps = _Steps(config.folder, config.limits.min_free_bytes)
    make_backup(config, Path(order["destination"]), with_keys=False, progress=steps.update, since=since)


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # Not by an exception: this is not the thread that works. What is left lies where the server's next start clears it.
    os._exit(1)


def main() -> None:
    """Make the backup that stdin asks for."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _make(order)
    except AuditdError as error:
        _say({"error": type(error).__name__, "reason": error.reason, "message": error.message, "facts": error.facts})
    else:
        _say({"made": True})


if __name__ == "__main__":
    main()
