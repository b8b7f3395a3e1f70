"""The file of `--skip-bad`: each line that was left out, where it stood, why, and what it said."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Self

from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import compact_json, note
from auditd_client.importers import BadLine

_SHOWN = 20


class BadLineFile:
    """Writes JSON lines to a file that must not exist; names the first ones on stderr, and at the end their number.

    A file without lines is removed again. Each line is
    {"where","reason","text"}, or with "bytes" (base64) for "text" that is no UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        except FileExistsError:
            raise CommandError(f"{path}: exists; name a new file, so that no earlier bad line is lost") from None
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self._count:
            self._path.unlink(missing_ok=True)
            return
        unnamed = f", {self._count - _SHOWN} of them not named here" if self._count > _SHOWN else ""
        lines = "1 bad line is" if self._count == 1 else f"{self._count} bad lines are"
        note(f"{lines} in {self._path}{unnamed}")

    def write(self, bad: BadLine) -> None:
        """Add a bad line.

        Raises CommandError if the file cannot hold it: what is left out must be found again.
        """
        try:
            said = {"text": bad.raw.decode("utf-8")}
        except UnicodeDecodeError:
            said = {"bytes": base64.b64encode(bad.raw).decode("ascii")}
        line = compact_json({"where": bad.where, "reason": bad.reason, **said}).encode("utf-8") + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise CommandError(f"{self._path}: the disk is full")
        except OSError as error:
            raise CommandError(f"{self._path}: {error.strerror}") from error
        self._count += 1
        if self._count <= _SHOWN:
            note(f"skipped: {bad.where}: {bad.reason}")
