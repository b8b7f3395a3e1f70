"""Every key of every issuer, with its first and its last sight, in `control`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from auditd.identity import IssuerKey
from auditd.log import Submission
from auditd.server._own_events import OwnEvents


class KeyRegister:
    """Records which keys are trusted; `recorded` are those that `control` says are. Safe to call from several threads.

    `record` returns when an entry is durable.
    """

    def __init__(
        self,
        record: Callable[[Submission], object],
        own_events: OwnEvents,
        recorded: Collection[tuple[str, str]],
    ) -> None:
        self._record = record
        self._own_events = own_events
        self._lock = threading.Lock()  # guards what follows
        self._recorded = set(recorded)

    def replace(self, issuer: str, keys: Sequence[IssuerKey], source: str) -> None:
        """Record that an issuer has these keys, and no others, from now on; return when that is durable.

        Raises AuditdError where it cannot be recorded; then the keys MUST NOT be used.
        """
        with self._lock:
            for key in keys:
                if (issuer, key.thumbprint) not in self._recorded:
                    attributes = {
                        "issuer": issuer,
                        "thumbprint": key.thumbprint,
                        "kid": key.kid or "",
                        "jwk": key.jwk_json,
                        "source": source,
                    }
                    self._record(self._own_events.by_server("issuer_key.add", attributes))
                    self._recorded.add((issuer, key.thumbprint))
            self._remove(issuer, {key.thumbprint for key in keys})

    def keep_issuers(self, issuers: Collection[str]) -> None:
        """Record that the keys of all other issuers are trusted no longer."""
        with self._lock:
            for issuer in sorted({issuer for issuer, _ in self._recorded}.difference(issuers)):
                self._remove(issuer, set())

    def _remove(self, issuer: str, kept: set[str]) -> None:
        gone = sorted(key for key in self._recorded if key[0] == issuer and key[1] not in kept)
        for key in gone:
            attributes = {"issuer": issuer, "thumbprint": key[1]}
            self._record(self._own_events.by_server("issuer_key.remove", attributes))
            self._recorded.discard(key)
