"""From the event loop to the writers of logs and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from auditd.log import Answers, Log, Outcome, Recorded, Submission
from auditd.server._meters import Meters


async def record(log: Log, submission: Submission) -> Recorded:
    """Record a submission from the event loop; raise what it was refused with.

    What still waits when this is cancelled, as when a caller's deadline passes, is not recorded.
    """
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        # A caller that went away cancelled the future; what a commit had begun with is recorded all the same.
        if not future.done():
            future.set_result(outcome)

    submission.done = done
    log.submit(submission)
    try:
        outcome = await future
    except asyncio.CancelledError:
        submission.given_up = True
        raise
    if isinstance(outcome, Recorded):
        return outcome
    raise outcome


async def record_measured(meters: Meters, log: Log, submission: Submission) -> Recorded:
    """Do so, and measure how long it takes."""
    began = time.perf_counter()
    recorded = await record(log, submission)
    meters.recording(log.name).add(time.perf_counter() - began)
    return recorded


class Deliveries:
    """Brings the answers of writers to the event loop, and tells there of commits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.committed: Callable[[], None] = lambda: None

    def deliver(self, answers: Answers) -> None:
        """Take the answers of one commit, in a writer thread."""
        self._loop.call_soon_threadsafe(self._hand_over, answers)

    def _hand_over(self, answers: Answers) -> None:
        for submission, outcome in answers:
            submission.done(outcome)
        self.committed()
