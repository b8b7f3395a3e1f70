"""Making a package: entries stream into a zip while the proof of them is gathered beside it."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, pairwise
from typing import IO, TYPE_CHECKING, BinaryIO

from auditd_client.evidence._layout import (
    CREDENTIALS,
    ENTRIES,
    INSTRUCTIONS,
    MANIFEST,
    MAX_CHECKPOINTS,
    OMITTED,
    PROOF,
    REPORT,
    VERIFIER,
    Manifest,
    PackedFile,
    checkpoint_name,
    consistency_name,
    made_by,
    standing_file,
)
from auditd_client.evidence._report import Report
from auditd_client.evidence._rows import Rows
from auditd_client.verify import Checkpoint, MismatchError, unverified_checkpoint

if TYPE_CHECKING:
    from auditd_client._client import Client
    from auditd_client._export import Export
    from auditd_client._model import Entry

MAX_RANGES = 1_000
"""Of one call to prove."""

MAX_LEAF_HASHES = 65_536
"""Of one call to list them."""

Progress = Callable[[int, int, int], None]

_CHUNK = 1 << 18


class NothingToProveError(Exception):
    """The filter selects no entry: a package of none would prove nothing."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to put into a package.

    `filter` selects the entries; with `no_index` by the evidence alone, past the index, which could hide some. `known`
    are signed notes kept from before: the package proves that the log still extends them. With `list_omitted` the leaf
    hashes of all entries left out are listed. `exported_by` names who asks.
    """

    filter: str = ""
    known: Sequence[str] = ()
    list_omitted: bool = False
    exported_by: str = ""
    no_index: bool = False


def write_package(
    client: Client, out: BinaryIO, selection: Selection, progress: Progress = lambda _considered, _total, _rows: None
) -> Manifest:
    """Write an evidence package of the entries that a filter selects, a zip, to `out`, which can seek.

    The entries are those of the tree that the log has signed when this begins. What is gathered meanwhile lies in
    temporary files. Nothing is verified: `verify_package` does that. `progress` is called with the entries of the log
    considered so far, their total, and those written.

    Raises NothingToProveError if no entry is selected, VerificationError where the server contradicts itself,
    ClientError as the client's calls do, OSError where a file cannot be written.
    """
    with ExitStack() as stack:
        if selection.known:
            # A log that has lost entries of a tree that was kept is refused here.
            client.checkpoint(max(unverified_checkpoint(note).size for note in selection.known))
        export = stack.enter_context(client.export(selection.filter, no_index=selection.no_index))
        first = next(export.batches(), [])
        tree = unverified_checkpoint(export.checkpoint)
        package = _Package(client, stack.enter_context(zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)))
        hashes = stack.enter_context(tempfile.TemporaryFile())
        omitted = stack.enter_context(tempfile.TemporaryFile()) if selection.list_omitted else None
        proof = _ProofBeside(client, tree.size, hashes, omitted)
        rows = Rows(tree.origin, Report())
        package.write(ENTRIES, _leaves(chain([first], export.batches()), rows, proof, partial(_tell, progress, export)))
        if not rows.count:
            raise NothingToProveError(f"no entry of {tree.origin} matches: a package of nothing would prove nothing")
        proof.end()
        package.write(PROOF, _chunks(hashes))
        checkpoints = package.write_trees(tree, selection.known)
        package.write(CREDENTIALS, rows.tokens.lines(client))
        if omitted is not None:
            package.write(OMITTED, _chunks(omitted))
        manifest = Manifest(
            origin=tree.origin,
            tree_size=tree.size,
            entries=rows.count,
            filter=selection.filter,
            exported_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            exported_by=selection.exported_by,
            made_by=made_by(),
            files=(),
        )
        package.write(REPORT, [rows.report.render(manifest, checkpoints, package.files, rows.tokens.facts())])
        for name in (VERIFIER, INSTRUCTIONS):
            package.write(name, [standing_file(name)])
        manifest = replace(manifest, files=tuple(package.files.values()))
        package.write(MANIFEST, [manifest.format()])
    return manifest


class _Package:
    """The zip being written; `files` are those that are whole."""

    def __init__(self, client: Client, archive: zipfile.ZipFile) -> None:
        self._client = client
        self._zip = archive
        self.files: dict[str, PackedFile] = {}

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Write one file from its parts."""
        info = zipfile.ZipInfo(name)  # whose date is 1980, for it would say nothing
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        sha256, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as file:
            for part in parts:
                file.write(part)
                sha256.update(part)
                size += len(part)
        self.files[name] = PackedFile(name, size, sha256.hexdigest())

    def write_trees(self, tree: Checkpoint, known: Sequence[str]) -> list[Checkpoint]:
        """Write the checkpoints that were kept, that of the proof and the log's newest one, and what connects them."""
        newest = self._client.checkpoint().checkpoint
        trees: dict[int, Checkpoint] = {}
        for note in (*known, tree.note, newest):
            checkpoint = unverified_checkpoint(note)
            if checkpoint != trees.setdefault(checkpoint.size, checkpoint):
                field = f"checkpoint of size {checkpoint.size}"
                raise MismatchError(field, trees[checkpoint.size].root, checkpoint.root, "two histories: keep both")
        trees.pop(0, None)  # every tree extends the empty one
        if len(trees) > MAX_CHECKPOINTS:
            raise MismatchError("checkpoints", f"at most {MAX_CHECKPOINTS}", len(trees))
        ordered = [trees[size] for size in sorted(trees)]
        self.write(checkpoint_name(ordered[0].size), [ordered[0].note.encode()])
        for older, newer in pairwise(ordered):
            proof = self._client.prove_consistency(older.size, newer.size)
            self.write(consistency_name(older.size, newer.size), proof.hashes)
            self.write(checkpoint_name(newer.size), [newer.note.encode()])
        return ordered


class _ProofBeside:
    """The proof of the entries that pass by, asked for a thousand ranges at a time; what is omitted, if asked for."""

    def __init__(self, client: Client, tree_size: int, hashes: IO[bytes], omitted: IO[bytes] | None) -> None:
        self.hashes = hashes
        self.omitted = omitted
        self._client = client
        self._tree_size = tree_size
        self._ranges: list[tuple[int, int]] = []
        self._proven = 0
        self._end = 0
        self._listed = _LeafHashes(client, tree_size)

    def add(self, index: int) -> None:
        """Take in the next entry's index."""
        if self._ranges and self._ranges[-1][1] == index:
            self._ranges[-1] = (self._ranges[-1][0], index + 1)
        else:
            if len(self._ranges) == MAX_RANGES:
                self._ask(self._end)
            self._list_omitted(self._end, index)
            self._ranges.append((index, index + 1))
        self._end = index + 1

    def end(self) -> None:
        """Gather what is left, and make both files ready to be read."""
        self._list_omitted(self._end, self._tree_size)
        self._ask(self._tree_size)
        self.hashes.seek(0)
        if self.omitted is not None:
            self.omitted.seek(0)

    def _ask(self, end: int) -> None:
        proof = self._client.prove_entries(self._ranges, tree_size=self._tree_size, within=(self._proven, end))
        self.hashes.write(b"".join(proof.hashes))
        self._proven, self._ranges = end, []

    def _list_omitted(self, first: int, last: int) -> None:
        if self.omitted is None:
            return
        for index in range(first, last):
            self.omitted.write(b"%d %s\n" % (index, self._listed[index].hex().encode()))


class _LeafHashes:
    """Leaf hashes by ascending index, read many at a time."""

    def __init__(self, client: Client, size: int) -> None:
        self._client = client
        self._size = size
        self._start = 0
        self._held: tuple[bytes, ...] = ()

    def __getitem__(self, index: int) -> bytes:
        if not self._start <= index < self._start + len(self._held):
            self._start = index
            self._held = self._client.leaf_hashes(index, min(index + MAX_LEAF_HASHES, self._size))
        return self._held[index - self._start]


def _leaves(
    batches: Iterable[Sequence[Entry]], rows: Rows, proof: _ProofBeside, tell: Callable[[int], None]
) -> Iterable[bytes]:
    """Yield the lines of the entries as they come."""
    for batch in batches:
        for entry in batch:
            leaf = rows.add(entry.leaf)
            if leaf.index != entry.index:
                raise MismatchError(f"entry {entry.index}: index", entry.index, leaf.index)
            proof.add(entry.index)
            yield entry.leaf + b"\n"
        tell(rows.count)


def _tell(progress: Progress, export: Export, rows: int) -> None:
    progress(export.next_index or 0, export.tree_size or 0, rows)


def _chunks(file: IO[bytes]) -> Iterable[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
