"""C2SP checkpoints: which tree a log signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from auditd_client.verify._errors import InconsistentError, MalformedError, ProofError, WrongLogError
from auditd_client.verify._merkle import EMPTY_ROOT, verify_consistency
from auditd_client.verify._note import VerifierKey, open_note
from auditd_client.verify._strict import check_hash, read_decimal, read_hash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree as its log signed it: origin, size (the number of leaves) and root (32 bytes).

    `note` is the signed note that it was read from: evidence, and no part of equality.
    """

    origin: str
    size: int
    root: bytes
    note: str = field(default="", compare=False, repr=False)


def open_checkpoint(note: str | bytes, key: VerifierKey | str, origin: str | None = None) -> Checkpoint:
    """Read a checkpoint that `key` signed and that is of the log `origin`; by default the key's name.

    The signature is verified before the text is read. Extension lines are allowed and ignored.

    Raises MalformedError, WrongLogError for another key or origin, BadSignatureError.
    """
    if isinstance(key, str):
        key = VerifierKey.parse(key)
    checkpoint = _parse(open_note(note, key), note if isinstance(note, str) else note.decode())
    expected = key.name if origin is None else origin
    if checkpoint.origin != expected:
        raise WrongLogError("checkpoint is of another log", expected, checkpoint.origin)
    return checkpoint


def unverified_checkpoint(note: str) -> Checkpoint:
    """Read what a note says of a tree, whoever signed it. Raises MalformedError."""
    return _parse(note.rpartition("\n\n")[0] + "\n", note)


def verify_extends(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Verify that the tree of `new` extends the tree of `old`: nothing was changed, removed or reordered.

    `proof` is the consistency proof (32-byte hashes), empty if the sizes are equal or `old` is empty.

    Raises InconsistentError with both notes, WrongLogError for two origins, MalformedError.
    """
    if new.origin != old.origin:
        raise WrongLogError("checkpoints are of two logs", old.origin, new.origin)
    try:
        if old.size == 0:
            _verify_extends_empty(old, new, proof)
        else:
            verify_consistency(old.size, new.size, old.root, new.root, proof)
    except ProofError as error:
        raise InconsistentError(error, old.note, new.note) from error


def _verify_extends_empty(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Any tree extends the empty one, which has one root and needs no proof."""
    for tree in (old, new):
        check_hash(tree.root, "checkpoint: root")
        if tree.size == 0 and tree.root != EMPTY_ROOT:
            raise ProofError("the empty tree", expected_root=EMPTY_ROOT, actual_root=tree.root)
    if proof:
        raise ProofError(f"consistency proof from the empty tree: {len(proof)} hashes, none expected")


def _parse(text: str, note: str) -> Checkpoint:
    """Read a checkpoint's text, which ends in a line feed."""
    lines = text[:-1].split("\n")
    if "" in lines:
        raise MalformedError("checkpoint", "blank line", lines.index("") + 1)
    if len(lines) < 3:
        raise MalformedError("checkpoint", f"{len(lines)} lines, at least 3 (origin, size, root)")
    try:
        size = read_decimal(lines[1])
    except ValueError as error:
        raise MalformedError("checkpoint", f"size is {error}", 2) from error
    try:
        root = read_hash(lines[2])
    except ValueError as error:
        raise MalformedError("checkpoint", f"root: {error}", 3) from error
    if size == 0 and root != EMPTY_ROOT:
        raise MalformedError("checkpoint", f"root of the empty tree is {EMPTY_ROOT.hex()}, found {root.hex()}", 3)
    return Checkpoint(lines[0], size, root, note)
