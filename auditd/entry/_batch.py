"""The events of one request, encoded, and the leaves made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from ._encode import EncodedEvent
from ._leaf import LeafTemplate
from ._limits import SALT_BYTES


class Act(NamedTuple):
    """Events that bring one token and state one actor and tenant, both as `TokenActor.members` takes them."""

    token: str
    actor: bytes
    tenant: bytes
    earliest_ns: int
    latest_ns: int
    positions: list[int]


ActorEdit = tuple[list[int], bytes, bytes, str]
"""Positions, the members actor and tenant as `TokenActor.members` returns them, and the index terms of both."""


class EventBatch(Protocol):
    """Well-formed events of one caller, at least one."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> EncodedEvent: ...

    @property
    def event_bytes(self) -> int:
        """How many bytes the events have, encoded."""

    @property
    def time_range_ns(self) -> tuple[int, int]:
        """The earliest and the latest time of an event, in nanoseconds."""

    def lengths(self) -> Sequence[int]:
        """Return the bytes of each event, encoded."""

    def leaves(
        self,
        positions: range | Sequence[int],
        index: int,
        template: LeafTemplate,
        recorded_at: str,
        salts: bytes,
        caller_json: bytes,
    ) -> list[bytes]:
        """Return the leaves of the events at `positions`, the first at `index`; `salts` has 16 bytes for each."""

    def terms(self, positions: range | Sequence[int]) -> Sequence[str] | None:
        """Return the index terms of the events at `positions`; None where they are to be made of the events."""


class EncodedBatch:
    """A batch of events that Python encoded: the reference of what `NativeBatch` does."""

    def __init__(self, events: Sequence[EncodedEvent]) -> None:
        self._events = events

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, position: int) -> EncodedEvent:
        return self._events[position]

    @property
    def event_bytes(self) -> int:
        """See `EventBatch`."""
        return sum(self.lengths())

    @property
    def time_range_ns(self) -> tuple[int, int]:
        """See `EventBatch`."""
        times = [event.time_ns for event in self._events]
        return min(times), max(times)

    def lengths(self) -> list[int]:
        """See `EventBatch`."""
        return [len(event.json) for event in self._events]

    def leaves(
        self,
        positions: range | Sequence[int],
        index: int,
        template: LeafTemplate,
        recorded_at: str,
        salts: bytes,
        caller_json: bytes,
    ) -> list[bytes]:
        """See `EventBatch`."""
        return [
            template.leaf(index + count, recorded_at, salts[at : at + SALT_BYTES], caller_json, self[position].json)
            for count, (position, at) in enumerate(
                zip(positions, range(0, len(salts), SALT_BYTES), strict=True),
            )
        ]

    def terms(self, _positions: range | Sequence[int]) -> None:
        """See `EventBatch`."""
        return


class NativeBatch:
    """A batch that native code encoded; `encoded` is an `auditd_native.AppendBatch`."""

    def __init__(self, encoded: Any) -> None:  # noqa: ANN401 -- of a package that may not be there
        self._encoded = encoded
        self.event_bytes: int = encoded.event_bytes
        self.time_range_ns: tuple[int, int] = encoded.time_range_ns
        self._length = len(encoded)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> EncodedEvent:
        json, fields_end, time_ns, sent = self._encoded.event(position)
        fields = orjson.loads(json[:fields_end] + b"}")
        return EncodedEvent(json, fields["id"], fields["time"], time_ns, fields_end, sent)

    @property
    def actor_tokens(self) -> Sequence[tuple[int, str]]:
        """The tokens of actors that came along, and the positions of their events, in order."""
        return self._encoded.actor_tokens  # type: ignore[no-any-return]

    def acts(self) -> Sequence[Act]:
        """Return the events that bring tokens, put together where they bring and state the same."""
        return [Act(*act) for act in self._encoded.acts()]

    def with_actors(self, edits: Sequence[ActorEdit]) -> NativeBatch:
        """Return the batch with other actors; the edits together name each event that brings a token once."""
        return NativeBatch(self._encoded.with_actors(edits))

    def lengths(self) -> Sequence[int]:
        """See `EventBatch`."""
        return self._encoded.lengths()  # type: ignore[no-any-return]

    def leaves(
        self,
        positions: range | Sequence[int],
        index: int,
        template: LeafTemplate,
        recorded_at: str,
        salts: bytes,
        caller_json: bytes,
    ) -> list[bytes]:
        """See `EventBatch`."""
        parts = template.parts(recorded_at, caller_json)
        return self._encoded.leaves(_places(positions), index, parts, salts)  # type: ignore[no-any-return]

    def terms(self, positions: range | Sequence[int]) -> Sequence[str]:
        """See `EventBatch`."""
        return self._encoded.terms(_places(positions))  # type: ignore[no-any-return]


def _places(positions: range | Sequence[int]) -> tuple[int, int] | list[int]:
    return (positions.start, positions.stop) if isinstance(positions, range) else list(positions)
