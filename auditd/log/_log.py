"""One append-only log: its folder, its writer, and verified reading."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from auditd.entry import event_key, parse_leaf, parse_time
from auditd.errors import (
    AuditdError,
    DamagedError,
    FolderError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from auditd.filter import Sieve
from auditd.log._database import create_evidence
from auditd.log._durable import sync
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._housekeeper import Housekeeper
from auditd.log._keys import LogSigner
from auditd.log._leaves import Sifted, read_leaves, sift_leaves
from auditd.log._lock import FolderLock
from auditd.log._measures import WriterMeasures
from auditd.log._peers import Peer, require_peers
from auditd.log._pending import PendingSignatures
from auditd.log._predecessors import Predecessors
from auditd.log._release import SignatureReleaser
from auditd.log._restored import restored_from
from auditd.log._store import EvidenceStore, StoredCredential
from auditd.log._submission import Outcome, Recorded, Submission, TreeHead
from auditd.log._training import DictionaryTrainer
from auditd.log._writer import Answers, Observer, Parts, QueueLimits, Writer
from auditd.log.check._repair import restore_lost_checksums
from auditd.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    entries_proof,
    inclusion_paths,
    inclusion_proof,
    root_at,
    split_hashes,
)
from auditd.note import Checkpoint, sign_note

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")
_Read: TypeAlias = Callable[[FrameCodec, Sequence[bytes], int, bytes], list[_T]]
"""Reads frames, the first of this index, whose leaves have these hashes, concatenated."""


def deliver_each(answers: Answers) -> None:
    """Hand each answer to who waits for it, in the thread that has it."""
    for submission, outcome in answers:
        try:
            submission.done(outcome)
        except Exception:
            _logger.exception("an answer could not be delivered")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What surrounds a log.

    `clock` returns nanoseconds since 1970, UTC, `monotonic` seconds from any start. `clock_suspect` tells whether
    entries are to say that `clock` is not trusted; `stopped` returns why new events cannot be recorded now, which costs
    none its first receipt, or None. Both are asked once a commit, in this order. `deliver` hands the answers of one
    commit to those who wait. `peers` returns a signed note of the folder's other logs to store with checkpoints, or
    None. `announce` makes a new dictionary's SHA-256 (hex) durable elsewhere before it is used; without it none is
    trained. `predecessors` are the logs before this one in its chain.
    """

    clock: Callable[[], int]
    limits: QueueLimits = field(default_factory=QueueLimits)
    deliver: Callable[[Answers], None] = deliver_each
    peers: Callable[[], str | None] = lambda: None
    observer: Observer | None = None
    announce: Callable[[str], None] | None = None
    monotonic: Callable[[], float] = time.monotonic
    clock_suspect: Callable[[], bool] = lambda: False
    stopped: Callable[[], AuditdError | None] = lambda: None
    predecessors: Predecessors = field(default_factory=Predecessors)


class Log:
    """A log that is being served. Any thread may call it; it owns a writer and a housekeeper thread.

    Opening verifies before it signs: see `auditd.log._recovery.recover` for what it raises. A log that refuses to
    open leaves the evidence as it found it, byte for byte. Page checksums that another program left out are written
    anew, if everything else is sound.

    `name` is the one by which callers ask for it; `successor` the origin of the log that goes on for it, once it is
    closed, and `closing` the note signed with its key that says so.
    """

    def __init__(self, name: str, folder: Path, signer: LogSigner, settings: LogSettings) -> None:
        self.name = name
        self.folder = folder
        self.origin = signer.name
        self.successor: str | None = None
        self.closing = ""
        self._paused: Callable[[], AuditdError] | None = None
        self.predecessors = settings.predecessors
        self.verifier_key = str(signer.verifier_key)
        self._key = signer.verifier_key
        if not folder.is_dir():
            raise FolderError("LOG_MISSING", f"{folder}: the log {name!r} is missing; put its folder back")
        try:
            try:
                self._files = self._opened(folder, signer, settings)
            except DamagedError as error:
                if error.reason != "EVIDENCE_UNREADABLE":
                    raise
                restore_lost_checksums(name, folder, self._key, error)
                self._files = self._opened(folder, signer, settings)
        except OSError as error:
            raise FolderError(
                "FOLDER_UNUSABLE",
                f"{error.filename or folder}: {error.strerror}; the server must be able to write there",
            ) from error

    def _opened(self, folder: Path, signer: LogSigner, settings: LogSettings) -> ExitStack:
        with ExitStack() as opened:
            self._open(folder, signer, settings, opened)
            return opened.pop_all()

    def _open(self, folder: Path, signer: LogSigner, settings: LogSettings, opened: ExitStack) -> None:
        opened.callback(FolderLock(folder / "lock").release)
        self._restored_from = restored_from(folder)
        self._store = EvidenceStore(folder / "evidence.db")
        opened.callback(self._store.close)
        head = HeadFile(folder / "head", signer.verifier_key)
        opened.callback(head.close)
        pending = PendingSignatures(folder / "pending.db")
        opened.callback(pending.close)
        self._writer = Writer(
            self.name,
            Parts(self._store, pending, head, signer),
            clock=settings.clock,
            monotonic=settings.monotonic,
            limits=settings.limits,
            peers=settings.peers,
            observer=settings.observer,
            deliver=settings.deliver,
            first_dictionary=self._first_dictionary,
            clock_suspect=settings.clock_suspect,
            stopped=settings.stopped,
            predecessors=settings.predecessors,
        )
        self._trainer = (
            DictionaryTrainer(
                folder / "dictionaries", settings.announce, self._writer.use_dictionary, settings.monotonic
            )
            if settings.announce is not None
            else None
        )
        self._pending = pending
        self._releaser = SignatureReleaser(pending, self._store, settings.clock)
        self._housekeeper = Housekeeper(self.name, self._store, self._chores)
        opened.callback(self._writer.stop)
        opened.callback(self._housekeeper.stop)

    @staticmethod
    def create(folder: Path, signer: LogSigner) -> None:
        """Make the folder of an empty log, which must not exist."""
        folder.mkdir(parents=True)
        create_evidence(folder / "evidence.db", signer.name, str(signer.verifier_key))
        note = sign_note(Checkpoint(signer.name, 0, EMPTY_ROOT).text(), [signer])
        HeadFile.create(folder / "head", signer.verifier_key, note)
        for made in (folder, folder.parent):
            sync(made)

    def start(self) -> None:
        """Begin to record; a restored log does not, it can be read alone, and a closed one records no entries."""
        if self.restored_from is not None:
            return
        self._writer.start()
        self._housekeeper.start()

    def close(self) -> None:
        """Record what is queued, store the last checkpoint and close every file; a second call does nothing."""
        self._files.close()

    def resume(self) -> None:
        """Let a restored log go on, which MUST have been proven to lack nothing; before `start`."""
        self._restored_from = None

    def close_for(self, successor: str) -> None:
        """Record no more entries: the log of this origin goes on. What is queued already is still recorded."""
        self.successor = successor

    def pause(self, why: Callable[[], AuditdError] | None) -> None:
        """Refuse what is submitted from now on, as `why` says; None ends that. What is queued is still recorded."""
        self._paused = why

    def require_open(self) -> None:
        """Raise PreconditionError if this log is closed, or was restored and not resumed."""
        if self.successor is not None:
            raise PreconditionError(
                "LOG_SUCCEEDED",
                f"log {self.name!r} is closed and accepts no events: its successor {self.successor} goes on",
                {"log": self.name, "origin": self.origin, "successor": self.successor},
            )
        self._require_resumed()

    @property
    def restored_from(self) -> str | None:
        """When the backup was made that this log was restored from, if it waits to be resumed since."""
        return self._restored_from if self.successor is None else None

    def _require_resumed(self) -> None:
        """Another history might begin here."""
        if self._restored_from is not None:
            raise PreconditionError(
                "LOG_RESTORED",
                f"log {self.name!r} was restored from a backup of {self._restored_from} and ends after"
                f" {self.size} entries. Nothing is recorded until it is proven that none is missing: stop the server,"
                " run auditlog log resume DIR --against NEWEST_KNOWN_CHECKPOINT",
                {"log": self.name, "tree_size": str(self.size)},
            )

    @property
    def tree_head(self) -> TreeHead:
        """The newest tree that may be shown: committed, signed and in `head`."""
        return self._writer.tree_head

    @property
    def size(self) -> int:
        """The number of entries that may be shown."""
        return self._writer.tree_head.size

    @property
    def newest_recorded_at_us(self) -> int:
        """When the newest entry was recorded, in microseconds since 1970; 0 where there is none."""
        return self._writer.newest_recorded_at_us

    @property
    def measures(self) -> WriterMeasures:
        """What its writer has done."""
        return self._writer.measures

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events wait to be recorded, and their bytes."""
        return self._writer.waiting

    @property
    def problem(self) -> str:
        """Why nothing can be recorded now, as far as is known; empty if nothing stands against it."""
        if self.restored_from is not None:
            return f"it was restored from a backup of {self.restored_from} and is not resumed yet"
        return self._writer.problem

    def recover_soon(self) -> None:
        """Have a writer whose last commit failed reopen and verify the evidence, without waiting for an append."""
        self._writer.recover_soon()

    def submit(self, submission: Submission) -> None:
        """Queue a submission for the writer.

        Raises ExhaustedError if there is no room, UnavailableError once the files are closed, PreconditionError where
        the log is closed for a successor, or restored.
        """
        self.require_open()
        if self._paused is not None:
            raise self._paused()
        self._writer.submit(submission)

    def record(self, submission: Submission) -> Recorded:
        """Queue a submission without `done`, wait for its answer, and raise it if it is an error."""
        answered = threading.Event()
        outcomes: list[Outcome] = []

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            answered.set()

        submission.done = done
        self.submit(submission)
        answered.wait()
        if isinstance(outcomes[0], Recorded):
            return outcomes[0]
        raise outcomes[0]

    def leaf(self, index: int) -> bytes:
        """Return the bytes of an entry, verified; raise NotFoundError beyond the tree, DamagedError if altered."""
        if not 0 <= index < self.size:
            raise NotFoundError(
                "ENTRY_NOT_FOUND",
                f"log {self.name!r} has no entry {index}; it has {self.size} entries",
                {"log": self.name, "index": str(index), "tree_size": str(self.size)},
            )
        return self.leaves(index, index + 1)[0]

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaves of the entries [start, end), each found equal to the tree's hash (promise 4).

        Raises DamagedError naming the first entry that is missing or differs, ValueError beyond the tree.
        """
        return self._read(start, end, read_leaves)

    def sift(self, start: int, end: int, sieve: Sieve) -> list[Sifted]:
        """Return the entries of [start, end) that a sieve does not exclude, verified and raising as `leaves` are."""
        return self._read(start, end, partial(sift_leaves, sieve=sieve))

    def _read(self, start: int, end: int, read: _Read[_T]) -> list[_T]:
        if end > self.size:
            raise ValueError(f"leaves [{start}, {end}): not within a tree of size {self.size}")
        try:
            return self._read_stored(start, end, read)
        except DamagedError as error:
            self._locate(error, start, end)
            raise

    def _read_stored(self, start: int, end: int, read: _Read[_T]) -> list[_T]:
        frames = self._store.frames(start, end)
        return read(self._writer.codec, frames, start, self._writer.nodes.leaf_hash_row(start, end))

    def _locate(self, error: DamagedError, start: int, end: int) -> None:
        """Have an error about entries [start, end) name the log and the first entry that it concerns."""
        error.facts.setdefault("log", self.name)
        for index in range(start, end) if "index" not in error.facts else ():
            try:
                self._read_stored(index, index + 1, read_leaves)
            except DamagedError:
                error.facts["index"] = str(index)
                error.message = f"entry {index}: {error.message}"
                return

    def find(self, key: bytes) -> int | None:
        """Return the index of the entry whose event has this key, if it may be shown.

        Raises DamagedError where the entry found has another key, for no tree speaks for that column.
        """
        index = self._store.find_committed([key]).get(key)
        if index is None or index >= self.size:
            return None
        entry = parse_leaf(self.leaf(index))
        caller, event = entry["caller"], entry["event"]
        name = (caller.get("iss", ""), caller.get("sub", ""), event["id"], event["time"])
        if event_key(*name, parse_time(event["time"])) != key:
            raise DamagedError(
                "KEY_DAMAGED",
                f"entry {index} is recorded under a key that is not its event's; run 'auditlog check'",
                {"index": str(index), "key": key.hex()},
            )
        return index

    def find_keys(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these keys that is recorded and may be shown; only leaves say what is there."""
        return {key: index for key, index in self._store.find_committed(keys).items() if index < self.size}

    @property
    def highest_key(self) -> bytes:
        """The highest key of an event, `b""` where there is none."""
        return self._store.highest_key()

    def signature_hash(self, credential: bytes) -> bytes | None:
        """Return the hash of the signature of a token that this log names, if it does."""
        stored = self._store.stored_credential(credential)
        return None if stored is None else stored.signature_hash

    def credential(self, credential: bytes) -> StoredCredential:
        """Return the evidence of an identity that entries name by these 32 bytes.

        Raises NotFoundError where the log has none, UnavailableError where it cannot be read now.
        """
        # In this order: a signature reaches the evidence before it leaves `pending.db`.
        waits = self._pending.holds(credential)
        stored = self._store.stored_credential(credential)
        if stored is None:
            raise NotFoundError(
                "CREDENTIAL_NOT_FOUND",
                f"log {self.name!r} has no credential {credential.hex()}",
                {"log": self.name, "credential": credential.hex()},
            )
        return replace(stored, waits=waits and stored.signature is None)

    def leaf_hash(self, index: int) -> bytes:
        """Return the tree's hash of an entry's leaf."""
        return self._writer.nodes.leaf_hash_at(index)

    def root_at(self, size: int) -> bytes:
        """Return the root of the tree of the first `size` entries."""
        return root_at(size, self._writer.nodes)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is in the tree of `size` entries (RFC 9162 section 2.1.3).

        Raises InvalidRequestError unless index < size <= the current size.
        """
        self._require_size("tree_size", size, self.size)
        if not 0 <= index < size:
            raise _out_of_range("index", index, f"below the tree size {size}")
        return inclusion_proof(index, size, self._writer.nodes)

    def inclusion_paths(self, indexes: Sequence[int], size: int) -> list[bytes]:
        """Return the inclusion proof of each of `indexes`, which are below `size`, its hashes concatenated."""
        return inclusion_paths(indexes, size, self._writer.nodes)

    def inclusion_proofs(self, indexes: Sequence[int], size: int) -> list[list[bytes]]:
        """Return the inclusion proof of each of `indexes`, which are below `size`."""
        return [split_hashes(path) for path in self.inclusion_paths(indexes, size)]

    def consistency_proof(self, from_size: int, to_size: int) -> list[bytes]:
        """Return the proof that the tree of `to_size` extends that of `from_size` (RFC 9162 section 2.1.4).

        Raises InvalidRequestError unless from_size <= to_size <= the current size.
        """
        self._require_size("to_size", to_size, self.size)
        if not 0 <= from_size <= to_size:
            raise _out_of_range("from_size", from_size, f"at most to_size {to_size}")
        return consistency_proof(from_size, to_size, self._writer.nodes)

    def entries_proof(
        self, ranges: Sequence[tuple[int, int]], size: int, within: tuple[int, int] | None = None
    ) -> list[bytes]:
        """Return the proof that the tree of `size` holds exactly these entries at `ranges`; see `merkle.entries_proof`.

        Each range is [first, last), ascending. Raises InvalidRequestError where they are not within the tree.
        """
        self._require_size("tree_size", size, self.size)
        try:
            return entries_proof(ranges, size, self._writer.nodes, within)
        except ValueError as error:
            raise InvalidRequestError("OUT_OF_RANGE", str(error), [Violation("ranges", str(error))]) from error

    def leaf_hashes(self, first: int, last: int) -> list[bytes]:
        """Return the leaf hashes of the entries [first, last); raise InvalidRequestError beyond the tree."""
        if not 0 <= first < last <= self.size:
            raise _out_of_range("last", last, f"above first {first} and at most the tree size {self.size}")
        return self._writer.nodes.leaf_hashes(first, last)

    def require_known_size(self, known_size: int) -> None:
        """Raise PreconditionError if a caller holds a checkpoint of a tree larger than this one (promise 2)."""
        if known_size > self.size:
            raise PreconditionError(
                "LOG_BEHIND_CALLER",
                f"log {self.name!r} has {self.size} entries, the caller has seen {known_size}:"
                " entries are missing, or this is another log. Keep the checkpoint, it is evidence",
                {
                    "log": self.name,
                    "origin": self.origin,
                    "known_size": str(known_size),
                    "tree_size": str(self.size),
                },
            )

    def require_peers(self, peers: Mapping[str, Peer]) -> None:
        """Hold the folder's other logs, by origin, against this log's newest stored checkpoint.

        Raises FolderError or DamagedError where one of them was put back alone.
        """
        stored = self._store.newest_checkpoint()
        if stored is not None and stored.peers is not None:
            require_peers(stored.peers, self._key, peers)

    def _require_size(self, field_name: str, size: int, limit: int) -> None:
        if not 0 <= size <= limit:
            raise _out_of_range(field_name, size, f"at most the current tree size {limit}")

    def _release_soon_if_due(self) -> None:
        if self._releaser.is_due():
            self._writer.do_soon(self._release)

    def _release(self) -> None:
        self._releaser.release()
        self._release_soon_if_due()

    def _first_dictionary(self, leaves: Sequence[bytes], size: int, codec: FrameCodec) -> bytes | None:
        if self._trainer is None:
            return None
        try:
            return self._trainer.first(leaves, size, codec, self.leaf)
        except (AuditdError, OSError) as error:
            _logger.warning("%s: no first dictionary: %s", self.name, error)
            return None

    def _chores(self) -> None:
        self._release_soon_if_due()
        if self._trainer is not None and self.successor is None:
            self._trainer.train_if_due(self.size, self._writer.codec, self.leaf)


def _out_of_range(field_name: str, value: int, rule: str) -> InvalidRequestError:
    return InvalidRequestError(
        "OUT_OF_RANGE",
        f"{field_name}: {value}, must be {rule}",
        [Violation(field_name, f"{value}, must be {rule}")],
        {"field": field_name, "value": str(value)},
    )
