"""What waits for the writer of a log: submissions, within limits, and a chore."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auditd.entry import EncodedBatch
from auditd.errors import ExhaustedError
from auditd.log._refusals import not_recorded
from auditd.log._settings import QueueLimits
from auditd.log._submission import Submission

_NOTHING = Submission(EncodedBatch(()), (), b"", done=lambda _: None)
"""Wakes the writer for a chore."""


@dataclass(frozen=True, slots=True)
class Taken:
    """All that waited at one time; `last` tells that nothing follows."""

    submissions: Sequence[Submission]
    last: bool


class SubmissionQueue:
    """Holds what any thread submits until the writer takes it. What is taken has its room until `settle`."""

    def __init__(self, limits: QueueLimits) -> None:
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._limits = limits
        self._chore: Callable[[], None] | None = None
        self._room = threading.Lock()  # guards _events, _bytes and _closed
        self._events = 0
        self._bytes = 0
        self._closed = False

    def put(self, submission: Submission) -> None:
        """Queue a submission; raise ExhaustedError if there is no room for it, UnavailableError after `close`."""
        events, event_bytes = len(submission.events), submission.events.event_bytes
        with self._room:
            if self._closed:
                raise not_recorded("the server is stopping")
            self._require_room(events, event_bytes)
            self._events += events
            self._bytes += event_bytes
            self._queue.put(submission)

    def _require_room(self, events: int, event_bytes: int) -> None:
        wanted = (
            ("max_queued_events", self._events + events, self._limits.max_queued_events),
            ("max_queued_bytes", self._bytes + event_bytes, self._limits.max_queued_bytes),
        )
        for limit, total, value in wanted:
            if total > value:
                raise ExhaustedError(
                    "QUEUE_FULL",
                    f"too much is waiting to be recorded: {total}, {limit} is {value}",
                    0.2,
                    {"limit": limit, "value": str(value)},
                )

    def put_chore(self, chore: Callable[[], None]) -> None:
        """Wake the writer for `chore`; one that still waits is replaced, after `close` nothing is done."""
        with self._room:
            if not self._closed:
                self._chore = chore
                self._queue.put(_NOTHING)

    def close(self) -> None:
        """Take no more, and wake the writer for the last time."""
        with self._room:
            self._closed = True
            self._queue.put(None)

    def take(self) -> Taken:
        """Wait for something, and return all that waits."""
        taken = [self._queue.get()]
        while taken[-1] is not None and not self._queue.empty():
            taken.append(self._queue.get())
        submissions = [item for item in taken if item is not None and item is not _NOTHING]
        return Taken(submissions, taken[-1] is None)

    def take_chore(self) -> Callable[[], None] | None:
        """Return the chore that waits, once."""
        chore, self._chore = self._chore, None
        return chore

    def settle(self, submissions: Sequence[Submission]) -> None:
        """Give back the room of what was taken."""
        with self._room:
            self._events -= sum(len(submission.events) for submission in submissions)
            self._bytes -= sum(submission.events.event_bytes for submission in submissions)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events wait to be answered, and their bytes."""
        with self._room:
            return self._events, self._bytes
