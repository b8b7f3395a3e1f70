"""The writer thread of a log: group commit, in the order commit, sign, write `head`, answer (promise 2)."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditd.entry import SALT_BYTES, LeafTemplate, parse_leaf, parse_time, recorded_at_text
from auditd.log._complaint import Complaint
from auditd.log._frames import FrameCodec
from auditd.log._head import HeadFile
from auditd.log._keys import LogSigner
from auditd.log._leaves import require_leaf
from auditd.log._measures import WriterMeasures
from auditd.log._pending import PendingSignatures
from auditd.log._plan import CommitPlan, Placed
from auditd.log._queue import SubmissionQueue
from auditd.log._recovery import Recovered, recover, recover_unsigned
from auditd.log._refusals import not_recorded, refusal
from auditd.log._settings import Answers, LogSettings
from auditd.log._store import Batch, Credential, EvidenceStore, StoredCheckpoint
from auditd.log._submission import Outcome, Recorded, Submission, TreeHead
from auditd.merkle import leaf_hash, leaf_hashes
from auditd.note import Checkpoint, VerifierKey, sign_note

CHECKPOINT_INTERVAL_S = 1.0
INLINE_WAL_PAGES = 25_000
"""Beyond this the writer copies the write-ahead log back itself, since the housekeeper does not keep up."""
_KNOWN_CREDENTIALS = 10_000

_logger = logging.getLogger(__name__)

FirstDictionary = Callable[[Sequence[bytes], int, FrameCodec], bytes | None]
"""Given the leaves that a commit adds, and the size that the log then has. MUST NOT raise."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a writer works with; it alone writes through them. Without a signer it records nothing."""

    store: EvidenceStore
    pending: PendingSignatures
    head: HeadFile
    key: VerifierKey
    signer: LogSigner | None


class Writer(threading.Thread):
    """Takes everything queued, records it in one commit, and answers it.

    After a failed commit it is not known what reached the disk, so memory is dropped, the evidence reopened, read
    again and held against `head`, before the next one.
    """

    def __init__(
        self,
        name: str,
        parts: Parts,
        settings: LogSettings,
        first_dictionary: FirstDictionary,
    ) -> None:
        super().__init__(name=f"writer-{name}")
        self._parts = parts
        self._settings = settings
        self._first_dictionary = first_dictionary
        self._templates = {mark: LeafTemplate(parts.key.name, clock_suspect=mark) for mark in (False, True)}
        self._queue = SubmissionQueue(settings.limits)
        self._recovery_wanted = False
        self._credentials: dict[bytes, None] = {}
        self._complaint = Complaint(_logger, self.name)
        self._failure = Complaint(_logger, self.name)
        self._new_dictionary: bytes | None = None
        self._stored_checkpoint_at = -math.inf
        self.measures = WriterMeasures()
        self._state: Recovered | None = None
        self.tree_head: TreeHead
        self.newest_signed: TreeHead
        self.newest_recorded_at_us = 0
        self._in_doubt = False
        self._recover(vouch=False)

    def submit(self, submission: Submission) -> None:
        """Queue a submission.

        Raises at once ExhaustedError if there is no room for it, UnavailableError after `stop`, InvalidRequestError
        if a leaf would be too large to be read again, ValueError unless there are events, and a key for each.
        """
        if not 0 < len(submission.events) == len(submission.keys):
            raise ValueError(f"submission: {len(submission.events)} events with {len(submission.keys)} keys")
        # Of the longer leaf: nobody knows yet what the clock will be.
        self._templates[True].check_sizes(submission.caller_json, submission.events.lengths())
        self._queue.put(submission)

    def vouch(self) -> None:
        """Put the tree as it was found into `head`, if signed; once nothing speaks against it, before it is shown."""
        self._vouch(self.tree_head)

    def _vouch(self, head: TreeHead) -> None:
        self._parts.store.trust()
        if self._parts.signer is not None:
            self._parts.head.write(head.note)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events wait to be answered, and their bytes."""
        return self._queue.waiting

    @property
    def problem(self) -> str:
        """Why nothing can be recorded now, as far as is known; empty if nothing stands against it."""
        if self._parts.signer is None:
            return ""
        return self.measures.problem if self.is_alive() else "its writer does not run"

    def recover_soon(self) -> None:
        """Have the evidence reopened and verified after a failed commit, without waiting for the next submission."""
        if self.is_alive():
            self._recovery_wanted = True
            self.do_soon(lambda: None)

    def do_soon(self, chore: Callable[[], None]) -> None:
        """Have `chore` done in the writer thread, once what waits is answered; one that still waits is replaced."""
        self._queue.put_chore(chore)

    def use_dictionary(self, data: bytes) -> None:
        """Compress with this dictionary from one of the next commits on."""
        self._new_dictionary = data

    def stop(self) -> None:
        """Record what is queued, store the last checkpoint, and end; if never started, refuse what is queued."""
        self._queue.close()
        # Not whether it is alive: it may have ended by now, and has then taken what was put.
        if self.ident is not None:
            self.join()
        elif left := self._queue.take().submissions:
            self._hand_back([(submission, not_recorded("the server is stopping")) for submission in left])

    def retire(self) -> None:
        """Stop, for good, and let go of the signing key."""
        self.stop()
        self._parts = replace(self._parts, signer=None)
        self._settings = replace(self._settings, peers=lambda: None)
        self.newest_signed = self.tree_head

    def run(self) -> None:
        """Work until stopped."""
        stopping = False
        while not stopping:
            taken = self._queue.take()
            stopping = taken.last
            if taken.submissions:
                answers = self._answer(taken.submissions)
                self._queue.settle(taken.submissions)
                self._hand_back(answers)
            self._do_chore()
        self._store_last_checkpoint()

    def _do_chore(self) -> None:
        chore = self._queue.take_chore()
        wanted, self._recovery_wanted = self._recovery_wanted, False
        if chore is not None and (self._state is not None or wanted):
            self.do(chore)

    def do(self, chore: Callable[[], None]) -> None:
        """Do a chore in this thread, which MUST be the writer thread, or the only one that writes if that has ended."""
        try:
            if self._state is None:
                self._recover_again()
            chore()
        except Exception as error:  # noqa: BLE001 -- nobody waits for it, and it is asked for again
            self._state = None
            self._complaint.say(error)
        else:
            self._complaint.over()

    def _hand_back(self, answers: Answers) -> None:
        try:
            self._settings.deliver(answers)
        except Exception:
            # Those who wait on this log later must not suffer for one who could not take an answer.
            _logger.exception("%s: answers could not be delivered", self.name)

    def _answer(self, submissions: Sequence[Submission]) -> Answers:
        self._in_doubt = False
        try:
            return self._record(self._state or self._recover_again(), submissions)
        except Exception as error:  # noqa: BLE001 -- whatever it was, the callers wait and memory is in doubt
            self._state = None
            self._failure.say(f"nothing can be recorded: {error}", logging.ERROR)
            self.measures.failed(error)
            return [(submission, refusal(error, in_doubt=self._in_doubt)) for submission in submissions]

    def _recover_again(self) -> Recovered:
        self._parts.store.reopen()
        self._parts.pending.reopen()
        return self._recover(vouch=True)

    def _recover(self, *, vouch: bool) -> Recovered:
        parts = self._parts
        if parts.signer is None:
            state, head, self.newest_signed = recover_unsigned(parts.store, parts.key, parts.head, self._settings.told)
        else:
            state = recover(parts.store, parts.key, parts.head, self._settings.told)
            head = self.newest_signed = self._sign(state, parts.signer)
        # What is left of a log that lost its end stays byte for byte as it was found.
        if vouch and self.newest_signed.size <= state.tree.size:
            self._vouch(head)
        self._credentials.clear()
        self.nodes, self.codec, self.tree_head, self._state = state.nodes, state.codec, head, state
        self.newest_recorded_at_us = state.recorded_at_us
        self.measures.problem = ""
        return state

    def _record(self, state: Recovered, submissions: Sequence[Submission]) -> Answers:
        store, taken_at = self._parts.store, time.perf_counter()
        keys = [key for submission in submissions for key in submission.keys]
        suspect = self._settings.clock_suspect()
        found = store.find(keys)
        if self._settings.predecessors.logs:
            found |= self._settings.predecessors.find(keys)
        stopped = self._settings.stopped()
        plan = CommitPlan(state.tree.size, found, self._stored_leaf, self._signature_hash, stopped, self._place)
        for submission in submissions:
            submission.taken_at = taken_at
            if submission.given_up:
                plan.refused.append((submission, not_recorded("its caller gave up before it was recorded")))
            else:
                plan.add(submission)
        leaves, hashes, recorded_at_us = self._commit(state, plan, suspect) if plan.keys else ([], [], 0)
        self.measures.duplicates += sum(len(placed.duplicates) for placed in plan.placed)
        answers: list[tuple[Submission, Outcome]] = [
            (placed.submission, self._receipt(plan, placed, leaves, hashes, recorded_at_us)) for placed in plan.placed
        ]
        return answers + plan.refused

    def _commit(self, state: Recovered, plan: CommitPlan, suspect: bool) -> tuple[list[bytes], list[bytes], int]:
        """Write the plan's new entries, sign, and write `head`; return leaves, leaf hashes and the time."""
        parts, began = self._parts, time.perf_counter()
        if parts.signer is None:
            raise RuntimeError("a log that signs nothing records nothing")
        recorded_at_us = max(self._settings.clock() // 1_000, state.recorded_at_us)
        leaves = self._leaves(plan, recorded_at_us, self._templates[suspect])
        hashes = leaf_hashes(leaves)
        if (first := self._first_dictionary(leaves, plan.size + len(leaves), state.codec)) is not None:
            self._new_dictionary = first
        new_dictionary = self._dictionary_to_add(state.codec)
        batch = Batch(
            first_index=plan.size,
            keys=plan.keys,
            checkpoint=self._due_checkpoint(),
            credentials=self._new_credentials(plan.placed),
            dictionaries=[] if new_dictionary is None else [(state.codec.add(new_dictionary), new_dictionary)],
        )
        batch.frames = state.codec.compress(leaves)
        batch.tiles = state.tree.extend(hashes)
        prepared = time.perf_counter()
        if batch.credentials:
            parts.pending.keep(batch.credentials)
        self._in_doubt = True
        parts.store.append(batch)
        stored = time.perf_counter()
        state.tree.settle(state.tree.size)
        if new_dictionary is not None:
            self._new_dictionary = None
        self._state = state = replace(state, recorded_at_us=recorded_at_us)
        head = self._sign(state, parts.signer)
        parts.head.write(head.note)
        self.tree_head, self.newest_recorded_at_us = head, recorded_at_us
        self.measures.committed(len(leaves), began, prepared, stored, time.perf_counter())
        self._failure.over()
        self._credentials.update(dict.fromkeys(item.credential for item in batch.credentials))
        if self._settings.observer is not None:
            self._settings.observer.committed(plan)
        if parts.store.wal_pages > INLINE_WAL_PAGES:
            parts.store.copy_wal_back()
        return leaves, hashes, recorded_at_us

    def _dictionary_to_add(self, codec: FrameCodec) -> bytes | None:
        """Return the dictionary that waits for its first use, unless a commit that failed has recorded it after all."""
        if self._new_dictionary is not None and codec.knows(self._new_dictionary):
            self._new_dictionary = None
        return self._new_dictionary

    def _leaves(self, plan: CommitPlan, recorded_at_us: int, template: LeafTemplate) -> list[bytes]:
        recorded_at = recorded_at_text(recorded_at_us)
        leaves: list[bytes] = []
        for part in plan.parts:
            salts = os.urandom(SALT_BYTES * len(part.positions))
            submission = part.submission
            leaves += submission.events.leaves(
                part.positions, part.index, template, recorded_at, salts, submission.caller_json
            )
        return leaves

    def _sign(self, state: Recovered, signer: LogSigner) -> TreeHead:
        checkpoint = Checkpoint(signer.name, state.tree.size, state.tree.root())
        return TreeHead(checkpoint.size, checkpoint.root, sign_note(checkpoint.text(), [signer]))

    def _due_checkpoint(self) -> StoredCheckpoint | None:
        """Return the checkpoint of the commit before this one, at most one a second."""
        now = self._settings.monotonic()
        if self.tree_head.size == 0 or now - self._stored_checkpoint_at < CHECKPOINT_INTERVAL_S:
            return None
        self._stored_checkpoint_at = now
        return StoredCheckpoint(self.tree_head.size, self.tree_head.note, self._settings.peers())

    def _new_credentials(self, placed: Sequence[Placed]) -> list[Credential]:
        """Return the credentials, once each, that new entries name and the evidence lacks."""
        if len(self._credentials) > _KNOWN_CREDENTIALS:
            self._credentials.clear()
        wanted = {
            credential.credential: credential
            for item in placed
            for credential in _credentials_of_new(item)
            if credential.credential not in self._credentials
        }
        return [item for key, item in wanted.items() if not self._parts.store.has_credential(key)]

    def _place(self, index: int) -> tuple[str, int]:
        log, own_index = self._settings.predecessors.place(index)
        return log.origin, own_index

    def _signature_hash(self, credential: bytes) -> bytes | None:
        found = self._parts.store.signature_hash(credential)
        return self._settings.predecessors.signature_hash(credential) if found is None else found

    def _stored_leaf(self, index: int) -> bytes:
        if index < 0:
            return self._settings.predecessors.leaf(index)
        leaf = self.codec.decompress(self._parts.store.frames(index, index + 1)[0], index)
        require_leaf(leaf, index, self.nodes.leaf_hash_at(index))
        return leaf

    def _receipt(
        self, plan: CommitPlan, placed: Placed, leaves: list[bytes], hashes: list[bytes], recorded_at_us: int
    ) -> Recorded:
        indexes, keep = placed.indexes, placed.submission.keep_leaves
        if not placed.duplicates:
            start = indexes[0] - plan.size
            end = start + len(indexes)
            times: Sequence[int] = [recorded_at_us] * len(indexes)
            kept: Sequence[bytes] = leaves[start:end] if keep else ()
            return Recorded(indexes, times, hashes[start:end], placed.duplicates, kept, self.tree_head)
        found = [plan.recorded_leaf(i) if i < plan.size else leaves[i - plan.size] for i in indexes]
        times = [parse_time(parse_leaf(leaf)["recorded_at"]) // 1_000 for leaf in found]
        found_hashes = [leaf_hash(leaf) for leaf in found]
        return Recorded(indexes, times, found_hashes, placed.duplicates, found if keep else (), self.tree_head)

    def _store_last_checkpoint(self) -> None:
        if self._state is None or self.tree_head.size == 0:
            return
        try:
            checkpoint = StoredCheckpoint(self.tree_head.size, self.tree_head.note, self._settings.peers())
            self._parts.store.append(Batch(self.tree_head.size, checkpoint=checkpoint))
        except Exception as error:  # noqa: BLE001 -- everything is recorded, and `head` holds the same checkpoint
            _logger.warning("%s: the last checkpoint could not be stored: %s", self.name, error)


def _credentials_of_new(placed: Placed) -> Iterator[Credential]:
    """Yield the credentials that the new entries of a submission name."""
    if len(placed.duplicates) == len(placed.indexes):
        return
    submission = placed.submission
    if submission.credential is not None:
        yield submission.credential
    for position, credential in submission.actor_credentials.items():
        if position not in placed.duplicates:
            yield credential
