"""Verifying an export offline: every part is there and as it was written, and nothing else is."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, cast

import zstandard

from auditd_client._entry_tokens import leaf_within
from auditd_client.exports._journal import JOURNAL_NAME
from auditd_client.exports._manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, Part, read_manifest
from auditd_client.exports._parquet import count_rows
from auditd_client.verify import (
    Checkpoint,
    MalformedError,
    MismatchError,
    VerifierKey,
    leaf_hash,
    open_checkpoint,
    verify_range,
)

_BLOCK = 1 << 20
_MAX_LINE_BYTES = 65_535 + 256
"""The longest leaf, and the verdicts beside it."""


@dataclass(frozen=True, slots=True)
class VerifiedExport:
    """An export that is as its manifest says.

    `checkpoint` is the signed tree, None without a key. `is_whole_tree` says that the rows were found to be exactly
    the leaves of that tree, all of them: so each is genuine and none is missing. Otherwise the rows are those that the
    server sent; any one of them can be proven with `auditlog prove`. `uncounted` is how many parts could not be
    counted for want of pyarrow.
    """

    manifest: Manifest
    checkpoint: Checkpoint | None
    is_whole_tree: bool
    uncounted: int


def verify_export(
    manifest_path: Path,
    key: VerifierKey | str | None,
    origin: str | None = None,
    progress: Callable[[int, int], None] = lambda _bytes, _rows: None,
) -> VerifiedExport:
    """Verify the export that a manifest describes; `progress` is called with bytes and rows verified since last.

    Raises MalformedError if it is no manifest, MismatchError naming the part that is missing, altered or additional,
    and what `open_checkpoint` and `verify_range` raise. Raises OSError if a file cannot be read.
    """
    with manifest_path.open("rb") as file:
        manifest = read_manifest(file.read(MAX_MANIFEST_BYTES))
    folder = manifest_path.parent
    checkpoint = None if key is None else _open(manifest, key, origin)
    _require_no_other_file(folder, manifest_path, manifest)
    uncounted = 0
    for part in manifest.parts:
        _require_as_written(folder, part)
        rows = _count(manifest, folder / part.path)
        uncounted += rows is None
        if rows is not None and rows != part.rows:
            raise MismatchError(f"{part.path}: rows", part.rows, rows)
        progress(part.bytes, part.rows)
    is_whole_tree = checkpoint is not None and _is_of_all_leaves(manifest)
    if checkpoint is not None and is_whole_tree:
        lines = (line for part in manifest.parts for line in _lines(folder / part.path))
        leaves = map(_leaf_within, lines) if manifest.request.verify_tokens else lines
        hashes = map(leaf_hash, leaves)
        verify_range(0, checkpoint.size, checkpoint.size, hashes, (), checkpoint.root)
    return VerifiedExport(manifest, checkpoint, is_whole_tree, uncounted)


def _open(manifest: Manifest, key: VerifierKey | str, origin: str | None) -> Checkpoint:
    checkpoint = open_checkpoint(manifest.checkpoint.encode(), key, origin)
    if checkpoint.size != manifest.tree_size:
        raise MismatchError("manifest: tree_size", checkpoint.size, manifest.tree_size)
    return checkpoint


def _is_of_all_leaves(manifest: Manifest) -> bool:
    request = manifest.request
    return (
        request.format == "jsonl"
        and not request.filter
        and request.region is None
        and manifest.rows == manifest.tree_size > 0
    )


def _require_no_other_file(folder: Path, manifest_path: Path, manifest: Manifest) -> None:
    """Programs that read a whole folder would take an additional file for part of the export."""
    named = {folder / part.path for part in manifest.parts} | {manifest_path, folder / JOURNAL_NAME}
    if manifest_path.name != MANIFEST_NAME:
        return  # a copy that was put elsewhere
    for path in sorted(folder.rglob("*")):
        if path not in named and not path.is_dir():
            raise MismatchError("folder", "the files that the manifest names", str(path.relative_to(folder)))


def _require_as_written(folder: Path, part: Part) -> None:
    path = folder / part.path
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise MismatchError(f"{part.path}", "a file", "nothing, or no file of this folder")
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    if digest.hexdigest() != part.sha256:
        raise MismatchError(f"{part.path}: SHA-256", part.sha256, f"{digest.hexdigest()} of {size} bytes")


def _count(manifest: Manifest, path: Path) -> int | None:
    if manifest.request.format == "parquet":
        with path.open("rb") as file:
            return count_rows(file)
    try:
        if manifest.request.format == "csv":
            with _opened(path) as rows, io.TextIOWrapper(rows, "utf-8", newline="") as text:
                return sum(1 for _ in csv.reader(text)) - 1
        with _opened(path) as lines:
            return sum(block.count(b"\n") for block in iter(lambda: lines.read(_BLOCK), b""))
    except (csv.Error, zstandard.ZstdError, UnicodeDecodeError) as error:
        raise MalformedError("part", f"{path.name}: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    rest = b""
    with _opened(path) as file:
        while block := file.read(_BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            if len(rest) > _MAX_LINE_BYTES:
                raise MalformedError("part", f"{path.name}: a line is longer than any leaf")


def _leaf_within(line: bytes) -> bytes:
    try:
        return leaf_within(line)
    except ValueError as error:
        raise MalformedError("part", str(error)) from error


def _opened(path: Path) -> IO[bytes]:
    """Open a part, decompressed if it is compressed."""
    file = path.open("rb")
    if path.suffix != ".zst":
        return file
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)
    return cast("IO[bytes]", reader)
