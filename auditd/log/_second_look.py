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
from auditd.log._database import checksum_vfs, open_once_more, plain_vfs
from auditd.log._plain_files import refused_read, short_name

_T = TypeVar("_T")
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)
"""SQLError too: our own SQL fails for no other reason than a schema altered meanwhile."""
_DAMAGE_CODES = frozenset({apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS})
"""A page whose checksum does not match, and EIO."""
_READ_CODES = frozenset({apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ})

_numbers = itertools.count()


def is_damage(error: apsw.Error) -> bool:
    """Tell whether SQLite says that the file is damaged, which it says of a device that fails as well."""
    return isinstance(error, _DAMAGE) or getattr(error, "extendedresult", 0) in _DAMAGE_CODES


def tells_of_read(error: apsw.Error) -> bool:
    """Tell whether an error of a change is one of what it read."""
    return is_damage(error) or getattr(error, "extendedresult", 0) in _READ_CODES


def may_be_refused(error: apsw.Error) -> bool:
    """Tell whether an error of a read may be that of a device which refused it, and so is worth a second look."""
    return isinstance(error, apsw.IOError) or is_damage(error)


def look_again(path: Path, look: Callable[[apsw.Connection], _T], *, guarded: bool = True) -> _T:
    """Do what failed once more, and return its result where that was for a moment only.

    `look` MUST commit nothing; unless `guarded`, it cannot, and page checksums are not asked for. Raises
    UnavailableError where the device refuses a read or SQLite cannot say now, DamagedError where the bytes that were
    read are wrong.
    """
    vfs = _Noting(checksum_vfs() if guarded else plain_vfs())
    flags = apsw.SQLITE_OPEN_READWRITE if guarded else apsw.SQLITE_OPEN_READONLY
    try:
        with closing(open_once_more(path, vfs.name, flags)) as db:
            found = look(db)
    except apsw.Error as error:
        raise _found(error, path, vfs.refused) from error
    finally:
        vfs.unregister()
    if vfs.refused:
        # What checks pages goes on after one that it cannot read.
        raise refused_read(path, vfs.refused)
    return found


def judged(
    error: apsw.Error, path: Path, look: Callable[[apsw.Connection], object], *, guarded: bool = True
) -> AuditdError:
    """Return our error for one of SQLite's, by a second look where it speaks of damage or of a read."""
    if tells_of_read(error):
        try:
            look_again(path, look, guarded=guarded)
        except AuditdError as found:
            return found
        return unavailable(error, path, "could not be read for a moment")
    return unavailable(error, path)


def read_twice(db: apsw.Connection, path: Path, look: Callable[[apsw.Connection], _T], *, guarded: bool = True) -> _T:
    """Return what `look` finds, at a second look if the first fails; raise as `look_again` does."""
    try:
        return look(db)
    except apsw.Error as error:
        if not may_be_refused(error):
            raise unavailable(error, path) from error
    return look_again(path, look, guarded=guarded)


def judged_by_pages(error: apsw.Error, path: Path, *, guarded: bool = True) -> AuditdError:
    """Do as `judged` by a look at every page, where what failed cannot be done once more."""

    def look(db: apsw.Connection) -> None:
        _require_sound_pages(db)
        if isinstance(error, apsw.SQLError):
            # No device makes our own SQL fail.
            raise error

    return judged(error, path, look, guarded=guarded)


def _require_sound_pages(db: apsw.Connection) -> None:
    found = db.execute("PRAGMA integrity_check(1)").fetchall()
    if found != [("ok",)]:
        raise apsw.CorruptError(str(found[0][0]))


def unavailable(error: apsw.Error, path: Path, why: str = "") -> UnavailableError:
    """Return our error for one of SQLite's that may not come again."""
    message = f"{short_name(path)} {why or f'cannot be used now: {error}'}"
    return UnavailableError("EVIDENCE_UNAVAILABLE", message, 1.0, _facts(error))


def _found(error: apsw.Error, path: Path, refused: str) -> AuditdError:
    if refused:
        found = refused_read(path, refused)
        found.facts |= _facts(error)
        return found
    if not is_damage(error):
        return unavailable(error, path)
    # SQLite's own word for it is a disk I/O error.
    is_checksum = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
    what = "a page does not match its checksum" if is_checksum else str(error)
    message = f"{short_name(path)} is damaged ({what}); run 'auditlog check', restore a backup"
    return DamagedError("EVIDENCE_UNREADABLE", message, _facts(error))


def _facts(error: apsw.Error) -> dict[str, str]:
    return {"sqlite": f"{type(error).__name__}: {error}"}


class _Noting(apsw.VFS):
    """Notes in `refused` which byte of which file the device refused to read; it is empty if none."""

    def __init__(self, below: str) -> None:
        self.refused = ""
        self.name = f"second-look-{next(_numbers)}"
        self.below = below
        super().__init__(self.name, below)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802, ANN401 -- apsw's names
        return _NotingFile(self, name, flags)


class _NotingFile(apsw.VFSFile):
    def __init__(self, vfs: _Noting, name: Any, flags: list[int]) -> None:  # noqa: ANN401 -- apsw's
        self._vfs = vfs
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__(vfs.below, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 -- apsw's name
        try:
            return super().xRead(amount, offset)
        except apsw.IOError as error:
            if getattr(error, "extendedresult", 0) != apsw.SQLITE_IOERR_DATA:
                self._vfs.refused = f"byte {offset} of {self._name}"
            raise
