"""What one commit will hold: which events are new, which were recorded before, which contradict."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from auditd.entry import EncodedEvent, difference, difference_of
from auditd.errors import AuditdError, ConflictError, DamagedError, UnavailableError, Violation
from auditd.log._submission import Submission


@dataclass(slots=True)
class Placed:
    """A submission and the index of each of its events; those at `duplicates` were recorded before."""

    submission: Submission
    indexes: Sequence[int]
    duplicates: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """New events of one submission: those at `positions`, whose entries follow one another from `index` on."""

    submission: Submission
    positions: range | Sequence[int]
    index: int


@dataclass(slots=True)
class CommitPlan:
    """Places submissions one after another behind the `size` entries that are there.

    `found` maps the keys that are recorded to their indexes, below 0 in the logs before this one; `stored_leaf` returns
    a recorded entry's bytes, `signature_hash` that of a recorded credential's signature, `place` the origin and the
    index there of an entry below 0; `stopped` is what new events are refused with.
    """

    size: int
    found: Mapping[bytes, int]
    stored_leaf: Callable[[int], bytes]
    signature_hash: Callable[[bytes], bytes | None] = lambda _: None
    stopped: AuditdError | None = None
    place: Callable[[int], tuple[str, int]] = lambda index: ("", index)
    parts: list[Part] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    refused: list[tuple[Submission, AuditdError]] = field(default_factory=list)
    _names: dict[bytes, int] = field(default_factory=dict)
    _read: dict[int, bytes] = field(default_factory=dict)

    def add(self, submission: Submission) -> None:
        """Place the submission, or refuse it whole; the others are not disturbed."""
        try:
            self.placed.append(self._place(submission))
        except AuditdError as error:
            if isinstance(error, UnavailableError | DamagedError):
                error.facts["recorded"] = "no"
            self.refused.append((submission, error))

    def recorded_leaf(self, index: int) -> bytes:
        """Return the bytes of an entry below `size`, read once."""
        leaf = self._read.get(index)
        if leaf is None:
            leaf = self._read[index] = self.stored_leaf(index)
        return leaf

    def _place(self, submission: Submission) -> Placed:
        keys = submission.keys
        distinct = set(keys)
        if len(distinct) == len(keys) and distinct.isdisjoint(self.found) and distinct.isdisjoint(self._names):
            self._check_new(submission, range(len(keys)))
            return Placed(submission, self._take(submission, range(len(keys))))
        return self._place_with_duplicates(submission)

    def _place_with_duplicates(self, submission: Submission) -> Placed:
        indexes: list[int] = []
        new: list[int] = []
        own: dict[bytes, int] = {}
        start = self.size + len(self.keys)
        for position, key in enumerate(submission.keys):
            index = self.found.get(key, self._names.get(key, own.get(key)))
            if index is None:
                index = own[key] = start + len(new)
                new.append(position)
            else:
                self._require_same(submission, position, index, start, new)
            indexes.append(index)
        self._check_new(submission, new)
        self._take(submission, new)
        return Placed(submission, indexes, frozenset(range(len(indexes))) - frozenset(new))

    def _require_same(self, submission: Submission, position: int, index: int, start: int, new: Sequence[int]) -> None:
        event = submission.events[position]
        if index >= start:
            path = difference_of(submission.events[new[index - start]], event)
        elif index >= self.size:
            path = difference_of(self._planned(index), event)
        else:
            path = difference(self.recorded_leaf(index), event, self._same_token(submission, position))
        if path is not None:
            raise self._conflict(f"events[{position}]", event, path, index)

    def _conflict(self, name: str, event: EncodedEvent, path: str, index: int) -> ConflictError:
        field, facts, entry = path.replace("event", name, 1), {}, f"entry {index}"
        if index < 0:
            facts["origin"], index = self.place(index)
            entry = f"entry {index} of {facts['origin']}"
        return ConflictError(
            "EVENT_CONFLICT",
            f"{name}: id {event.id!r} at {event.time} is recorded as {entry}; {field} differs from that",
            [Violation(field, f"differs from {entry}, which has the same name")],
            {"field": field, "index": str(index), **facts},
        )

    def _same_token(self, submission: Submission, position: int) -> Callable[[str], bool]:
        sent = submission.actor_credentials.get(position)
        return lambda stored: sent is not None and self.signature_hash(bytes.fromhex(stored)) == sent.signature_hash

    def _check_new(self, submission: Submission, positions: Sequence[int]) -> None:
        if self.stopped is not None and positions:
            raise self.stopped
        if submission.refused_if_new:
            for position in positions:
                if position in submission.refused_if_new:
                    raise submission.refused_if_new[position]

    def _take(self, submission: Submission, positions: range | Sequence[int]) -> Sequence[int]:
        start = self.size + len(self.keys)
        indexes = range(start, start + len(positions))
        if positions:
            whole = len(positions) == len(submission.keys)
            keys = submission.keys if whole else [submission.keys[position] for position in positions]
            self._names.update(zip(keys, indexes, strict=True))
            self.parts.append(Part(submission, positions, start))
            self.keys += keys
        return indexes

    def _planned(self, index: int) -> EncodedEvent:
        """Return the event that is to become the entry at `index`."""
        part = self.parts[bisect(self.parts, index, key=lambda part: part.index) - 1]
        return part.submission.events[part.positions[index - part.index]]
