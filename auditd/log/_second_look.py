"""A second look at what SQLite calls damaged: whether bytes are wrong, or the device does not give them.

SQLite says "malformed" for both. So what failed is done again on a connection of its own, through a VFS that knows
which reads the device refused. That VFS runs Python for each page, which is why no other connection has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import apsw

from auditd.errors import AuditdError, DamagedError, UnavailableError
from auditd.log._database import checksum_vfs, open_once_more

_T = TypeVar("_T")
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)
"""SQLError too: our own SQL fails for no other reason than a schema altered meanwhile."""
_DAMAGE_CODES = frozenset({apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS})
"""A page whose checksum does not match, and EIO."""

_numbers = itertools.count()


def is_damage(error: apsw.Error) -> bool:
    """Tell whether SQLite says that the file is damaged, which it says of a device that fails as well."""
    return isinstance(error, _DAMAGE) or getattr(error, "extendedresult", 0) in _DAMAGE_CODES


def look_again(path: Path, look: Callable[[apsw.Connection], _T]) -> _T:
    """Do what failed once more, and return its result where that was for a moment only.

    `look` MUST commit nothing. Raises UnavailableError where the device refuses a read or SQLite cannot say now,
    DamagedError where the bytes that were read are wrong.
    """
    vfs = _Noting()
    try:
        with closing(open_once_more(path, vfs.name)) as db:
            return look(db)
    except apsw.Error as error:
        raise _found(error, path, vfs.refused) from error
    finally:
        vfs.unregister()


def judged(error: apsw.Error, path: Path, look: Callable[[apsw.Connection], object]) -> AuditdError:
    """Return our error for one of SQLite's, by a second look where it speaks of damage."""
    if is_damage(error):
        try:
            look_again(path, look)
        except AuditdError as found:
            return found
        return unavailable(error, path, "could not be read for a moment")
    return unavailable(error, path)


def unavailable(error: apsw.Error, path: Path, why: str = "") -> UnavailableError:
    """Return our error for one of SQLite's that may not come again."""
    message = f"{_name(path)} {why or f'cannot be used now: {error}'}"
    return UnavailableError("EVIDENCE_UNAVAILABLE", message, 1.0, _facts(error))


def _found(error: apsw.Error, path: Path, refused: str) -> AuditdError:
    if refused:
        return unavailable(error, path, f"cannot be read now: its device refuses {refused}")
    if not is_damage(error):
        return unavailable(error, path)
    message = f"{_name(path)} is damaged ({error}); run 'auditlog check', restore a backup"
    return DamagedError("EVIDENCE_UNREADABLE", message, _facts(error))


def _name(path: Path) -> str:
    """Shorten a path, because callers may read it."""
    return f"{path.parent.name}/{path.name}"


def _facts(error: apsw.Error) -> dict[str, str]:
    return {"sqlite": f"{type(error).__name__}: {error}"}


class _Noting(apsw.VFS):
    """Notes in `refused` which byte of which file the device refused to read; it is empty if none."""

    def __init__(self) -> None:
        self.refused = ""
        self.name = f"second-look-{next(_numbers)}"
        super().__init__(self.name, checksum_vfs())

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802, ANN401 -- apsw's names
        return _NotingFile(self, name, flags)


class _NotingFile(apsw.VFSFile):
    def __init__(self, vfs: _Noting, name: Any, flags: list[int]) -> None:  # noqa: ANN401 -- apsw's
        self._vfs = vfs
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__(checksum_vfs(), name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 -- apsw's name
        try:
            return super().xRead(amount, offset)
        except apsw.IOError as error:
            if getattr(error, "extendedresult", 0) != apsw.SQLITE_IOERR_DATA:
                self._vfs.refused = f"byte {offset} of {self._name}"
            raise
