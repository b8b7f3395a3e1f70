"""What becomes of the clock is an entry of `control`; what an operator says of it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from auditd.errors import AuditdError
from auditd.log import Recorded, Submission
from auditd.server._clock import Clock
from auditd.server._clock_confirmation import take_confirmation
from auditd.server._logging import event_logger
from auditd.server._own_events import OwnEvents

INTERVAL_S = 1.0

_events = event_logger(__name__)


class ClockWatch:
    """Looks after the clock. Belongs to the event loop's thread.

    `ahead` returns the logs whose newest entry is later than the clock, with its time.
    """

    def __init__(
        self,
        clock: Clock,
        folder: Path,
        ahead: Callable[[], dict[str, str]],
        own_events: OwnEvents,
        record: Callable[[Submission], Awaitable[Recorded]],
    ) -> None:
        self._clock = clock
        self._folder = folder
        self._ahead = ahead
        self._own_events = own_events
        self._record = record
        self._said: object = None

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Take what was confirmed, and record what changed; what cannot be recorded now is tried again."""
        take_confirmation(self._folder, self._clock, self._ahead())
        while (change := self._clock.next_change()) is not None:
            if self._said is not change:
                self._said = change
                say = _events.warning if change.action == "clock.suspect" else _events.info
                say(change.action, **change.attributes)
            try:
                await self._record(self._own_events.by_server(change.action, change.attributes))
            except AuditdError:
                return
            self._clock.recorded(change)
