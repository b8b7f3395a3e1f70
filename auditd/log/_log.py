"""One append-only log: its folder, its writer, and verified reading."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from auditd.entry import event_key, parse_leaf, parse_time
from auditd.errors import AuditdError, DamagedError, FolderError, NotFoundError, PreconditionError
from auditd.filter import Sieve
from auditd.log._database import create_evidence
from auditd.log._durable import sync
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._housekeeper import Housekeeper
from auditd.log._keys import LogSigner
from auditd.log._leaves import Sifted
from auditd.log._lock import FolderLock
from auditd.log._measures import WriterMeasures
from auditd.log._peers import Peer, open_peers, require_peers
from auditd.log._pending import PendingSignatures
from auditd.log._plain_files import require_files
from auditd.log._proofs import Proofs
from auditd.log._readers import CONNECTIONS
from auditd.log._release import SignatureReleaser
from auditd.log._restored import restored_from
from auditd.log._settings import LogSettings
from auditd.log._store import EvidenceStore, StoredCredential
from auditd.log._submission import Outcome, Recorded, Submission, TreeHead
from auditd.log._training import DictionaryTrainer
from auditd.log._verified import VerifiedLeaves
from auditd.log._writer import Parts, Writer
from auditd.log.check._repair import restore_lost_checksums
from auditd.merkle import EMPTY_ROOT, root_at
from auditd.note import Checkpoint, VerifierKey, sign_note

_WHERE_CLOSED = 2
"""Connections that read a log to which nothing is added: there may be dozens of such, and few ask them."""

_logger = logging.getLogger(__name__)


class Log:
    """A log that is being served. Any thread may call it; it owns a writer and a housekeeper thread.

    Opening verifies before it signs: see `auditd.log._recovery.recover` for what it raises. A log that refuses to
    open leaves the evidence as it found it, byte for byte; `head` is not written before `start`. Page checksums
    that another program left out are written anew, if everything else is sound.

    With a verifier key in the place of its signer nothing is signed and no entry recorded, and it owns no thread: so a
    closed log is opened, and one whose evidence ends before what was signed (`is_short`). It shows the newest signed
    tree that the evidence has.

    `name` is the one by which callers ask for it; `successor` the origin of the log that goes on for it, once it is
    closed, and `closing` the note signed with its key that says so.
    """

    def __init__(self, name: str, folder: Path, signer: LogSigner | VerifierKey, settings: LogSettings) -> None:
        self.name = name
        self.folder = folder
        self.origin = signer.name
        self.successor: str | None = None
        self.closing = ""
        self._paused: Callable[[], AuditdError] | None = None
        self.predecessors = settings.predecessors
        self._key = signer if isinstance(signer, VerifierKey) else signer.verifier_key
        self.verifier_key = str(self._key)
        self._lost_to = 0
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
            raise _unusable(folder, error) from error

    def _opened(self, folder: Path, signer: LogSigner | VerifierKey, settings: LogSettings) -> ExitStack:
        with ExitStack() as opened:
            self._open(folder, signer, settings, opened)
            return opened.pop_all()

    def _open(self, folder: Path, signer: LogSigner | VerifierKey, settings: LogSettings, opened: ExitStack) -> None:
        require_files(folder)
        opened.callback(FolderLock(folder / "lock").release)
        self._restored_from = restored_from(folder)
        signs = signer if isinstance(signer, LogSigner) else None
        self._store = EvidenceStore(folder / "evidence.db", CONNECTIONS if signs is not None else _WHERE_CLOSED)
        opened.callback(self._store.close)
        head = HeadFile(folder / "head", self._key, writable=signs is not None)
        opened.callback(head.close)
        pending = PendingSignatures(folder / "pending.db")
        opened.callback(pending.close)
        self._writer = Writer(
            self.name,
            Parts(self._store, pending, head, self._key, signs),
            settings,
            self._first_dictionary,
        )
        self._leaves = VerifiedLeaves(self.name, self._store, self._writer)
        self.proofs = Proofs(self._writer)
        self._trainer = (
            DictionaryTrainer(
                folder / "dictionaries", settings.announce, self._writer.use_dictionary, settings.monotonic
            )
            if settings.announce is not None
            else None
        )
        self._pending = pending
        self._releaser = SignatureReleaser(pending, self._store, settings.clock)
        if signs is not None:
            self._housekeeper = Housekeeper(self.name, self._store, self._chores, settings.room)
            opened.callback(self._writer.stop)
            opened.callback(self._housekeeper.stop)
        self._signs = signs is not None

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
        """Begin to record; a restored log does not, it can be read alone, and a closed one records no entries.

        Raises FolderError where `head` cannot be written.
        """
        if not self._signs:
            return
        try:
            self._writer.vouch()
        except OSError as error:
            raise _unusable(self.folder, error) from error
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

    def retire(self) -> None:
        """Let go of threads and the signing key of a closed log, to which nothing is submitted any more."""
        if self._signs:
            self._housekeeper.stop()
            self._writer.retire()
            self._signs = False

    def tend(self) -> None:
        """Do what a closed log that was retired, or opened without signer, still needs; by one thread alone."""
        self._store.read_again()
        # What is left of a short log stays byte for byte as it was found.
        if not self.is_short and self._releaser.is_due():
            self._writer.do(self._releaser.release)

    def show(self, head: TreeHead, lost_to: int) -> None:
        """Show this tree, the last of a closed log; entries beyond it up to, but without, `lost_to` are lost.

        The caller MUST have found the evidence to have its root.
        """
        self._writer.tree_head, self._lost_to = head, lost_to
        if not self._signs and not self.is_short:
            self._writer.vouch()

    @property
    def evidence_size(self) -> int:
        """The number of entries in the evidence, whether they may be shown or not."""
        return self._writer.nodes.size

    @property
    def is_short(self) -> bool:
        """Whether the evidence ends before what was signed for."""
        return max(self.newest_signed.size, self._lost_to) > self.evidence_size

    @property
    def newest_signed(self) -> TreeHead:
        """The largest tree that a note at hand was signed for, with the log's key; the evidence may lack it."""
        return self._writer.newest_signed if not self._signs else self.tree_head

    @property
    def accounted_size(self) -> int:
        """The number of entries with those known to be lost, by what the successor says or else the newest signed."""
        return max(self.size, self._lost_to if self.successor is not None else self.newest_signed.size)

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

    @property
    def unreadable(self) -> str:
        """What the device refuses to read, as far as is known; empty if nothing is. It is tried again and again."""
        return self._store.unreadable

    @property
    def read_failures(self) -> int:
        """How often the device refused a read."""
        return self._store.read_failures

    @property
    def owed_bytes(self) -> int:
        """How much more of the disk it takes to copy the write-ahead log back, as far as that is large."""
        return self._housekeeper.owed_bytes if self._signs else 0

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
        return self._leaves.read(start, end)

    def sift(self, start: int, end: int, sieve: Sieve) -> list[Sifted]:
        """Return the entries of [start, end) that a sieve does not exclude, verified and raising as `leaves` are."""
        return self._leaves.sift(start, end, sieve)

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
        require_peers(self.origin, self.said_of_peers(), peers)

    def said_of_peers(self) -> list[tuple[str, int, bytes]]:
        """Return (origin, size, root) of each log that the newest stored checkpoint names; raise DamagedError."""
        stored = self._store.newest_checkpoint()
        return [] if stored is None or stored.peers is None else open_peers(stored.peers, self._key)

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
        self._store.read_again()
        self._release_soon_if_due()
        if self._trainer is not None and self.successor is None:
            self._trainer.train_if_due(self.size, self._writer.codec, self.leaf)


def _unusable(folder: Path, error: OSError) -> FolderError:
    where = error.filename or folder
    return FolderError("FOLDER_UNUSABLE", f"{where}: {error.strerror}; the server must be able to write there")
