"""The manifest of an export: what was asked for, and every part with its SHA-256 and number of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NoReturn, TypeAlias, get_args

from auditd_client.verify import MalformedError

MANIFEST_NAME = "_manifest.json"
"""Engines that read folders pass over names that begin with an underscore."""
KIND = "auditd-export"
VERSION = 1
MAX_MANIFEST_BYTES = 256 * 1024 * 1024

Form: TypeAlias = Literal["jsonl", "csv", "parquet"]
Compression: TypeAlias = Literal["zstd"] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its path below the folder of the manifest, and what is in it. Indexes are those of entries.

    `tokens` counts the verdicts on the tokens that its entries name, two an entry at most; None if none were asked for.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    first_index: int
    last_index: int
    tokens: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; an export is resumed only with the same.

    `format` is `jsonl`, `csv` or `parquet`; `compression` None or `zstd`; `columns` are those of CSV; `region` and
    `account` name the partitions, if there are any; `verify_tokens` has the tokens of each entry verified again.
    """

    log: str
    filter: str
    no_index: bool
    format: Form
    compression: Compression = None
    columns: tuple[str, ...] | None = None
    region: str | None = None
    account: str | None = None
    verify_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """A complete export: all entries of the tree of `tree_size` that `request` selects."""

    request: Request
    tree_size: int
    checkpoint: str
    rows: int
    parts: tuple[Part, ...]

    @property
    def tokens(self) -> Mapping[str, int]:
        """How often each verdict on a token was given; empty unless they were asked for."""
        return sum((Counter(part.tokens or {}) for part in self.parts), Counter())

    def to_json(self) -> str:
        """Return the text of the file."""
        members = {"kind": KIND, "version": VERSION, **asdict(self)}
        return json.dumps(members, ensure_ascii=False, indent=1) + "\n"


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest strictly. Raises MalformedError."""
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedError("manifest", f"not JSON: {error}") from error
    if not isinstance(members, dict) or members.get("kind") != KIND:
        _malformed(f"its kind is not {KIND!r}")
    if members.get("version") != VERSION:
        _malformed(f"version {members.get('version')!r}, this client knows {VERSION}")
    parts = members.get("parts")
    if not isinstance(parts, list):
        _malformed("parts is no list")
    manifest = Manifest(
        read_request(members.get("request")),
        _number(members, "tree_size"),
        _text(members, "checkpoint"),
        _number(members, "rows"),
        tuple(read_part(part) for part in parts),
    )
    if len({part.path for part in manifest.parts}) != len(manifest.parts):
        _malformed("a part is named twice")
    if sum(part.rows for part in manifest.parts) != manifest.rows:
        _malformed(f"its parts have {sum(part.rows for part in manifest.parts)} rows, it says {manifest.rows}")
    return manifest


def read_request(members: object) -> Request:
    """Read what was asked for. Raises MalformedError."""
    if not isinstance(members, dict):
        _malformed("request is no object")
    columns = members.get("columns")
    if columns is not None and not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
        _malformed("request.columns is no list of names")
    form: Any
    compression: Any
    form, compression = members.get("format"), members.get("compression")
    if form not in get_args(Form) or compression not in (None, "zstd"):
        _malformed(f"format {form!r} with compression {compression!r}: this client knows no such thing")
    return Request(
        log=_text(members, "log"),
        filter=_text(members, "filter"),
        no_index=members.get("no_index") is True,
        format=form,
        compression=compression,
        columns=None if columns is None else tuple(columns),
        region=_optional(members, "region"),
        account=_optional(members, "account"),
        verify_tokens=members.get("verify_tokens") is True,
    )


def read_part(members: object) -> Part:
    """Read a part whose path leads nowhere but below the manifest. Raises MalformedError."""
    if not isinstance(members, dict):
        _malformed("a part is no object")
    path = _text(members, "path")
    steps = path.split("/")
    if PurePosixPath(path).is_absolute() or {"", ".", ".."} & set(steps) or "\\" in path or "\0" in path:
        _malformed(f"path {path[:128]!r} does not lie below the manifest")
    numbers = {name: _number(members, name) for name in ("rows", "bytes", "first_index", "last_index")}
    digest = _text(members, "sha256")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        _malformed(f"sha256 of {path[:128]!r} is none")
    tokens = members.get("tokens")
    if tokens is not None and not isinstance(tokens, dict):
        _malformed(f"tokens of {path[:128]!r} is no object")
    verdicts = None if tokens is None else {verdict: _number(tokens, verdict) for verdict in tokens}
    return Part(path=path, sha256=digest, tokens=verdicts, **numbers)


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        _malformed(f"{name} is no text")
    return value


def _optional(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 <= value < 2**63:
        _malformed(f"{name} is no number from 0 to 2^63-1")
    return value


def _malformed(rule: str) -> NoReturn:
    raise MalformedError("manifest", rule)
