"""What knowing the caller costs: the server's own functions, with nothing of gRPC but the metadata of a call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditd.identity import (
    Authenticator,
    CertificateCallers,
    Issuer,
    IssuerConfig,
    LocalIssuer,
    Revocation,
    Revocations,
    Revoked,
    RevokedKind,
    UnknownKeyError,
)
from auditd.server._caller import Callers
from auditd.server._certificates import Certificates
from auditd.server._config import LimitSettings

ISSUER = "https://idp.example.com"
AUDIENCE = "audit.example.com"
_CACHED_TOKENS = 2_048


class Authentication:
    """A server's way from metadata to a caller, and tokens of one Ed25519 key for it; `revoked` others are revoked."""

    def __init__(self, revoked: int = 0) -> None:
        self._issuer = LocalIssuer.create(ISSUER)
        config = IssuerConfig(issuer=ISSUER, jwks_file=Path("jwks.json"))
        trusted = Issuer.from_jwks(config, self._issuer.jwks())
        revocations = Revocations()
        for index in range(revoked):
            revocations.add(Revocation(index, Revoked(RevokedKind.JTI, ISSUER, f"token-{index}"), 0))
        authenticator = Authenticator([trusted], AUDIENCE, time.time, _CACHED_TOKENS, revocations)
        certificates = Certificates(CertificateCallers("", (), revocations), _record_nothing, ())
        self._callers = Callers(
            authenticator, _learn_nothing, certificates, LimitSettings(max_cached_tokens=_CACHED_TOKENS)
        )

    def first_seen_per_s(self, count: int) -> float:
        """Return how many tokens a second are verified that were never seen before; one thread."""
        contexts = [self._context() for _ in range(count)]
        return count / self._seconds(contexts)

    def remembered_us(self, count: int) -> float:
        """Return what a token costs that was verified before, in microseconds a call."""
        context = self._context()
        self._callers.now(context)
        return 1e6 * self._seconds([context] * count) / count

    def _context(self) -> Any:  # noqa: ANN401 -- stands in for gRPC's
        token = self._issuer.issue("svc-billing", ["writer"], 900, AUDIENCE, time.time())
        metadata = (("user-agent", "bench"), ("authorization", f"Bearer {token}"))
        return SimpleNamespace(invocation_metadata=lambda: metadata)

    def _seconds(self, contexts: Sequence[Any]) -> float:
        started = time.perf_counter()
        for context in contexts:
            self._callers.now(cast("Any", context))
        return time.perf_counter() - started


def ed25519_per_s(count: int) -> float:
    """Return how many signatures a second the library verifies, of messages as long as a token."""
    key = Ed25519PrivateKey.generate()
    message = bytes(400)
    signature, public = key.sign(message), key.public_key()
    started = time.perf_counter()
    for _ in range(count):
        public.verify(signature, message)
    return count / (time.perf_counter() - started)


async def _record_nothing(_action: str, _attributes: object) -> None:
    return None


async def _learn_nothing(_: UnknownKeyError) -> bool:
    return False
