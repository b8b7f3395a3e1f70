"""What requests may ask for, and how large an answer would be."""

from __future__ import annotations

from collections.abc import Sequence

from auditd.entry import LeafTemplate
from auditd.errors import InvalidRequestError, Violation

MAX_SIZE = 2**63 - 1
MAX_REASON_BYTES = 1_024
_ENVELOPE_BYTES = 8 * 1024  # checkpoint, consistency proof, framing
_RECEIPT_BYTES = 80  # index, recorded_at, leaf_hash, duplicate, earlier, framing
_NOTE_BYTES = 1024
_HASH_BYTES = 34


def violation(field: str, problem: str, reason: str = "INVALID_REQUEST") -> InvalidRequestError:
    """Return the error that says what is wrong with one field of a request."""
    return InvalidRequestError(reason, f"{field}: {problem}", [Violation(field, problem)])


def require_size(field: str, value: int) -> int:
    """Return `value`; raise InvalidRequestError beyond 2^63-1, which no index and no size can be."""
    if value > MAX_SIZE:
        raise InvalidRequestError(
            "OUT_OF_RANGE", f"{field}: {value}, limit 2^63-1", [Violation(field, f"{value}, limit 2^63-1")]
        )
    return value


def require_fit_reason(reason: str) -> None:
    """Raise InvalidRequestError unless a reason is brief, and in characters that can be printed."""
    size = len(reason.encode(errors="surrogatepass"))
    if size > MAX_REASON_BYTES:
        raise violation("reason", f"{size} bytes, limit {MAX_REASON_BYTES}")
    if not reason.isprintable():
        raise violation("reason", "holds characters that cannot be printed")


def require_response_fits(
    event_bytes: Sequence[int],
    caller_bytes: int,
    template: LeafTemplate,
    tree_sizes: Sequence[int],
    max_response_bytes: int,
    *,
    leaves: bool,
    proofs: bool,
) -> None:
    """Raise InvalidRequestError `RESPONSE_TOO_LARGE` with the number of events whose receipts fit.

    `tree_sizes` are those of the log's whole chain, any of which may have recorded some of the events before.
    """
    overhead = template.longest(b"", b"") + caller_bytes
    each = _RECEIPT_BYTES + (_HASH_BYTES * (max(tree_sizes) + len(event_bytes)).bit_length() if proofs else 0)
    total = _ENVELOPE_BYTES + _NOTE_BYTES * (len(tree_sizes) - 1)
    for count, length in enumerate(event_bytes):
        total += each + (overhead + length if leaves else 0)
        if total > max_response_bytes:
            raise InvalidRequestError(
                "RESPONSE_TOO_LARGE",
                f"events: the receipts asked for could pass {max_response_bytes} bytes; send at most {count} at a time",
                [Violation("events", f"at most {count} with these options")],
                {"max_events": str(count), "limit": "max_response_bytes", "value": str(max_response_bytes)},
            )
