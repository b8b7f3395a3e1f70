"""A log whose writes and syncs are recorded: `python recording.py CASE [OPERATION NUMBER lost|stored]`.

The recording, in the file `recording` of CASE, is a list of (operation, file, offset or size, bytes) in their order,
with what callers were told between them. It is of what reaches the operating system: SQLite's files, those of the
indexes included, below its checksum VFS; and past SQLite `head` and the files of dictionaries, whose names are not
durable before their folders are synced. With an OPERATION ("write" or "sync") that one fails: without having been
done, or though it was.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

Operation = tuple[str, str, int, bytes]
DICTIONARY_SUFFIX = ".zstd-dictionary"


class Recorder(apsw.VFS):
    """The operating system's files, below everything else that SQLite stacks up."""

    def __init__(self, fail: tuple[str, int, str] | None) -> None:
        self.operations: list[Operation] = []
        self._fail = fail
        self._base = apsw.vfs_names()[0]
        super().__init__("recording", self._base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 -- apsw's name
        return RecordedFile(self, self._base, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 -- apsw's name
        super().xDelete(name, syncdir)
        self.note("delete", name)

    def note(self, operation: str, path: str, at: int = 0, data: bytes = b"") -> None:
        self.operations.append((operation, Path(path).name, at, data))

    def fails(self, operation: str) -> str:
        """Return how this one fails, "lost" or "stored"; empty if it does not."""
        if self._fail is None or self._fail[0] != operation:
            return ""
        _, number, how = self._fail
        self._fail = (operation, number - 1, how)
        return how if number == 0 else ""


class RecordedFile(apsw.VFSFile):
    def __init__(self, recorder: Recorder, base: str, name: Any, flags: list[int]) -> None:
        self._recorder = recorder
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__(base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 -- apsw's name
        held = bytes(data)
        self._do("write", offset, held, lambda: super(RecordedFile, self).xWrite(held, offset))

    def xTruncate(self, size: int) -> None:  # noqa: N802 -- apsw's name
        super().xTruncate(size)
        self._recorder.note("truncate", self._path, size)

    def xSync(self, flags: int) -> None:  # noqa: N802 -- apsw's name
        self._do("sync", 0, b"", lambda: super(RecordedFile, self).xSync(flags))

    def _do(self, operation: str, at: int, data: bytes, do: Any) -> None:
        how = self._recorder.fails(operation)
        if how != "lost":
            do()
            self._recorder.note(operation, self._path, at, data)
        if how:
            error = apsw.IOError(f"{operation} failed")
            error.extendedresult = apsw.SQLITE_IOERR_WRITE if operation == "write" else apsw.SQLITE_IOERR_FSYNC
            raise error


def record_plain_files(recorder: Recorder) -> None:
    """Record what is done past SQLite, by descriptors whose names the operating system knows."""
    pwrite, fsync, fdatasync = os.pwrite, os.fsync, os.fdatasync
    unnamed: list[str] = []
    """Files of dictionaries whose names a power cut may still take."""

    def path_of(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def recorded_pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if path_of(descriptor).name == "head":
            recorder.note("write", "head", offset, bytes(data))
        return pwrite(descriptor, data, offset)

    def recorded(sync: Any) -> Any:
        def run(descriptor: int) -> None:
            sync(descriptor)
            path = path_of(descriptor)
            if path.name == "head":
                recorder.note("sync", "head")
            elif path.suffix == DICTIONARY_SUFFIX:
                recorder.note("write", path.name, 0, path.read_bytes())
                unnamed.append(path.name)
            elif path.name == "main":
                # That of the dictionaries was synced before it, or the folder itself is not there to hold them.
                while unnamed:
                    recorder.note("sync", unnamed.pop())

        return run

    os.pwrite, os.fsync, os.fdatasync = recorded_pwrite, recorded(fsync), recorded(fdatasync)


def _run() -> None:
    case = Path(sys.argv[1])
    fail = (sys.argv[2], int(sys.argv[3]), sys.argv[4]) if len(sys.argv) > 2 else None
    recorder = Recorder(fail)
    record_plain_files(recorder)
    # Only now: the checksum VFS stacks itself upon what is there when it is first used.
    from auditd.log import LogSettings, _housekeeper, _training
    from tests.faults.driven import BATCHES, DrivenLog

    class RecordedLog(DrivenLog):
        def say(self, **said: object) -> None:
            recorder.operations.append(("told", "", 0, json.dumps(said).encode() + b"\n"))

        def _settings(self) -> LogSettings:
            return replace(super()._settings(), announce=lambda digest: self.say(announced=[digest]))

    # It works when it is told to, and then trains a second dictionary, whatever that would gain.
    _housekeeper.INTERVAL_S = 3_600.0
    _training.MIN_LEAVES, _training.MIN_GAIN = 255, -math.inf
    log = RecordedLog(case)
    log.open()
    log.index()
    for number, count in enumerate(BATCHES):
        log.append(count, f"batch{number}")
        if number:
            log.copy_wal_back()
    log.append(2, "later")
    log.make_good()
    log.require_indexed()
    log.close()
    log.open()
    log.append(1, "again")
    log.make_good("last")
    log.close()
    with (case / "recording").open("wb") as file:
        pickle.dump(recorder.operations, file)


if __name__ == "__main__":
    try:
        _run()
    except BaseException:  # noqa: BLE001 -- a log that is open has threads that nobody would end
        traceback.print_exc()
        os._exit(1)
