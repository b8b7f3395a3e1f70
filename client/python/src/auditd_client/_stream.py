"""An endless stream of events, as one append flow for each batch."""

from __future__ import annotations

from auditd_client._batches import Batcher
from auditd_client._connection import named_event
from auditd_client._events import EventLike
from auditd_client._flow import Flow
from auditd_client._flows import AppendOptions, Flows
from auditd_client._model import AppendResult


class Stream:
    """Turns events into append flows; each counts its events from the first of the stream."""

    def __init__(self, flows: Flows, options: AppendOptions) -> None:
        self._flows = flows
        self._options = options
        self._batcher = Batcher()
        self._fed = 0
        self._sent = 0

    def feed(self, event: EventLike | None) -> Flow[AppendResult] | None:
        """Take an event, or None to send what is gathered; return the flow of a batch that is due.

        Raises InvalidRequestError with the path of the field, such as `events[3].actor.id`.
        """
        if event is None:
            batch = self._batcher.flush()
        else:
            batch = self._batcher.add(named_event(event, self._fed), self._options)
            self._fed += 1
        if batch is None:
            return None
        first, self._sent = self._sent, self._sent + len(batch)
        return self._flows.append(batch, self._options, first)
