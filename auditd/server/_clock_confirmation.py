"""An operator's word that the clock is right, left as a file in the server folder, where no token is needed."""

from __future__ import annotations

import json
import os
import pwd
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from auditd.entry import recorded_at_text
from auditd.errors import FolderError
from auditd.log import write_private_file
from auditd.server._clock import Clock
from auditd.server._logging import event_logger

CONFIRMATION_NAME = "clock-confirmed.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_BYTES = 4_096
_POLL_S = 0.05

_events = event_logger(__name__)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The time that was confirmed, RFC 3339 in UTC, and whether a server has taken it already."""

    clock: str
    taken: bool


def confirm_clock(folder: Path, wait_s: float) -> Confirmed:
    """Vouch for the clock as it is now, and wait for a server on the folder to take it; a later start takes it too.

    It holds for this clock alone: not after a step of more than a minute, nor after the machine was started again.
    Raises FolderError where the folder cannot be written.
    """
    owner = folder.stat().st_uid
    if os.geteuid() not in (0, owner):
        raise FolderError(
            "FOLDER_UNWRITABLE", f"{folder}: the server believes its own user alone: {_user(owner)}, or root"
        )
    now_ns = time.time_ns()
    said = {"offset_ns": now_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME), "boot_id": _boot_id()}
    path = folder / CONFIRMATION_NAME
    written = path.with_name(f".{CONFIRMATION_NAME}.{os.getpid()}")
    try:
        written.unlink(missing_ok=True)
        write_private_file(written, json.dumps(said).encode())
        written.replace(path)
    except OSError as error:
        raise FolderError("FOLDER_UNWRITABLE", f"{error.filename or folder}: {error.strerror}") from error
    until = time.monotonic() + wait_s
    while path.exists() and time.monotonic() < until:
        time.sleep(_POLL_S)
    return Confirmed(recorded_at_text(now_ns // 1_000), not path.exists())


def take_confirmation(folder: Path, clock: Clock, ahead: dict[str, str]) -> None:
    """Have the clock believed if a confirmation waits in the folder, which is then gone.

    `ahead` names the logs whose newest entry is later than the clock, with its time: what the confirmation overrules.
    """
    path = folder / CONFIRMATION_NAME
    try:
        found = os.lstat(path)
    except OSError:
        return
    try:
        problem = _taken(path, found, clock, ahead)
        path.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = str(error)
        path.unlink(missing_ok=True)
    if problem:
        _events.warning("a confirmation of the clock was not taken", why=problem)


def _taken(path: Path, found: os.stat_result, clock: Clock, ahead: dict[str, str]) -> str:
    """Take the confirmation, or return why not."""
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022 or found.st_uid not in (0, os.geteuid()):
        return f"{CONFIRMATION_NAME} must be a file of this server's user or of root, which nobody else can write"
    with path.open("rb") as file:
        said = json.loads(file.read(_MAX_BYTES))
    about: dict[str, object] = {"by": _user(found.st_uid)} | ({"ahead": ahead} if ahead else {})
    if said["boot_id"] != _boot_id():
        return "the machine was started again since"
    if not clock.confirm(int(said["offset_ns"]), about):
        return "the clock has stepped since"
    return ""


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
