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
    - `checkpoint`: signed note of a tree that covers the entry; where a closed log holds the event, of that log.
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
    `origin` says which log `index` is of where a chain of several was queried.
    """

    index: int
    leaf: bytes
    caller_token: str = ""
    actor_token: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a page of a query was found.

    - `narrowings`: what narrowed it (`range`, `fields`, `text`, `event time`), and by which part of the filter.
    - `in_range`: entries within the filter's ranges of index and time of recording.
    - `examined`: entries read and examined.
    - `uncovered`: entries in range that the index of fields does not cover yet.
    - `duration_us`: how long the search took in the server, in microseconds.
    - `found`: entries on the page; `has_more` tells whether there may be another page.
    """

    narrowings: tuple[tuple[str, str], ...]
    in_range: int
    examined: int
    uncovered: int
    duration_us: int
    found: int
    has_more: bool


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
    """A log that the caller may use. Have its key from a trusted place, not from here.

    Of a log that was closed, `successor` is the origin of the log that goes on for it, and `closing` the note signed
    with its key that says how it ended and names that log's verifier key.
    """

    name: str
    origin: str
    verifier_key: str
    tree_size: int
    successor: str = ""
    closing: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Entries alike: the value that they have of each field counted by, and how many they are.

    A value is a text, a number or a truth value, of a time the start of its bucket as text, and None where an entry
    has nothing to compare.
    """

    values: tuple[object, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries a filter selects, and how many of each group.

    - `count`: how many there are among the first `next_index` entries; exact.
    - `groups`: those with the highest counts, highest first; by time if counted by that first. An entry with several
      values of a field counts once for each.
    - `unlisted_count`: how often an entry fell into a group that is not among `groups`.
    - `unlisted_max`: the most that any one of those may have.
    - `max_error`: how much too low the count of a group may be; 0 if they are exact.
    - `next_index`: all entries before it were counted.
    - `tree_size`: how many entries there were to count.
    - `examined`: how many were read for it.
    """

    count: int
    groups: tuple[Group, ...]
    unlisted_count: int
    unlisted_max: int
    max_error: int
    next_index: int
    tree_size: int
    examined: int

    @property
    def is_complete(self) -> bool:
        """Whether all entries were counted, not only the first of them."""
        return self.next_index >= self.tree_size

    @property
    def is_exact(self) -> bool:
        """Whether the count of each group listed is exact."""
        return self.max_error == 0
