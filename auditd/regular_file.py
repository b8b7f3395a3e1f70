"""Regular files, told from what else may have their names: a pipe of that name would be waited for without end."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def open_regular(path: Path) -> FileIO:
    """Open a regular file for unbuffered reading; raise OSError where it cannot be opened, or is a folder or a pipe."""
    # Not blocking: who opens a pipe would else wait here for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return FileIO(descriptor)


def is_other(path: Path) -> bool:
    """Whether a folder, a pipe or a device has this name, directly or by a symbolic link; raise OSError."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False
