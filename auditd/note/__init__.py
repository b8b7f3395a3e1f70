"""Signed notes and checkpoints: making, signing and opening them."""

from auditd.note._checkpoint import Checkpoint
from auditd.note._errors import NoteError
from auditd.note._key import ED25519, Signer, VerifierKey, key_id
from auditd.note._note import MAX_SIGNATURES, Note, Signature, Verify, open_note, sign_note

__all__ = [
    "ED25519",
    "MAX_SIGNATURES",
    "Checkpoint",
    "Note",
    "NoteError",
    "Signature",
    "Signer",
    "VerifierKey",
    "Verify",
    "key_id",
    "open_note",
    "sign_note",
]
