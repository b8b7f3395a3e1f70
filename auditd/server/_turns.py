"""Turns at what takes much memory: a few at once, a few more that wait, and the others are refused."""

from __future__ import annotations

import asyncio
from types import TracebackType

from auditd.errors import ExhaustedError


class Turns:
    """A context for each large request. Belongs to the event loop's thread.

    What is made of one takes several times its memory, so only a few are worked on at once; and because those that
    wait lie in memory too, not many may.
    """

    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= self._max_waiting:
            raise ExhaustedError(
                "TOO_MANY_LARGE_REQUESTS",
                f"{self._waiting} large requests wait already; max_queued_large_requests is {self._max_waiting}",
                0.5,
                {"limit": "max_queued_large_requests", "value": str(self._max_waiting)},
            )
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turns.release()
