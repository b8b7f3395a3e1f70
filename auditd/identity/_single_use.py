"""Tokens that are good for one call, of issuers whose configuration says so."""

from __future__ import annotations

import hashlib
import heapq
import math
import threading

from auditd.errors import ExhaustedError
from auditd.identity._caller import Caller
from auditd.identity._errors import TokenError, TokenReason

MAX_REMEMBERED = 1_000_000
_RETRY_S = 60.0


class SingleUse:
    """Remembers which tokens were used, by issuer and `jti`, until they expire. Safe to use from several threads.

    The memory is this process's own, so tokens issued before it began, at `started_at` (Unix seconds), count as used.
    """

    def __init__(self, started_at: float) -> None:
        self._started_at = math.floor(started_at)
        self._lock = threading.Lock()  # guards the two below
        self._used: set[bytes] = set()
        self._by_expiry: list[tuple[int, bytes]] = []

    def take(self, caller: Caller, now: float) -> None:
        """Use a verified token up.

        Raises TokenError: `TOKEN_REPLAYED` if it was used before, or may have been, `TOKEN_CLAIMS` if it lacks what
        tells. Raises ExhaustedError: `TOO_MANY_TOKENS`, if no further one can be remembered.
        """
        if caller.jti is None or caller.issued_at is None:
            missing = "jti" if caller.jti is None else "iat"
            raise _refusal(
                caller, TokenReason.CLAIMS, f"token claim {missing}: missing, and its issuer's are for one call"
            )
        if caller.issued_at <= self._started_at:
            raise _refusal(
                caller, TokenReason.REPLAYED, "token: issued before the server began, so it may have been used"
            )
        name = hashlib.sha256(f"{len(caller.issuer)}:{caller.issuer}{caller.jti}".encode()).digest()[:16]
        with self._lock:
            while self._by_expiry and self._by_expiry[0][0] <= now:
                self._used.discard(heapq.heappop(self._by_expiry)[1])
            if name in self._used:
                raise _refusal(caller, TokenReason.REPLAYED, "token claim jti: used before, and good for one call")
            if len(self._used) >= MAX_REMEMBERED:
                message = f"{MAX_REMEMBERED:,} tokens for one call are in use, no further one can be remembered"
                raise ExhaustedError("TOO_MANY_TOKENS", message, _RETRY_S)
            self._used.add(name)
            heapq.heappush(self._by_expiry, (caller.expires_at, name))


def _refusal(caller: Caller, reason: TokenReason, message: str) -> TokenError:
    error = TokenError(reason, message)
    error.unverified_subject = caller.subject
    return error
