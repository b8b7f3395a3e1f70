"""Events in batches that one request may carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from auditd_proto.v1.event_pb2 import Event

MAX_EVENTS = 1_000
MAX_REQUEST_BYTES = 4 * 1024 * 1024

# Log name, flags and sizes; a log's name is short.
_REQUEST_OVERHEAD_BYTES = 1_024
# Tag and length of one event.
_EVENT_OVERHEAD_BYTES = 6


class Room(Protocol):
    """How much one request may carry; it only ever shrinks, in whatever thread."""

    max_events: int
    max_bytes: int


class Batcher:
    """Gathers events, in order, into batches that fit into a request.

    An event too large for any request makes a batch of its own, for the server to refuse.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bytes = _REQUEST_OVERHEAD_BYTES

    def add(self, event: Event, room: Room) -> list[Event] | None:
        """Take `event`; return a batch as soon as one is full, else None."""
        size = event.ByteSize() + _EVENT_OVERHEAD_BYTES
        full = self.flush() if self._bytes + size > room.max_bytes else None
        self._events.append(event)
        self._bytes += size
        return self.flush() if full is None and len(self._events) >= room.max_events else full

    def flush(self) -> list[Event] | None:
        """Return what is gathered and start anew; None if there is nothing."""
        events = self._events
        self._events = []
        self._bytes = _REQUEST_OVERHEAD_BYTES
        return events or None


def batches(events: Iterable[Event], room: Room) -> Iterator[list[Event]]:
    """Yield `events`, in order, in batches that fit into a request."""
    batcher = Batcher()
    for event in events:
        if (full := batcher.add(event, room)) is not None:
            yield full
    if (rest := batcher.flush()) is not None:
        yield rest


def counted_bytes(events: Iterable[Event]) -> int:
    """Return the bytes of a batch, as they count against `max_bytes`."""
    return _REQUEST_OVERHEAD_BYTES + sum(event.ByteSize() + _EVENT_OVERHEAD_BYTES for event in events)
