"""Requests on their way in: of those that take their time, no more are waited for than memory has room for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from auditd.errors import ExhaustedError
from auditd.server._config import LimitSettings
from auditd.server._pace import Pace

REASON = "TOO_MANY_SLOW_REQUESTS"
_LOOK_S = 0.05
_PATIENCE_S = 10.0
_RETRY_S = 2.0

Refuse = Callable[[ExhaustedError], Coroutine[Any, Any, object]]
"""Ends a call with an error."""


class _Arrival:
    __slots__ = ("lane", "pace", "refuse", "since")

    def __init__(self, pace: Pace, refuse: Refuse, lane: dict[_Arrival, None]) -> None:
        self.pace = pace
        self.refuse = refuse
        self.lane = lane
        self.since = 0.0


class Arriving:
    """Belongs to the event loop's thread.

    gRPC takes in a request as fast as it comes, and says how large it is once all of it is there. Small ones are there
    at once. One that is not after 50 to 100 milliseconds is large, or its sender slow, or never means to end it; any of
    these may be as large as requests can be. So those are counted, across callers, and none may have more than half
    of them. Where there are too many the newest is refused, or the oldest if it has been waited for for ten seconds.
    """

    def __init__(self, limits: LimitSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = limits.max_slow_requests
        self._clock = clock
        self._new: dict[_Arrival, None] = {}
        self._older: dict[_Arrival, None] = {}
        self._slow: dict[_Arrival, None] = {}
        self._refusals: set[asyncio.Task[object]] = set()
        self._looking = False

    async def read(self, pace: Pace, read: Callable[[], Awaitable[object]], refuse: Refuse) -> object:
        """Return what `read` reads for a caller.

        Where that takes too long, `refuse` MUST end the call, and so `read`: cancelled, it would leave to gRPC what it
        reads into.
        """
        arrival = _Arrival(pace, refuse, self._new)
        self._new[arrival] = None
        if not self._looking:
            self._look_later()
        try:
            return await read()
        finally:
            arrival.lane.pop(arrival, None)

    def _look_later(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(_LOOK_S, self.look)

    def look(self) -> None:
        """Count those that were there at the last look and the one before."""
        # Two looks, for between them the event loop has heard of what was there at the first.
        late, self._older, self._new = self._older, self._new, {}
        for arrival in tuple(late):
            self._count(arrival)
        self._looking = False
        if self._older:
            self._look_later()

    def _count(self, arrival: _Arrival) -> None:
        now = self._clock()
        for pace, most in ((arrival.pace, (self._most + 1) // 2), (None, self._most)):
            slow = [other for other in self._slow if pace in (None, other.pace)]
            if len(slow) < most:
                continue
            if now - slow[0].since < _PATIENCE_S:
                self._end(arrival)
                return
            self._end(slow[0])
        arrival.lane.pop(arrival)
        arrival.lane, arrival.since = self._slow, now
        self._slow[arrival] = None

    def _end(self, arrival: _Arrival) -> None:
        arrival.lane.pop(arrival)
        # Its memory is wanted at once, and its caller must not send as much again at once.
        arrival.pace.rest(_RETRY_S)
        error = ExhaustedError(
            REASON,
            "too many requests are on their way in, and this one takes long to come;"
            f" max_slow_requests is {self._most}, half of it for one caller",
            _RETRY_S,
            {"limit": "max_slow_requests", "value": str(self._most)},
        )
        refusal = asyncio.ensure_future(arrival.refuse(error))
        self._refusals.add(refusal)
        refusal.add_done_callback(self._ended)

    def _ended(self, refusal: asyncio.Task[object]) -> None:
        self._refusals.discard(refusal)
        if not refusal.cancelled():
            # gRPC ends a refusal with an exception, which the call itself gets too.
            refusal.exception()
