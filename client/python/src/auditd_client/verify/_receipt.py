"""That what an append returned is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditd_client.verify._checkpoint import Checkpoint
from auditd_client.verify._entry import VerifiedEntry, verify_entry
from auditd_client.verify._errors import MalformedError, MismatchError
from auditd_client.verify._event import match_event
from auditd_client.verify._leaf import Leaf
from auditd_client.verify._merkle import leaf_hash
from auditd_client.verify._strict import check_hash
from auditd_client.verify._time import read_time_ns


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an append returned for one event, asked for with its leaf and its proof.

    `recorded_at` is an RFC 3339 time, `leaf_hash` 32 bytes, `leaf` the entry's exact bytes,
    `inclusion_proof` hashes of 32 bytes from leaf to root, `tree_size` that of the checkpoint returned.
    A `duplicate` had been recorded before: the receipt is that of the first time.
    """

    index: int
    recorded_at: str
    leaf_hash: bytes
    duplicate: bool
    leaf: bytes
    inclusion_proof: Sequence[bytes]
    tree_size: int


def verify_receipt(
    receipt: Receipt,
    event: Mapping[str, object],
    checkpoint: Checkpoint,
    *,
    attributes: str | None = None,
    issuer: str | None = None,
    subject: str | None = None,
) -> VerifiedEntry:
    """Verify that the receipt's leaf hashes to it, is in the tree of `checkpoint`, and says what was sent.

    `event` is what was sent, with the names of a leaf's `event`; its attributes are the text sent, in
    `attributes` or as its member `attributes_json`. `issuer` and `subject` are those of the token it was
    sent with; without them the same event recorded by another caller would do. `checkpoint` comes from
    `open_checkpoint`. Sealed members are a mismatch.

    Raises ProofError, MismatchError at the first difference, MalformedError.
    """
    if not receipt.leaf:
        raise MalformedError("receipt", "no leaf: append with return_leaves and include_proofs")
    check_hash(receipt.leaf_hash, "receipt: leaf hash")
    _expect("receipt: leaf hash", leaf_hash(receipt.leaf), receipt.leaf_hash)
    _expect("receipt: tree size", checkpoint.size, receipt.tree_size)
    verified = verify_entry(receipt.leaf, receipt.index, receipt.inclusion_proof, checkpoint)
    _match_recorded_at(receipt, verified.leaf)
    if issuer is not None:
        _expect("leaf: caller.iss", issuer, verified.leaf.caller.get("iss"))
    if subject is not None:
        _expect("leaf: caller.sub", subject, verified.leaf.caller.get("sub"))
    match_event(event, attributes, verified.leaf)
    return verified


def _match_recorded_at(receipt: Receipt, leaf: Leaf) -> None:
    try:
        same = read_time_ns(receipt.recorded_at) == read_time_ns(leaf.recorded_at)
    except ValueError as error:
        raise MalformedError("receipt", f"recorded_at: {error}") from error
    if not same:
        raise MismatchError("leaf: recorded_at", receipt.recorded_at, leaf.recorded_at)


def _expect(field: str, expected: object, actual: object) -> None:
    if expected != actual:
        raise MismatchError(field, expected, actual)
