"""An export into a folder: in rounds of bounded size, each of which is on disk whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

from auditd_client._client import Client
from auditd_client._durable import sync
from auditd_client._entry_tokens import token_verdicts
from auditd_client._export import Export
from auditd_client._model import Entry
from auditd_client._rows import CSV_COLUMNS
from auditd_client.errors import ClientError, OutputError
from auditd_client.exports._journal import JOURNAL_NAME, Journal
from auditd_client.exports._leaf import read_leaf
from auditd_client.exports._lines import Csv, JsonLines
from auditd_client.exports._manifest import MANIFEST_NAME, Manifest, Part, Request, read_manifest
from auditd_client.exports._parquet import Parquet
from auditd_client.exports._partition import Partitions, escaped

DEFAULT_ROUND_BYTES = 64 * 1024 * 1024
_ENTRY_BYTES = 200
"""What an entry takes in memory beside its leaf."""
_INDEX_DIGITS = 12

Progress = Callable[[int, int, int], None]
"""Called with (entries considered, of how many, rows written), each since the beginning."""


class Format(Protocol):
    """How parts are written. `suffix` ends their names."""

    suffix: str

    def write(self, entries: Sequence[Entry], file: IO[bytes]) -> None:
        """Write one part to a file that can be written from its beginning only."""


def export_to_folder(
    client: Client,
    folder: Path,
    request: Request,
    *,
    resume: bool = False,
    round_bytes: int = DEFAULT_ROUND_BYTES,
    timeout_s: float | None = None,
    progress: Progress = lambda _considered, _total, _rows: None,
) -> Manifest:
    """Write all entries that `request` selects, of the tree as it is now, into `folder`; return the manifest.

    Entries are gathered until they take `round_bytes`, written as one part a partition under temporary names, synced
    and renamed, and noted in a journal with the place to go on from. So the memory it takes is bounded, and after any
    interruption `resume` goes on exactly: in the same tree, without gap or repeat, finished parts untouched. What is
    unfinished is removed at once where that is possible, else when it is resumed. A folder in which no part was
    finished is removed too, if it was made here.

    Raises OutputError if the folder cannot be used: it holds other files, or the export of another request; or what was
    received cannot be written, because the disk is full.
    Raises MalformedError for an entry that is no leaf, or a journal that is none.
    Raises ClientError as `Client.export`.
    """
    run = _Run(folder, request, round_bytes, progress)
    if (done := run.open(resume=resume)) is not None:
        return done
    with run.kept_or_undone():
        journal = run.journal
        with client.export(
            request.filter,
            no_index=request.no_index,
            verify_tokens=request.verify_tokens,
            resume_token=journal.resume_token,
            log=request.log,
            timeout_s=timeout_s,
        ) as export:
            run.follow(export)
        return run.finish()


class _Run:
    def __init__(self, folder: Path, request: Request, round_bytes: int, progress: Progress) -> None:
        self._folder = folder
        self._request = request
        self._round_bytes = round_bytes
        self._progress = progress
        self._format = _format_of(request)
        self._partitions = (
            None if request.region is None or request.account is None else Partitions(request.region, request.account)
        )
        self._made_folder = False
        self.journal: Journal

    def open(self, *, resume: bool) -> Manifest | None:
        """Prepare the folder; return the manifest if the export was complete already."""
        with self._typed():
            manifest, journal = self._folder / MANIFEST_NAME, self._folder / JOURNAL_NAME
            if resume:
                if manifest.exists():
                    done = read_manifest(manifest.read_bytes())
                    self._require_same(done.request)
                    journal.unlink(missing_ok=True)
                    return done
                if journal.exists():
                    self.journal = Journal.load(journal)
                    self._require_same(self.journal.request)
                    self._remove(self.journal.begun)
                    return None
            if self._folder.exists():
                if not self._folder.is_dir() or any(self._folder.iterdir()):
                    hint = "it holds no export to resume" if resume else "--resume goes on with an export begun there"
                    raise OutputError(f"{self._folder}: not an empty folder; {hint}", reason="FOLDER_IN_USE")
            else:
                self._folder.mkdir(parents=True)
                self._made_folder = True
            self.journal = Journal.create(journal, self._request)
        return None

    def follow(self, export: Export) -> None:
        """Take in entries to the end of the tree, a round after the other."""
        journal = self.journal
        if journal.tree_size is not None and journal.next_index == journal.tree_size:
            return
        rows = sum(part.rows for part in journal.parts)
        pending: list[Entry] = []
        pending_bytes = 0
        try:
            for batch in export.batches():
                pending += batch
                pending_bytes += sum(len(entry.leaf) + _ENTRY_BYTES for entry in batch)
                rows += len(batch)
                self._progress(export.next_index or 0, export.tree_size or 0, rows)
                if pending_bytes >= self._round_bytes:
                    round_, pending, pending_bytes = pending, [], 0
                    self._write_round(round_, export)
                    del round_
        except (ClientError, KeyboardInterrupt) as error:
            # What came before is whole messages, and the token says where the next one begins.
            if pending and not isinstance(error, OutputError):
                self._write_round(pending, export)
            raise
        self._write_round(pending, export)

    def finish(self) -> Manifest:
        """Write the manifest, which says that all is there."""
        journal = self.journal
        manifest = Manifest(
            self._request,
            journal.tree_size or 0,
            journal.checkpoint,
            sum(part.rows for part in journal.parts),
            tuple(journal.parts),
        )
        with self._typed():
            with self._new_file(MANIFEST_NAME) as file:
                file.write(manifest.to_json().encode())
            self._name(MANIFEST_NAME)
            journal.path.unlink()
        return manifest

    @contextmanager
    def kept_or_undone(self) -> Iterator[None]:
        """Leave nothing half-made: what was finished is kept for `resume`, a folder without any part goes."""
        try:
            yield
        except BaseException as error:
            with suppress(OSError):
                self._remove(self.journal.begun)
                if not self.journal.parts:
                    self.journal.path.unlink(missing_ok=True)
                    if self._made_folder:
                        self._folder.rmdir()
            if isinstance(error, ClientError) and self.journal.parts:
                rows = sum(part.rows for part in self.journal.parts)
                parts = "1 part is" if len(self.journal.parts) == 1 else f"{len(self.journal.parts)} parts are"
                error.message += f"; {rows} rows in {parts} finished: --resume goes on"
            raise

    def _write_round(self, entries: Sequence[Entry], export: Export) -> None:
        """Write a part a partition, and note it. The order is: write, sync, note the names, rename, note the parts."""
        groups = self._groups(entries)
        self.journal.begun = list(groups)
        parts = []
        with self._typed():
            for path, group in groups.items():
                with self._new_file(path) as file:
                    self._format.write(group, file)
                parts.append(self._part(path, group))
            if groups:
                self.journal.begin(list(groups))
            for path in groups:
                self._name(path)
            self.journal.commit(
                parts, export.resume_token, export.next_index or 0, export.tree_size or 0, export.checkpoint
            )

    def _groups(self, entries: Sequence[Entry]) -> Mapping[str, list[Entry]]:
        folders: dict[str, list[Entry]] = {}
        for entry in entries:
            folder = "" if self._partitions is None else self._partitions.folder(read_leaf(entry.leaf, entry.index))
            folders.setdefault(folder, []).append(entry)
        return {self._path(folder, group): group for folder, group in folders.items()}

    def _path(self, folder: str, group: Sequence[Entry]) -> str:
        first, last = (f"{entry.index:0{_INDEX_DIGITS}d}" for entry in (group[0], group[-1]))
        name = f"{escaped(self._request.log)}-{first}-{last}{self._format.suffix}"
        return f"{folder}/{name}" if folder else name

    def _part(self, path: str, group: Sequence[Entry]) -> Part:
        digest, size = sha256(), 0
        with _temporary(self._folder / path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
        tokens = None
        if self._request.verify_tokens:
            tokens = dict(Counter(verdict for entry in group for verdict in token_verdicts(entry).values()))
        return Part(path, len(group), size, digest.hexdigest(), group[0].index, group[-1].index, tokens)

    @contextmanager
    def _new_file(self, path: str) -> Iterator[IO[bytes]]:
        """Yield a file to write under a temporary name; at the end it is synced."""
        target = _temporary(self._folder / path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def _name(self, path: str) -> None:
        """Give a file its name, durably."""
        target = self._folder / path
        _temporary(target).replace(target)
        for folder in (target.parent, *target.parent.parents):
            sync(folder)
            if folder == self._folder:
                break

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove what was begun and not finished, and the folders that are empty without it."""
        finished = {part.path for part in self.journal.parts}
        for path in set(paths) - finished:
            target = self._folder / path
            for each in (target, _temporary(target)):
                each.unlink(missing_ok=True)
            for folder in target.parents:
                if folder == self._folder:
                    break
                with suppress(OSError):
                    folder.rmdir()

    def _require_same(self, request: Request) -> None:
        if request != self._request:
            raise OutputError(
                f"{self._folder}: holds an export of another request; resume it with the options it was begun with",
                reason="OTHER_EXPORT",
            )

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self._folder
            raise OutputError(f"{where}: {error.strerror or error}", reason="CANNOT_WRITE") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")


def _format_of(request: Request) -> Format:
    if request.format == "parquet":
        return Parquet(request.log)
    if request.format == "csv":
        return Csv(request.columns or CSV_COLUMNS, request.compression, verify_tokens=request.verify_tokens)
    return JsonLines(request.compression, verify_tokens=request.verify_tokens)
