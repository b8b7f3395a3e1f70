"""Events in batches that one request may carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditd_proto.v1.event_pb2 import Event

MAX_EVENTS = 1_000
MAX_REQUEST_BYTES = 4 * 1024 * 1024

# Log name, flags and sizes; a log's name is short.
_REQUEST_OVERHEAD_BYTES = 1_024
# Tag and length of one event.
_EVENT_OVERHEAD_BYTES = 6


class Batcher:
    """Gathers events, in order, into batches of at most `max_events` that fit into a request.

    An event too large for any request makes a batch of its own, for the server to refuse.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._free_bytes = MAX_REQUEST_BYTES - _REQUEST_OVERHEAD_BYTES

    def add(self, event: Event, max_events: int) -> list[Event] | None:
        """Take `event`; return a batch as soon as one is full, else None."""
        size = event.ByteSize() + _EVENT_OVERHEAD_BYTES
        full = self.flush() if size > self._free_bytes else None
        self._events.append(event)
        self._free_bytes -= size
        return self.flush() if full is None and len(self._events) >= max_events else full

    def flush(self) -> list[Event] | None:
        """Return what is gathered and start anew; None if there is nothing."""
        events = self._events
        self._events = []
        self._free_bytes = MAX_REQUEST_BYTES - _REQUEST_OVERHEAD_BYTES
        return events or None


def batches(events: Iterable[Event], max_events: int = MAX_EVENTS) -> Iterator[list[Event]]:
    """Yield `events`, in order, in batches of at most `max_events` that fit into a request."""
    batcher = Batcher()
    for event in events:
        if (full := batcher.add(event, max_events)) is not None:
            yield full
    if (rest := batcher.flush()) is not None:
        yield rest
