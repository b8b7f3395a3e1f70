"""Files that are written whole or not at all, so that nobody takes half a proof for a bad one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from auditd_client.cli._errors import CommandError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, beside `path`, which replaces what has that name when the block ends well, else is gone.

    Raises CommandError where it cannot be written, within the block as well.
    """
    with _beside(path) as (file, temporary):
        yield file
        _finish(file)
        temporary.replace(path)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """As `whole_file`, of a file to hand over: raises CommandError where there is one of that name, now or at the end.

    Evidence that somebody kept is not lost to a name that was given twice.
    """
    require_new(path)
    with _beside(path) as (file, temporary):
        yield file
        _finish(file)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise _exists(path) from None
        except OSError:
            # A file system without links.
            require_new(path)
            temporary.replace(path)
        else:
            temporary.unlink()


def require_new(path: Path) -> None:
    """Raise CommandError where a file is there already; before anything is asked of a server that records it."""
    if os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> CommandError:
    return CommandError(f"{path}: exists and is left as it is; remove it, or name another file")


@contextmanager
def _beside(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file in the folder of `path`, which is gone if the block fails."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield cast("BinaryIO", file), temporary
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
