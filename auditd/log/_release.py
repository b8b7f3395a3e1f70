"""From `pending.db` into the evidence: the signatures of tokens that nobody can use any more."""

from __future__ import annotations

from collections.abc import Callable

from auditd.log._pending import PendingSignatures
from auditd.log._store import EvidenceStore

RELEASE_AFTER_S = 60
"""Another server may allow its clock that much more before it refuses a token."""
RELEASED_AT_ONCE = 500
"""Moved in one transaction: a few milliseconds."""


class SignatureReleaser:
    """Moves signatures once their tokens have expired.

    A crash between the two files loses nothing: what is in both is only removed from the first, and a signature whose
    credential was never recorded is dropped. `clock` returns nanoseconds since 1970, UTC.
    """

    def __init__(self, pending: PendingSignatures, store: EvidenceStore, clock: Callable[[], int]) -> None:
        self._pending = pending
        self._store = store
        self._clock = clock

    def is_due(self) -> bool:
        """Tell whether there is something to move; for any thread, without reading a file."""
        first = self._pending.next_expiry
        return first is not None and first <= self._expired_by()

    def release(self) -> None:
        """Move some of what is due; for the writer thread. Ask `is_due` whether that was all."""
        due = self._pending.expired(self._expired_by(), RELEASED_AT_ONCE)
        if due:
            self._store.release(due)
            self._pending.remove([credential for credential, _ in due])

    def _expired_by(self) -> int:
        return self._clock() // 1_000_000_000 - RELEASE_AFTER_S
