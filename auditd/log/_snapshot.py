"""A log's evidence as it is at one moment, and the copy of it that a backup keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from auditd.errors import AuditdError, DamagedError, FolderError
from auditd.log._database import BUSY_TIMEOUT_MS, CHECKSUM_BYTES, checksum_vfs, require_evidence, said_by
from auditd.log._edge import tree_at
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._increment import last_rows, write_increment
from auditd.log._peers import open_peers
from auditd.log._second_look import judged_by_pages, tells_of_read
from auditd.log.check._reading import undisturbed
from auditd.merkle import leaf_hashes
from auditd.note import Checkpoint, VerifierKey

INCREMENT_NAME = "increment.db"
_PAGES_A_STEP = 1_024
_ENTRIES_A_STEP = 1_000


class Snapshot:
    """What one log holds at one moment; entries recorded later do not show.

    `head` is the signed note that was newest just before, so the evidence goes at least as far. Beside a running
    server the write-ahead log keeps growing as long as this is open.
    """

    def __init__(self, path: Path, db: apsw.Connection, note: str, checkpoint: Checkpoint, key: VerifierKey) -> None:
        self.key = key
        self.note = note
        self.checkpoint = checkpoint
        self._path = path
        self._db = db
        # The first read of a transaction fixes what it sees, and what the copy below sees with it.
        db.execute("BEGIN")
        self.size = int(db.execute("SELECT coalesce(max(idx) + 1, 0) FROM entries").get)

    def peers(self) -> list[tuple[str, int, bytes]]:
        """Return (origin, size, root) of each other log of the folder that the newest stored checkpoint names."""
        with _typed_errors(self._path):
            row = self._db.execute("SELECT peers FROM checkpoints ORDER BY id DESC LIMIT 1").fetchone()
        return [] if row is None or row[0] is None else open_peers(row[0], self.key)

    def last_rows(self) -> dict[str, int]:
        """Return the highest rowid of each table, by which an increment says after what it comes."""
        with _typed_errors(self._path):
            return last_rows(self._db)

    def frames(self, start: int, end: int) -> list[bytes]:
        """Return the frames of the entries [start, end); raise DamagedError where one is missing."""
        with _typed_errors(self._path):
            rows = self._db.execute("SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end))
            frames = [bytes(row[0]) for row in rows]
        if len(frames) != end - start:
            where = f"log {self._path.parent.name}: one of entries {start} to {end - 1}"
            raise DamagedError("ENTRY_MISSING", f"{where} is missing; no backup was made")
        return frames

    def tile(self, level: int, index: int) -> bytes:
        """Return the 8,192 bytes of a full tile; `b""` if it is not stored."""
        with _typed_errors(self._path):
            row = self._db.execute("SELECT hashes FROM tiles WHERE level = ? AND tile = ?", (level, index)).fetchone()
        return b"" if row is None else bytes(row[0])

    def require_extends(self, size: int, root: bytes, progress: Callable[[int, int], None]) -> None:
        """Find the tree of the first `size` entries to have this root, and what came later to lead to the head.

        Reads the entries that came later; `progress` is told of them. Raises DamagedError where that does not hold.
        """
        if self.size < size == self.checkpoint.size and root == self.checkpoint.root:
            # Its last entries are lost, as they were when the backup before was made: nothing came later.
            return
        with _typed_errors(self._path):
            codec = FrameCodec(row[0] for row in self._db.execute("SELECT dictionary FROM dictionaries ORDER BY rowid"))
        if size > self.checkpoint.size:
            raise self._other_history(size)
        tree = tree_at(self, codec, size)
        if tree.root() != root:
            raise self._other_history(size)
        end = self.checkpoint.size
        for start in range(size, end, _ENTRIES_A_STEP):
            stop = min(start + _ENTRIES_A_STEP, end)
            leaves = [codec.decompress(frame, start + i) for i, frame in enumerate(self.frames(start, stop))]
            tree.settle(start)
            tree.extend(leaf_hashes(leaves))
            progress(stop - size, end - size)
        if tree.root() != self.checkpoint.root:
            raise self._other_history(end)

    def _other_history(self, size: int) -> DamagedError:
        return DamagedError(
            "OTHER_HISTORY",
            f"log {self._path.parent.name}: its first {size} entries are not those that were signed for;"
            " run 'auditlog check'; no backup was made",
            {"log": self._path.parent.name, "size": str(size)},
        )

    def copy_increment_to(self, folder: Path, before: Mapping[str, int], progress: Callable[[int, int], None]) -> None:
        """Write what came after `before`, `head` and the new dictionaries into `folder`; else as `copy_to`."""
        try:
            (folder / "dictionaries").mkdir(parents=True, mode=0o700)
            with _typed_errors(self._path):
                write_increment(self._db, before, folder / INCREMENT_NAME, progress)
            self._write_small(folder, before["dictionaries"])
        except OSError as error:
            raise FolderError(
                "BACKUP_UNWRITABLE", f"{error.filename or folder}: {error.strerror}; no backup was made"
            ) from error

    def copy_to(self, folder: Path, progress: Callable[[int, int], None]) -> None:
        """Write evidence, `head` and dictionaries into `folder`, which is made; `progress` is told of pages.

        Every page is read through its checksum and keeps it. Raises DamagedError where a page cannot be believed,
        UnavailableError where the device refuses it, FolderError where `folder` cannot be written.
        """
        try:
            (folder / "dictionaries").mkdir(parents=True, mode=0o700)
            with _typed_errors(self._path):
                self._copy_pages(folder / "evidence.db", progress)
            self._write_small(folder, -1)
        except OSError as error:
            raise FolderError(
                "BACKUP_UNWRITABLE", f"{error.filename or folder}: {error.strerror}; no backup was made"
            ) from error

    def _write_small(self, folder: Path, dictionaries_before: int) -> None:
        with _typed_errors(self._path):
            sql = "SELECT dictionary FROM dictionaries WHERE rowid > ?"
            dictionaries = [row[0] for row in self._db.execute(sql, (dictionaries_before,))]
        for data in dictionaries:
            name = f"{hashlib.sha256(data).hexdigest()}.zstd-dictionary"
            (folder / "dictionaries" / name).write_bytes(data)
        HeadFile.create(folder / "head", self.key, self.note)

    def _copy_pages(self, path: Path, progress: Callable[[int, int], None]) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_EXCLUSIVE
        copy = apsw.Connection(str(path), flags=flags, vfs=checksum_vfs())
        try:
            # Nothing reads this file before it is whole and synced, by whoever puts the backup together.
            copy.pragma("journal_mode", "off")
            copy.pragma("synchronous", "OFF")
            # The checksum VFS learns from the first page that the others have checksums, so that page comes first.
            copy.reserve_bytes(reserve=CHECKSUM_BYTES)
            copy.execute("CREATE TABLE replaced_by_the_copy (one)")
            with copy.backup("main", self._db, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES_A_STEP)
                    progress(backup.page_count - backup.remaining, backup.page_count)
        finally:
            copy.close()


@contextmanager
def snapshot(folder: Path, key: VerifierKey) -> Iterator[Snapshot]:
    """Look at the log in `folder`, beside a running server or a stopped one, without changing a byte.

    Raises FolderError where evidence or head are missing, DamagedError where they cannot be believed, UnavailableError
    where a device refuses them.
    """
    require_evidence(folder / "evidence.db")
    with ExitStack() as opened:
        # Before the evidence: beside a running server it must not be newer.
        note, checkpoint = _newest_head(folder, key)
        [path] = opened.enter_context(undisturbed(folder, ["evidence.db"]))
        with _typed_errors(path):
            db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=checksum_vfs())
            opened.callback(db.close)
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            db.set_busy_timeout(BUSY_TIMEOUT_MS)
            taken = Snapshot(path, db, note, checkpoint, key)
        yield taken


def are_of_one_moment(snapshots: Sequence[Snapshot]) -> bool:
    """Tell whether none of them names more entries of another than that one holds.

    Raises DamagedError where what one says of the others is damaged.
    """
    # Where entries are lost, what was signed for counts: to copy such a log as it is.
    sizes = {item.key.name: max(item.size, item.checkpoint.size) for item in snapshots}
    return all(size <= sizes.get(origin, size) for item in snapshots for origin, size, _ in item.peers())


def _newest_head(folder: Path, key: VerifierKey) -> tuple[str, Checkpoint]:
    head = HeadFile(folder / "head", key, writable=False)
    try:
        newest = head.read()
    finally:
        head.close()
    if newest is None:
        raise FolderError("HEAD_MISSING", f"{folder / 'head'} holds no checkpoint signed by {key}; put it back")
    return newest


@contextmanager
def _typed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise _typed(error, path) from error


def _typed(error: apsw.Error, path: Path) -> AuditdError:
    if not tells_of_read(error):
        message = f"log {path.parent.name} cannot be copied: {said_by(error)}; no backup was made"
        return FolderError("BACKUP_UNWRITABLE", message)
    found = judged_by_pages(error, path)
    return type(found)(found.reason, f"{found.message}; no backup was made", facts=found.facts)
