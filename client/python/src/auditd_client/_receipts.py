"""Receipts out of append responses, and whether they are true."""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditd_client import verify
from auditd_client._events import event_to_dict
from auditd_client._model import Receipt
from auditd_client._times import datetime_from
from auditd_client.errors import ServerError
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.event_pb2 import Event

_STATED_SIZE = re.compile(r"[^\n]+\n(0|[1-9][0-9]{0,18})\n", re.ASCII)


def stated_size(note: str) -> int:
    """Return the tree size that a checkpoint states; nothing is verified.

    Raises ServerError if `note` has no such line.
    """
    match = _STATED_SIZE.match(note)
    if match is None:
        raise ServerError("the response holds no checkpoint", reason="MALFORMED_RESPONSE")
    return int(match[1])


def receipts_from(response: pb.AppendResponse, count: int) -> tuple[Receipt, ...]:
    """Return the receipts of `response`, one for each of the `count` events sent.

    Raises ServerError if there is another number of them, or no checkpoint.
    """
    notes = (response.checkpoint, *response.earlier_checkpoints)
    sizes = [stated_size(note) for note in notes]
    if len(response.receipts) != count:
        raise ServerError(f"{len(response.receipts)} receipts for {count} events", reason="MALFORMED_RESPONSE")
    if any(receipt.earlier >= len(notes) for receipt in response.receipts):
        raise ServerError("a receipt is of a log whose checkpoint is missing", reason="MALFORMED_RESPONSE")
    return tuple(
        Receipt(
            index=receipt.index,
            recorded_at=datetime_from(receipt.recorded_at),
            leaf_hash=receipt.leaf_hash,
            duplicate=receipt.duplicate,
            checkpoint=notes[receipt.earlier],
            tree_size=sizes[receipt.earlier],
            leaf=receipt.leaf,
            inclusion_proof=tuple(receipt.inclusion_proof),
        )
        for receipt in response.receipts
    )


def verify_receipts(response: pb.AppendResponse, events: Sequence[Event], checkpoint: verify.Checkpoint) -> None:
    """Verify each receipt of `response` against the event sent and the verified `checkpoint`.

    Those of events that a closed log of the chain holds are not of this checkpoint, and are left out.

    Raises VerificationError if a leaf is not in the tree or does not say what was sent.
    """
    for receipt, event in zip(response.receipts, events, strict=True):
        if receipt.earlier:
            continue
        verify.verify_receipt(
            verify.Receipt(
                index=receipt.index,
                recorded_at=receipt.recorded_at.ToJsonString(),
                leaf_hash=receipt.leaf_hash,
                duplicate=receipt.duplicate,
                leaf=receipt.leaf,
                inclusion_proof=receipt.inclusion_proof,
                tree_size=checkpoint.size,
            ),
            event_to_dict(event),
            checkpoint,
        )
