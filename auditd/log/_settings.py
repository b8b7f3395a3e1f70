"""What surrounds a log: its clock, its limits, and who is told and asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from auditd.errors import AuditdError
from auditd.log._plan import CommitPlan
from auditd.log._predecessors import Predecessors
from auditd.log._submission import Outcome, Submission, Told

_logger = logging.getLogger(__name__)

Answers = Sequence[tuple[Submission, Outcome]]


class Observer(Protocol):
    """Who is told of each commit, in the writer thread, after its head is written."""

    def committed(self, plan: CommitPlan) -> None:
        """MUST return at once and MUST NOT raise."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for the writer at most."""

    max_queued_events: int = 16_000
    max_queued_bytes: int = 64 * 1024 * 1024


def deliver_each(answers: Answers) -> None:
    """Hand each answer to who waits for it, in the thread that has it."""
    for submission, outcome in answers:
        try:
            submission.done(outcome)
        except Exception:
            _logger.exception("an answer could not be delivered")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What surrounds a log.

    `clock` returns nanoseconds since 1970, UTC, `monotonic` seconds from any start. `clock_suspect` tells whether
    entries are to say that `clock` is not trusted; `stopped` returns why new events cannot be recorded now, which costs
    none its first receipt, or None. Both are asked once a commit, in this order. `deliver` hands the answers of one
    commit to those who wait. `peers` returns a signed note of the folder's other logs to store with checkpoints, or
    None. `announce` makes a new dictionary's SHA-256 (hex) durable elsewhere before it is used; without it none is
    trained. `room` tells whether work that can wait may take so many bytes more of the disk. `predecessors` are the
    logs before this one in its chain. `told` is what others have recorded of how far this one had come: it is not
    opened with its signer where its evidence ends before that.
    """

    clock: Callable[[], int]
    limits: QueueLimits = field(default_factory=QueueLimits)
    deliver: Callable[[Answers], None] = deliver_each
    peers: Callable[[], str | None] = lambda: None
    observer: Observer | None = None
    announce: Callable[[str], None] | None = None
    monotonic: Callable[[], float] = time.monotonic
    clock_suspect: Callable[[], bool] = lambda: False
    stopped: Callable[[], AuditdError | None] = lambda: None
    room: Callable[[int], bool] = lambda _bytes: True
    predecessors: Predecessors = field(default_factory=Predecessors)
    told: Sequence[Told] = ()
