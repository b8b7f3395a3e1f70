"""What calls return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event stands in its log.

    - `index`: the entry's place, from 0.
    - `recorded_at`: when the log recorded it, UTC, microseconds.
    - `leaf_hash`: 32 bytes.
    - `duplicate`: True if it had been recorded before; the receipt is then that of the first time.
    - `checkpoint`: signed note of a tree that covers the entry.
    - `tree_size`: the size that `checkpoint` states.
    - `leaf`: with `return_leaves` the entry's exact bytes, else empty.
    - `inclusion_proof`: with `include_proofs` the hashes from leaf to the root of `checkpoint`.
    """

    index: int
    recorded_at: datetime
    leaf_hash: bytes
    duplicate: bool
    checkpoint: str
    tree_size: int
    leaf: bytes = b""
    inclusion_proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What was recorded.

    - `receipts`: one for each event, in the order of the events.
    - `checkpoint`: the newest signed note received.
    - `consistency_proof`: with `known_size`, the hashes that prove it consistent with `checkpoint`.
    """

    receipts: tuple[Receipt, ...]
    checkpoint: str
    consistency_proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as recorded: its index, from 0, and its leaf, the exact bytes that were hashed.

    With `verify_tokens`, `caller_token` and `actor_token` say what verifying the tokens that the entry names again
    gave: VERIFIED, NOT_YET_RECORDED, SIGNATURE_LOST, KEY_UNKNOWN, CLAIMS_DROPPED or INVALID; empty where there is none.
    """

    index: int
    leaf: bytes
    caller_token: str = ""
    actor_token: str = ""


@dataclass(frozen=True, slots=True)
class EventName:
    """What an event is known by: issuer and subject of its sender's token, its id and time."""

    issuer: str
    subject: str
    id: str
    time: datetime | str


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That the entry `index`, whose exact bytes are `leaf`, is in the tree of `tree_size`.

    `hashes` lead from leaf to root, 32 bytes each. `checkpoint` is the log's current signed note;
    it covers the proof if it states the same size.
    """

    index: int
    tree_size: int
    hashes: tuple[bytes, ...]
    leaf: bytes
    checkpoint: str


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the tree of `to_size` extends that of `from_size`; `hashes` are 32 bytes each.

    `checkpoint` is the log's current signed note; it covers the proof if it states `to_size`.
    """

    from_size: int
    to_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class EntriesProof:
    """That certain entries are in the tree of `tree_size`, and that these are all of their ranges.

    `hashes`, 32 bytes each, are those of the subtrees without any of them, left to right. With the entries' leaf
    hashes `auditd_client.verify.verify_entries` or `verify_range` verifies them. `checkpoint` is the log's current
    signed note; it covers the proof if it states the same size.
    """

    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """The log's current signed note, the size it states, and the proof that was asked for."""

    checkpoint: str
    tree_size: int
    consistency_proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class LogInfo:
    """A log that the caller may use. Have its key from a trusted place, not from here."""

    name: str
    origin: str
    verifier_key: str
    tree_size: int
