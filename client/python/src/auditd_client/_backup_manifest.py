"""`manifest.json` of a backup, as a client reads it: what must come, byte for byte, and what was signed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NoReturn

from auditd_client.errors import ServerError
from auditd_client.verify import open_checkpoint

MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_FORMAT = "auditd-backup/1"
_MAX_BYTES = 2**63 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LogInBackup:
    """A log in a backup.

    - `origin` and `verifier_key`: which log it is, as the server says.
    - `entries`: how many of its entries there are, from the first on, with all backups before together.
    - `checkpoint`: the newest signed note; it verifies by `verifier_key`. The last entries may be beyond it.
    """

    origin: str
    verifier_key: str
    entries: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class FileInBackup:
    """A file's length and hex SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds: logs by name, files by path. `since` is the hex SHA-256 of the manifest it goes on from."""

    made_at: str
    logs: Mapping[str, LogInBackup]
    files: Mapping[str, FileInBackup]
    since: str


def read_manifest(data: bytes) -> BackupManifest:
    """Return what a manifest says, once each log's checkpoint is found to be signed by the key beside it.

    Raises ServerError where it is no manifest, or names a file that would lie elsewhere.
    Raises VerificationError where a checkpoint does not verify.
    """
    try:
        values = json.loads(data)
        if values["format"] != _FORMAT:
            refuse(f"its format is {values['format']!r:.100}, this release knows {_FORMAT!r}; use a newer one")
        return BackupManifest(
            made_at=_text(values["made_at"]),
            logs={name: _log(log) for name, log in values["logs"].items()},
            files={_path(name): _file(file) for name, file in values["files"].items()},
            since=_text(values["since"]["manifest"]) if values.get("since") else "",
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        refuse(f"{MANIFEST_NAME} is no manifest of a backup: {type(error).__name__}: {error!s:.200}", error)


def refuse(problem: str, cause: Exception | None = None) -> NoReturn:
    """Raise the error that says what is wrong with what a server sent as a backup."""
    raise ServerError(f"what came is no whole backup: {problem}", reason="MALFORMED_RESPONSE") from cause


def _log(values: Any) -> LogInBackup:  # noqa: ANN401 - whatever JSON holds
    log = LogInBackup(
        _text(values["origin"]),
        _text(values["verifier_key"]),
        _number(values["entries"]),
        _text(values["checkpoint"]),
    )
    signed = open_checkpoint(log.checkpoint, log.verifier_key, log.origin)
    if (signed.size, signed.root.hex()) != (values["size"], values["root"]):
        refuse(f"it says another tree of {log.origin:.200} than the checkpoint beside it")
    return log


def _file(values: Any) -> FileInBackup:  # noqa: ANN401 - whatever JSON holds
    sha256 = _text(values["sha256"])
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"sha256: {sha256[:100]!r}")
    return FileInBackup(_number(values["bytes"]), sha256)


def _path(name: str) -> str:
    """Return the path of a file, which stays below the backup's folder whatever the server says."""
    parts = name.split("/")
    if name == MANIFEST_NAME or "\0" in name or not all(part not in ("", ".", "..") for part in parts):
        raise ValueError(f"a file of the name {name[:200]!r}")
    return str(PurePosixPath(*parts))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.100} is no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_BYTES:
        raise TypeError(f"{value!r:.100} is no number of bytes or entries")
    return value
