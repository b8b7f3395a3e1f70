"""A backup that a process of its own makes for the server: ordered, listened to, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from auditd.errors import AuditdError, DamagedError, ExhaustedError, FolderError, UnavailableError

_COMMAND = (sys.executable, "-P", "-m", "auditd.server._backup_process")
_KINDS: Mapping[str, type[AuditdError]] = {
    "DamagedError": DamagedError,
    "ExhaustedError": ExhaustedError,
    "FolderError": FolderError,
    "ConfigError": FolderError,
}
"""What the process may raise; anything else may pass by itself."""
_RETRY_AFTER_S = 60.0

Step: TypeAlias = tuple[str, int, int]
"""What is being done, how much of it is done, and how much there is."""


class BackupMaker:
    """Makes one backup of the server folder `folder` as the new folder `destination`.

    With `since`, the text of another backup's manifest, only what came after that. Belongs to the event loop's thread;
    `end` it in any case.
    """

    def __init__(self, folder: Path, destination: Path, since: str) -> None:
        self._order = json.dumps({"folder": str(folder), "destination": str(destination), "since": since})
        self._step: Step = ("begin", 0, 0)
        pipe = asyncio.subprocess.PIPE
        # A session of its own: ctrl-C is for the server, which then ends it.
        process = asyncio.create_subprocess_exec(*_COMMAND, stdin=pipe, stdout=pipe, start_new_session=True)
        self._starting = asyncio.ensure_future(process)

    async def begin(self) -> None:
        """Have the process begin."""
        process = await asyncio.shield(self._starting)
        assert process.stdin is not None
        # Where it is gone already, which uvloop answers with a RuntimeError, the next step says how it ended.
        with suppress(OSError, RuntimeError):
            process.stdin.write(self._order.encode() + b"\n")

    async def step(self, wait_s: float) -> Step | None:
        """Return how far it is, at the latest after so many seconds; None once the backup is made.

        Raises what making it raised, UnavailableError `BACKUP_FAILED` where the process ended before its work did.
        """
        process = self._starting.result()
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), wait_s)
        except TimeoutError:
            return self._step
        if not line:
            status = await process.wait()
            message = f"the process that made the backup ended with status {status}"
            raise UnavailableError("BACKUP_FAILED", message, _RETRY_AFTER_S)
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            kind = _KINDS.get(said["error"], UnavailableError)
            raise kind(said["reason"], said["message"], facts=said["facts"])
        if "made" in said:
            return None
        self._step = said["name"], said["done"], said["total"]
        return self._step

    async def end(self) -> None:
        """Have the process gone, whatever it is at."""
        process = await self._starting
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
