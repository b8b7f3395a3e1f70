"""Many callers: tokens by the server folder's own issuer, made here, for a command takes half a second."""

from __future__ import annotations

import time

from auditd.identity import LocalIssuer
from benchmarks._append import Subject

_TTL_S = 3_600


def tokens(subject: Subject, name: str, count: int, role: str) -> list[str]:
    """Return a token for each of `count` callers."""
    origin = subject.server.vkey.partition("/main+")[0]
    issuer = LocalIssuer.load(f"https://{origin}/local", subject.server.folder / "keys" / "issuer.pem")
    return [issuer.issue(f"{name}-{number}", [role], _TTL_S, origin, time.time()) for number in range(count)]
