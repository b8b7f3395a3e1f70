"""Verify checkpoints, receipts, proofs and bundles offline, trusting nothing but a log's name and key."""

from auditd_client.verify._bundle import Bundle, verify_bundle
from auditd_client.verify._checkpoint import Checkpoint, open_checkpoint, unverified_checkpoint, verify_extends
from auditd_client.verify._closing import CLOSING_START, Closing, open_closing
from auditd_client.verify._consistency import ConsistencyFile, consistency_json, verify_consistency_file
from auditd_client.verify._credential import (
    Credential,
    TokenVerdict,
    VerifiedCredential,
    named_as,
    verify_credential,
)
from auditd_client.verify._entries import verify_entries, verify_range
from auditd_client.verify._entry import VerifiedEntry, verify_entry
from auditd_client.verify._errors import (
    BadSignatureError,
    InconsistentError,
    MalformedError,
    MismatchError,
    ProofError,
    VerificationError,
    WrongLogError,
)
from auditd_client.verify._leaf import MAX_LEAF_BYTES, Leaf
from auditd_client.verify._merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from auditd_client.verify._note import VerifierKey, open_note
from auditd_client.verify._range_bundle import (
    RANGE_BUNDLE_START,
    VerifiedRange,
    range_bundle_head,
    verify_range_bundle,
)
from auditd_client.verify._receipt import Receipt, verify_receipt

__all__ = [
    "CLOSING_START",
    "EMPTY_ROOT",
    "MAX_LEAF_BYTES",
    "RANGE_BUNDLE_START",
    "BadSignatureError",
    "Bundle",
    "Checkpoint",
    "Closing",
    "ConsistencyFile",
    "Credential",
    "InconsistentError",
    "Leaf",
    "MalformedError",
    "MismatchError",
    "ProofError",
    "Receipt",
    "TokenVerdict",
    "VerificationError",
    "VerifiedCredential",
    "VerifiedEntry",
    "VerifiedRange",
    "VerifierKey",
    "WrongLogError",
    "consistency_json",
    "leaf_hash",
    "named_as",
    "open_checkpoint",
    "open_closing",
    "open_note",
    "range_bundle_head",
    "unverified_checkpoint",
    "verify_bundle",
    "verify_consistency",
    "verify_consistency_file",
    "verify_credential",
    "verify_entries",
    "verify_entry",
    "verify_extends",
    "verify_inclusion",
    "verify_range",
    "verify_range_bundle",
    "verify_receipt",
]
