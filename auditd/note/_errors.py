"""The one error of this room."""

from __future__ import annotations

from auditd.errors import AuditdError


class NoteError(AuditdError):
    """A note, checkpoint or verifier key cannot be used.

    Its reason is `MALFORMED_NOTE`, `MALFORMED_CHECKPOINT`, `MALFORMED_KEY`, `BAD_SIGNATURE` (a known key's
    signature does not verify) or `NO_KNOWN_SIGNATURE` (no known key signed). What that means, a damaged file
    or a wrong request, only the caller can tell, who knows where the bytes came from.
    """
