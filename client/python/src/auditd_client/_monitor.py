"""Follows a log from elsewhere: every checkpoint must extend the one before, and the entries must give its root.

Nothing the server says is believed: notes are opened with the log's key, proofs verified, leaves hashed here. The
caller keeps the state between polls, and the evidence of a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from auditd_client._client import Client
from auditd_client._model import CheckpointResult
from auditd_client.errors import DamagedLogError, LogBehindCallerError
from auditd_client.verify import (
    Checkpoint,
    Closing,
    InconsistentError,
    Leaf,
    MalformedError,
    MismatchError,
    VerificationError,
    VerifierKey,
    leaf_hash,
    open_checkpoint,
    open_closing,
    verify_extends,
    verify_range,
)

MAX_STEP_ENTRIES = 10_000
"""How many entries are proven together: each step's are read, hashed, and then never read again."""


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What a monitor has verified: the newest checkpoint, and the entries `[entries_from, entries_to)` of it."""

    checkpoint: Checkpoint
    entries_from: int
    entries_to: int


class Contradiction(Exception):  # noqa: N818 - it is what was found, and no fault of the program
    """The log contradicts what it signed, or what it shows does not verify.

    `known` and `offered` are signed notes, `proof` the hashes that failed, `cause` why they did.
    """

    def __init__(
        self, summary: str, cause: Exception, known: str = "", offered: str = "", proof: Sequence[bytes] = ()
    ) -> None:
        super().__init__(f"{summary}: {cause}")
        self.summary = summary
        self.cause = cause
        self.known = known
        self.offered = offered
        self.proof = tuple(proof)


class Monitor:
    """Verifies a log step by step; holds no state of its own.

    `key` is the log's verifier key, whose name is the log's origin. The client MUST be one without this key: what
    does not verify shall be seen here, with all of its evidence. `log` is what the log is asked for by; the client's
    own if absent.

    Raises VerificationError if the key is malformed.
    """

    def __init__(self, client: Client, key: str, log: str | None = None) -> None:
        self._client = client
        self._vkey = key
        self._key = VerifierKey.parse(key)
        self._log = log

    def closed(self) -> tuple[Monitor, Closing] | None:
        """Return a monitor of this log where it is now, and how it ended, if it was closed and a successor goes on.

        What says so is signed with the log's own key, or it is not believed. Raises ClientError if it cannot be had.
        """
        for log in self._client.logs():
            if log.origin == self._key.name and log.closing:
                try:
                    closing = open_closing(log.closing, self._key)
                except VerificationError:
                    return None
                return Monitor(self._client, self._vkey, log.name), closing
        return None

    def require_nothing_lost(self, state: MonitorState, closing: Closing) -> None:
        """Raise Contradiction if the log was closed before the tree that the state is of."""
        newest = state.checkpoint
        if closing.size < newest.size:
            cause = MismatchError("size", f"{newest.size} entries at least", f"{closing.size}")
            raise Contradiction(
                f"the log was closed after {closing.size} entries, and had {newest.size}: entries {closing.size} to"
                f" {newest.size - 1} are lost. {closing.successor} goes on, whose first entry says why; its key is"
                f" {closing.successor_key}",
                cause,
                newest.note,
                closing.note,
            )

    def require_end(self, state: MonitorState, closing: Closing) -> None:
        """Raise Contradiction unless the state is of the tree that the log was closed with."""
        newest = state.checkpoint
        if (newest.size, newest.root) != (closing.size, closing.root):
            end = f"{closing.size} entries and root {closing.root.hex()}"
            cause = MismatchError("tree", end, f"{newest.size} entries and root {newest.root.hex()}")
            raise Contradiction("the log did not end as it signed", cause, closing.note, newest.note)

    def first(self, *, from_start: bool = False) -> MonitorState:
        """Return the state to begin with: the current checkpoint, whose entries are new ones from the start, or none.

        Raises Contradiction if it is not signed by the key, ClientError if it cannot be had.
        """
        offered = self._opened(self._client.checkpoint(log=self._log).checkpoint, "")
        begin = 0 if from_start else offered.size
        return MonitorState(offered, begin, begin)

    def follow(self, state: MonitorState) -> MonitorState:
        """Return the state with the log's current checkpoint, which extends the one known.

        Raises Contradiction if it does not, ClientError if it cannot be had.
        """
        known = state.checkpoint
        result = self._newer(known)
        offered = self._opened(result.checkpoint, known.note)
        try:
            verify_extends(known, offered, result.consistency_proof)
        except (InconsistentError, MalformedError) as error:
            raise Contradiction(
                f"the checkpoint of size {offered.size} does not extend the one of size {known.size}",
                error,
                known.note,
                offered.note,
                result.consistency_proof,
            ) from error
        return replace(state, checkpoint=offered)

    def verify_entries(self, state: MonitorState) -> Iterator[MonitorState]:
        """Read the entries that are not verified yet, and yield the state after each step.

        Their hashes must give the root of the state's checkpoint.

        Raises Contradiction if they do not, or some are missing; ClientError if they cannot be had, and
        PermissionDeniedError among these.
        """
        checkpoint = state.checkpoint
        while state.entries_to < checkpoint.size:
            first, last = state.entries_to, min(state.entries_to + MAX_STEP_ENTRIES, checkpoint.size)
            proof: Sequence[bytes] = ()
            try:
                proof = self._client.prove_range(first, last, log=self._log, tree_size=checkpoint.size).hashes
                leaves = self._leaf_hashes(first, last, checkpoint.origin)
                verify_range(first, last, checkpoint.size, leaves, proof, checkpoint.root)
            except VerificationError as error:
                raise Contradiction(
                    f"the entries {first} up to {last} are not those of the checkpoint of size {checkpoint.size}",
                    error,
                    checkpoint.note,
                    checkpoint.note,
                    proof,
                ) from error
            state = replace(state, entries_to=last)
            yield state

    def _leaf_hashes(self, first: int, last: int, origin: str) -> Iterator[bytes]:
        expected = first
        wanted = f"index >= {first} AND index < {last}"
        for entry in self._client.query(wanted, log=self._log, order="asc", limit=last - first, origin=origin):
            leaf = Leaf.parse(entry.leaf)
            if (leaf.index, leaf.log) != (expected, origin):
                raise MismatchError("entry", f"{expected} of {origin}", f"{leaf.index} of {leaf.log}")
            yield leaf_hash(entry.leaf)
            expected += 1

    def _newer(self, known: Checkpoint) -> CheckpointResult:
        try:
            return self._client.checkpoint(log=self._log, known_size=known.size or None)
        except LogBehindCallerError as error:
            # The note itself is asked for without a known size, for it is the evidence.
            offered = self._client.checkpoint(log=self._log).checkpoint
            raise Contradiction(
                f"the log is behind the checkpoint of size {known.size} that it signed", error, known.note, offered
            ) from error
        except DamagedLogError as error:
            raise Contradiction("the server found its own evidence damaged", error, known.note) from error

    def _opened(self, note: str, known: str) -> Checkpoint:
        try:
            return open_checkpoint(note, self._key)
        except VerificationError as error:
            raise Contradiction("the checkpoint offered is not one of this log", error, known, note) from error
