"""The outcome of the last `auditlog check`, kept in the server folder for who watches. Nothing rests on it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auditd.errors import FolderError

NAME = "last-check.json"
_MAX_BYTES = 4_096
_MAX_TIME, _MAX_COUNT = 2**37, 2**63


@dataclass(frozen=True, slots=True)
class LastCheck:
    """When a check of the whole folder ended (Unix seconds), what it found, and how much it read."""

    ended_at: float
    sound: bool
    findings: int
    entries: int


def keep_last_check(folder: Path, check: LastCheck) -> None:
    """Keep an outcome in place of the one before; raise FolderError where the folder cannot be written."""
    made = folder / f".{NAME}.{os.getpid()}"
    try:
        try:
            made.write_text(json.dumps(asdict(check)) + "\n", encoding="utf-8")
            made.replace(folder / NAME)
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(
            "FOLDER_UNWRITABLE", f"{error.filename or made}: {error.strerror}; the outcome was not kept"
        ) from error


def last_check(folder: Path) -> LastCheck | None:
    """Return the last outcome that was kept; None where there is none, or none that can be read."""
    try:
        with (folder / NAME).open("rb") as file:
            said: dict[str, Any] = json.loads(file.read(_MAX_BYTES))
        check = LastCheck(float(said["ended_at"]), said["sound"] is True, int(said["findings"]), int(said["entries"]))
        in_range = (
            0 <= check.ended_at < _MAX_TIME and 0 <= check.findings < _MAX_COUNT and 0 <= check.entries < _MAX_COUNT
        )
        return check if in_range else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
