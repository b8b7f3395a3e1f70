"""What the writer is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from auditd.entry import EventBatch
from auditd.errors import AuditdError
from auditd.log._store import Credential


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A committed tree and the note signed for it. Nothing newer is ever shown to anyone."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the log `by` has recorded of another one: that it had `size` entries, with this root."""

    by: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where the events of a submission stand; one item an event in each sequence.

    `recorded_at_us` are microseconds since 1970, UTC; `duplicates` the positions of events recorded before, whose
    indexes are below 0 where a log before this one holds them; `leaves` is empty unless they were asked for; `head`
    covers all of this log.
    """

    indexes: Sequence[int]
    recorded_at_us: Sequence[int]
    leaf_hashes: Sequence[bytes]
    duplicates: frozenset[int]
    leaves: Sequence[bytes]
    head: TreeHead


Outcome = Recorded | AuditdError


@dataclass(slots=True)
class Submission:
    """Events of one caller, to be recorded all or none.

    `keys[i]` names `events[i]`. `refused_if_new` says by position what is wrong with events that must not be
    recorded, but whose first receipt is still to be had; `actor_credentials` by position what commits to the token of
    an event's actor. `done` is called in the writer thread, unless the log was given a way to deliver. Any thread may
    set `given_up`: what no commit has begun with by then is not recorded.
    """

    events: EventBatch
    keys: Sequence[bytes]
    caller_json: bytes
    done: Callable[[Outcome], None]
    credential: Credential | None = None
    actor_credentials: Mapping[int, Credential] = field(default_factory=dict)
    keep_leaves: bool = False
    refused_if_new: Mapping[int, AuditdError] = field(default_factory=dict)
    given_up: bool = False
    taken_at: float | None = None
    """When the writer took it from its queue, by `time.perf_counter`."""
