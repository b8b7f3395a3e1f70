"""`manifest.json` of a backup: what it holds, file by file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from auditd.errors import DamagedError, FolderError, UnavailableError
from auditd.log import bytes_of, chunks_of
from auditd.log.check import Finding
from auditd.note import NoteError, VerifierKey

MANIFEST_NAME = "manifest.json"
FORMAT = "auditd-backup/1"
_MAX_BYTES = 64 * 1024 * 1024
_ROOT_BYTES = 32
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True, slots=True)
class LogInBackup:
    """One log: how many entries are there, and the signed checkpoint (`size` and hex `root`) that covers them.

    `entries` may be a few more than `size`: those that were committed and not yet signed for. `rows` are the highest
    rowids of the evidence's tables, after which a later increment begins.
    """

    origin: str
    verifier_key: str
    entries: int
    size: int
    root: str
    checkpoint: str
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Since:
    """The backup that an increment goes on from: when it was made, and the hex SHA-256 of its manifest."""

    made_at: str
    manifest: str


@dataclass(frozen=True, slots=True)
class FileInBackup:
    """A file's length and hex SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds; files by their path in it, logs by name. `made_at` is RFC 3339, UTC.

    An increment holds what came `since` another backup, and is of no use without that.
    """

    origin: str
    made_at: str
    with_keys: bool
    logs: dict[str, LogInBackup]
    files: dict[str, FileInBackup]
    since: Since | None = None

    def text(self) -> str:
        """Return the file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    def hash(self) -> str:
        """Return the hex SHA-256 of the file."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def read(cls, backup: Path) -> Manifest:
        """Read the manifest of a backup; raise FolderError where there is none or it is malformed.

        Raises UnavailableError where its device refuses a read.
        """
        path = backup / MANIFEST_NAME
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES} bytes")
            return cls.parse(bytes_of(path))
        except FileNotFoundError as error:
            raise FolderError("NOT_A_BACKUP", f"{backup} is no backup: it has no {MANIFEST_NAME}") from error
        except OSError as error:
            raise FolderError("NOT_A_BACKUP", f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise FolderError("NOT_A_BACKUP", f"{path} is no manifest of a backup: {error}") from error

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Return the manifest that the bytes of a file are; raise ValueError where they are none."""
        try:
            values = json.loads(data)
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}, this release knows {FORMAT!r}")
            return cls(
                origin=_text(values["origin"]),
                made_at=_text(values["made_at"]),
                with_keys=bool(values["with_keys"]),
                logs={name: _log(log) for name, log in values["logs"].items()},
                files={name: _file(file) for name, file in values["files"].items()},
                since=_since(values["since"]) if values.get("since") else None,
            )
        except (AttributeError, TypeError, KeyError, RecursionError, NoteError) as error:
            raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _log(values: Any) -> LogInBackup:  # noqa: ANN401 -- whatever JSON holds
    key, root = _text(values["verifier_key"]), _text(values["root"])
    if str(VerifierKey.parse(key)) != key:
        raise ValueError(f"verifier_key: {key[:200]!r}")
    if len(bytes.fromhex(root)) != _ROOT_BYTES:
        raise ValueError(f"root: {root[:200]!r}, must be {_ROOT_BYTES} bytes in hex")
    return LogInBackup(
        origin=_text(values["origin"]),
        verifier_key=key,
        entries=_number(values["entries"]),
        size=_number(values["size"]),
        root=root,
        checkpoint=_text(values["checkpoint"]),
        # A table without rows has -1 for its highest.
        rows={table: _number(row, -1) for table, row in values.get("rows", {}).items()},
    )


def _file(values: Any) -> FileInBackup:  # noqa: ANN401 -- whatever JSON holds
    return FileInBackup(_number(values["bytes"]), _text(values["sha256"]))


def _since(values: Any) -> Since:  # noqa: ANN401 -- whatever JSON holds
    return Since(_text(values["made_at"]), _text(values["manifest"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.200} is no text")
    return value


def _number(value: object, lowest: int = 0) -> int:
    if type(value) is not int or not lowest <= value < 2**63:
        raise TypeError(f"{value!r:.200} is no number of bytes, entries or rows")
    return value


def describe_files(
    backup: Path, progress: Callable[[int, int], None], unread: dict[str, str] | None = None
) -> dict[str, FileInBackup]:
    """Return every file of a backup but the manifest; `progress` is told of bytes.

    Which files a device refuses to give goes to `unread`, with the reason; without it UnavailableError is raised.
    """
    paths = sorted(_files(backup))
    total = sum(path.stat().st_size for path in paths)
    done = 0
    described = {}
    for path in paths:
        name, digest, length = path.relative_to(backup).as_posix(), hashlib.sha256(), 0
        try:
            for chunk in chunks_of(path):
                digest.update(chunk)
                length += len(chunk)
                progress(done + length, total)
        except UnavailableError as error:
            if unread is None:
                raise
            unread[name] = error.message
        else:
            described[name] = FileInBackup(length, digest.hexdigest())
        done += length
    return described


def compare_files(
    manifest: Manifest, backup: Path, progress: Callable[[int, int], None]
) -> tuple[list[Finding], list[str]]:
    """Hold the files of a backup against its manifest; say what differs, and what its device refuses to give."""
    unread: dict[str, str] = {}
    there = describe_files(backup, progress, unread)
    findings = []
    for name, told in sorted(manifest.files.items()):
        if name in unread:
            continue
        if name not in there:
            findings.append(Finding("FILE_MISSING", name, "is not there"))
        elif there[name] != told:
            is_now = there[name]
            findings.append(
                Finding(
                    "FILE_CHANGED",
                    name,
                    f"is not as it was written: {is_now.bytes} bytes, SHA-256 {is_now.sha256};"
                    f" the manifest says {told.bytes} bytes, SHA-256 {told.sha256}",
                )
            )
    findings += [
        Finding("FILE_UNKNOWN", name, "the manifest does not name it")
        for name in sorted(there)
        if name not in manifest.files
    ]
    return findings, list(unread.values())


def copy_file(original: Path, copy: Path, told: FileInBackup) -> None:
    """Copy a file of a backup, for its owner alone; raise DamagedError if it is not what the manifest told.

    Raises UnavailableError where its device refuses a read.
    """
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256()
    with os.fdopen(os.open(copy, _NEW, 0o600), "wb") as target:
        for chunk in chunks_of(original):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != told.sha256:
        raise DamagedError("EVIDENCE_UNSOUND", f"{original} was changed meanwhile, nothing was restored")


def _files(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder, onerror=_raise):
        if Path(at) == folder / "logs":
            # What checks work in comes and goes beside this one; it takes nothing from what the backup holds.
            folders[:] = [name for name in folders if not name.startswith(".check-")]
        for path in [Path(at, name) for name in (*folders, *names)]:
            if path.is_symlink():
                raise FolderError("NOT_A_BACKUP", f"{path} is a symbolic link, which no backup has")
            if path.is_file() and path != folder / MANIFEST_NAME:
                yield path


def _raise(error: OSError) -> None:
    raise error
