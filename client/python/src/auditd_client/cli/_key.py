"""The verifier key that a command was given."""

from __future__ import annotations

from auditd_client.cli._errors import CommandError
from auditd_client.verify import VerificationError, VerifierKey


def read_key(key: str) -> VerifierKey:
    """Return the key. Raises CommandError if it is malformed: that is misuse, and no verdict on anything."""
    try:
        return VerifierKey.parse(key)
    except VerificationError as error:
        raise CommandError(f"--key: {error}") from error
