"""That an entry's exact bytes stand where they say, in the tree that its log signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditd_client.verify._checkpoint import Checkpoint
from auditd_client.verify._errors import MismatchError
from auditd_client.verify._leaf import Leaf
from auditd_client.verify._merkle import leaf_hash, verify_inclusion


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that was found at `index` of the tree of `checkpoint`."""

    leaf: Leaf
    index: int
    checkpoint: Checkpoint


def verify_entry(leaf: bytes, index: int, proof: Sequence[bytes], checkpoint: Checkpoint) -> VerifiedEntry:
    """Verify that the leaf with these exact bytes is entry `index` of the tree, and says so itself.

    `proof` holds sibling hashes from leaf to root, 32 bytes each; `checkpoint` comes from
    `open_checkpoint`. The leaf is read only after it was found in the tree.

    Raises ProofError, MismatchError for a leaf of another index or log, MalformedError.
    """
    verify_inclusion(index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
    entry = Leaf.parse(leaf)
    if entry.log != checkpoint.origin:
        raise MismatchError("leaf: log", checkpoint.origin, entry.log)
    if entry.index != index:
        raise MismatchError("leaf: index", index, entry.index)
    return VerifiedEntry(entry, index, checkpoint)
