"""Verifying a package: one pass over it, nothing kept, nothing written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

from auditd_client.evidence._archive import Archive, PackedReader, readable, require_names
from auditd_client.evidence._layout import (
    CREDENTIALS,
    ENTRIES,
    INSTRUCTIONS,
    MAX_CHECKPOINTS,
    MAX_REPORT_BYTES,
    OMITTED,
    PROOF,
    REPORT,
    VERIFIER,
    Manifest,
    checkpoint_name,
    consistency_name,
    file_names,
    made_by,
    standing_file,
)
from auditd_client.evidence._report import Report
from auditd_client.evidence._rows import Rows
from auditd_client.verify import (
    Checkpoint,
    MalformedError,
    MismatchError,
    VerifierKey,
    open_checkpoint,
    verify_entries,
    verify_extends,
)

_HASH_BYTES = 32
_OMITTED_LINE = re.compile(rb"(0|[1-9][0-9]{0,18}) ([0-9a-f]{64})")
_MAX_OMITTED_LINE = 100


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """What a package was found to hold.

    `count` entries from index `first` to index `last`, in the tree of `checkpoint`; `left_out` of those between were
    not chosen. `checkpoints` by size, each shown to extend the one before. `is_rendering_verified` says whether report,
    instructions and small verifier were found to be what this version makes of these entries; they were not compared
    if another version made the package. `manifest` is the word of whoever made it.
    """

    manifest: Manifest
    checkpoint: Checkpoint
    checkpoints: Sequence[Checkpoint]
    count: int
    first: int
    last: int
    left_out: int
    credentials: int
    is_rendering_verified: bool


def verify_package(
    stream: BinaryIO,
    key: VerifierKey | str,
    origin: str | None = None,
    advance: Callable[[int], None] = lambda _count: None,
    *,
    trusted_keys: Sequence[Mapping[str, Any]] | None = None,
) -> VerifiedPackage:
    """Verify an evidence package, a zip, offline: `key` signed its trees, and every entry is proven in one of them.

    `origin` is by default the key's name. `advance` is called with the number of entries read since. `trusted_keys`,
    JSON Web Keys, are the issuers'; without them the keys in the package are believed, and their thumbprints stand in
    the report. Memory does not grow with the entries, but for a hash for each token that they name.

    Raises VerificationError, and OSError where the file cannot be read.
    """
    with readable():
        archive = Archive(stream)
        return _Verification(archive, archive.manifest(), key, origin, advance).run(trusted_keys)


class _Verification:
    def __init__(
        self,
        archive: Archive,
        manifest: Manifest,
        key: VerifierKey | str,
        origin: str | None,
        advance: Callable[[int], None],
    ) -> None:
        self._archive = archive
        self._manifest = manifest
        self._listed = {file.name: file for file in manifest.files}
        self._advance = advance
        self._by_size = self._checkpoints(key, origin)
        self._checkpoint = self._by_size[manifest.tree_size]

    def run(self, trusted_keys: Sequence[Mapping[str, Any]] | None) -> VerifiedPackage:
        manifest, checkpoint = self._manifest, self._checkpoint
        rows = Rows(checkpoint.origin, Report(), self._advance)
        self._verify_entries(rows)
        if rows.count != manifest.entries:
            raise MismatchError("manifest.json: entries", rows.count, manifest.entries)
        credentials = self._archive.open(self._listed[CREDENTIALS])
        credential_count = rows.tokens.verify(credentials, trusted_keys)
        credentials.finish()
        checkpoints = list(self._by_size.values())
        is_compared = self._compare(rows.report.render(manifest, checkpoints, self._listed, rows.tokens.facts()))
        return VerifiedPackage(
            manifest=manifest,
            checkpoint=checkpoint,
            checkpoints=checkpoints,
            count=rows.count,
            first=rows.first,
            last=rows.last,
            left_out=rows.last - rows.first + 1 - rows.count,
            credentials=credential_count,
            is_rendering_verified=is_compared,
        )

    def _checkpoints(self, key: VerifierKey | str, origin: str | None) -> dict[int, Checkpoint]:
        """Return the checkpoints by size; each extends the one before."""
        key = VerifierKey.parse(key) if isinstance(key, str) else key
        found: dict[int, Checkpoint] = {}
        for name in self._listed:
            if not name.startswith("checkpoint-"):
                continue
            checkpoint = open_checkpoint(self._archive.read(self._listed[name]), key, origin)
            if name != checkpoint_name(checkpoint.size):
                raise MismatchError(f"{name}: size", name.removeprefix("checkpoint-"), checkpoint.size)
            found[checkpoint.size] = checkpoint
        sizes = sorted(found)
        if len(sizes) > MAX_CHECKPOINTS:
            raise MalformedError("package", f"{len(sizes)} checkpoints, limit {MAX_CHECKPOINTS}")
        require_names(file_names(sizes, with_omitted=OMITTED in self._listed), self._archive.names, "the format")
        if self._manifest.tree_size not in found:
            raise MalformedError("package", f"no checkpoint of the tree of {self._manifest.tree_size} entries")
        if found[sizes[0]].origin != self._manifest.origin:
            raise MismatchError("manifest.json: origin", found[sizes[0]].origin, self._manifest.origin)
        for older, newer in pairwise(sizes):
            data = self._archive.read(self._listed[consistency_name(older, newer)])
            hashes = [data[at : at + _HASH_BYTES] for at in range(0, len(data), _HASH_BYTES)]
            verify_extends(found[older], found[newer], hashes)
        return {size: found[size] for size in sizes}

    def _verify_entries(self, rows: Rows) -> None:
        entries, proof = (self._archive.open(self._listed[name]) for name in (ENTRIES, PROOF))
        omitted = self._archive.open(self._listed[OMITTED]) if OMITTED in self._listed else None
        verify_entries(
            rows.read(entries),
            self._checkpoint.size,
            _hashes(proof),
            self._checkpoint.root,
            None if omitted is None else _omitted(omitted),
        )
        for reader in (entries, proof, omitted):
            if reader is not None:
                reader.finish()

    def _compare(self, report: bytes) -> bool:
        """Verify what this version can make itself; return False if another made it."""
        expected = {REPORT: report, **{name: standing_file(name) for name in (VERIFIER, INSTRUCTIONS)}}
        is_ours = self._manifest.made_by == made_by()
        for name, content in expected.items():
            data = self._archive.read(self._listed[name], MAX_REPORT_BYTES)
            if is_ours and data != content:
                raise MismatchError(name, f"what {made_by()} makes of the entries", "another text")
        return is_ours


def _hashes(proof: PackedReader) -> Iterator[bytes]:
    while digest := proof.read(_HASH_BYTES):
        yield digest


def _omitted(reader: PackedReader) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(reader.lines(_MAX_OMITTED_LINE), 1):
        found = _OMITTED_LINE.fullmatch(line)
        if found is None:
            raise MalformedError(OMITTED, "not an index and a leaf hash in hex", number)
        yield int(found[1]), bytes.fromhex(found[2].decode())
