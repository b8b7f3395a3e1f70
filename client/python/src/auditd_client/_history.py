"""What a client has verified of one log, so that a rewritten history is noticed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from auditd_client.errors import HistoryRewrittenError
from auditd_client.verify import (
    Checkpoint,
    InconsistentError,
    VerifierKey,
    open_checkpoint,
    verify_extends,
)


class History:
    """The ends of a log's history: the checkpoints verified last.

    Calls in flight at the same time are answered by checkpoints that each extend what their own
    call knew, but are not proven to extend one another. So there may be several ends, at most one a
    call in flight; each later call proves the least used of them, and none is forgotten before a
    later checkpoint is proven to extend it. Safe to use from several threads.

    `key` is the log's verifier key, whose name is the log's origin; `known` a signed note verified
    earlier.

    Raises VerificationError if the key is malformed or `known` is not signed by it.
    """

    def __init__(self, key: str, known: str | None = None) -> None:
        self._key = VerifierKey.parse(key)
        self._lock = threading.Lock()
        # Under the lock: each end, with the number of calls that now prove it.
        self._ends: Counter[Checkpoint] = Counter()
        if known is not None:
            self._ends[open_checkpoint(known, self._key)] = 0

    @property
    def key(self) -> VerifierKey:
        """The log's verifier key."""
        return self._key

    @property
    def newest(self) -> Checkpoint | None:
        """The largest checkpoint verified, None before the first."""
        with self._lock:
            return max(self._ends, key=lambda end: end.size, default=None)

    def borrow(self) -> Checkpoint | None:
        """Return the checkpoint that the next call has to prove; `give_back` it in any case."""
        with self._lock:
            known = min(self._ends, key=lambda end: (self._ends[end], end.size), default=None)
            if known is not None:
                self._ends[known] += 1
            return known

    def give_back(self, known: Checkpoint | None) -> None:
        """Say that the call which borrowed `known` has ended."""
        with self._lock:
            if known is not None and self._ends[known] > 0:
                self._ends[known] -= 1

    def extend(self, known: Checkpoint | None, note: str, proof: Sequence[bytes]) -> Checkpoint:
        """Verify that the checkpoint `note` extends `known`, remember it instead, and return it.

        Raises HistoryRewrittenError if `proof` does not lead from `known` to it, or another
        checkpoint of its size has another root.
        Raises VerificationError if it is not signed by the log's key, or is of another log.
        """
        offered = self._open(note)
        if known is not None:
            try:
                verify_extends(known, offered, proof)
            except InconsistentError as error:
                _refuse(known, offered, proof, error)
        with self._lock:
            self._compare(offered)
            self._ends[offered] += 0
            if known is not None and known != offered and known in self._ends:
                # Its other borrowers keep their own reference.
                del self._ends[known]
        return offered

    def check(self, known: Checkpoint | None, note: str) -> Checkpoint:
        """Verify the checkpoint `note` of a call that brings no proof from `known`, and return it.

        Raises HistoryRewrittenError if it is smaller than `known`, which the log had signed before
        the call was made, or a checkpoint of its size has another root.
        Raises VerificationError if it is not signed by the log's key, or is of another log.
        """
        offered = self._open(note)
        if known is not None and offered.size < known.size:
            _refuse(known, offered, (), None)
        with self._lock:
            self._compare(offered)
        return offered

    def _open(self, note: str) -> Checkpoint:
        with self._lock:
            seen = next((end for end in self._ends if end.note == note), None)
        return seen or open_checkpoint(note, self._key)

    def _compare(self, offered: Checkpoint) -> None:
        for end in self._ends:
            if end.size == offered.size and end.root != offered.root:
                _refuse(end, offered, (), None)


def _refuse(
    known: Checkpoint, offered: Checkpoint, proof: Sequence[bytes], cause: InconsistentError | None
) -> NoReturn:
    raise HistoryRewrittenError(
        f"{known.origin!r}: the checkpoint of size {offered.size} does not extend the one of size"
        f" {known.size} verified before; keep both notes, they prove it",
        known=known.note,
        offered=offered.note,
        proof=proof,
    ) from cause
