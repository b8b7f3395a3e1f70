"""A folder to work in beside a log, gone when the work ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".check-"
_LEFT_S = 60
"""Seconds after which a folder that nobody has locked is one that was left, not one that is being made."""


@contextmanager
def private_folder(beside: Path) -> Iterator[Path]:
    """Make a folder on the file system of `beside` if that can be written to, for a hard link costs nothing.

    What is there of others that were killed is taken away.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside.parent))
    except OSError:
        made = Path(tempfile.mkdtemp(prefix="auditd-check-"))
    descriptor = os.open(made, os.O_RDONLY)
    try:
        _lock(descriptor)
        _remove_left(beside.parent)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(descriptor)


def _remove_left(among: Path) -> None:
    for path in among.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                # Its owner held the lock as long as it lived.
                if os.fstat(descriptor).st_mtime < time.time() - _LEFT_S and _lock(descriptor):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Tell whether the lock was to be had; not every file system has locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
