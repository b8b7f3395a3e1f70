"""Requests that take much memory and time: a few are worked on at once, a few wait, and the others are refused."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from auditd.errors import ExhaustedError
from auditd.server._config import LimitSettings

LARGE_REQUEST_BYTES = 64 * 1024
REASON = "TOO_MANY_LARGE_REQUESTS"
_AT_ONCE = 8
_BYTES_AT_ONCE = 12 * 1024 * 1024
_RETRY_S = 0.5

Result = TypeVar("Result")


class _Waiting(NamedTuple):
    turn: asyncio.Future[None]
    size: int


class LargeRequests:
    """Turns at requests of more than 64 KiB. Belongs to the event loop's thread.

    What is made of one takes several times its memory, so no more are worked on at once than 8, and 12 MiB; and because
    those that wait lie in memory too, not many may. Callers have their turns one after the other, whatever each of them
    has waiting, and none may have more than half of what may wait.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._max_waiting = limits.max_queued_large_requests
        self._max_waiting_bytes = limits.max_queued_large_bytes
        # In the event loop's own thread all others would wait for the largest of them.
        self._thread = ThreadPoolExecutor(1, "large-requests")
        self._under_way = 0
        self._under_way_bytes = 0
        self._lines: OrderedDict[object, deque[_Waiting]] = OrderedDict()

    async def work(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in the thread that is there for large requests."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    @asynccontextmanager
    async def turn(self, caller: object, size: int) -> AsyncIterator[None]:
        """Have a caller's request of `size` bytes wait for its turn, which is over with the context.

        Raises ExhaustedError `TOO_MANY_LARGE_REQUESTS`.
        """
        await self._take(caller, size)
        try:
            yield
        finally:
            self._under_way -= 1
            self._under_way_bytes -= size
            self._give()

    async def _take(self, caller: object, size: int) -> None:
        self._require_room(caller, size)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), size)
        self._lines.setdefault(caller, deque()).append(waiting)
        self._give()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._under_way -= 1
                self._under_way_bytes -= size
            else:
                self._leave(caller, waiting)
            self._give()
            raise

    def _leave(self, caller: object, waiting: _Waiting) -> None:
        line = self._lines[caller]
        line.remove(waiting)
        if not line:
            del self._lines[caller]

    def _give(self) -> None:
        """Give turns, as long as there is room for the next one."""
        while self._lines:
            caller, line = next(iter(self._lines.items()))
            if not self._fits(line[0].size):
                return
            waiting = line.popleft()
            if line:
                self._lines.move_to_end(caller)
            else:
                del self._lines[caller]
            self._under_way += 1
            self._under_way_bytes += waiting.size
            waiting.turn.set_result(None)

    def _fits(self, size: int) -> bool:
        bytes_then = self._under_way_bytes + size
        return not self._under_way or (self._under_way < _AT_ONCE and bytes_then <= _BYTES_AT_ONCE)

    def _require_room(self, caller: object, size: int) -> None:
        if not self._lines and self._fits(size):
            return
        own = self._lines.get(caller, ())
        all_waiting = [waiting.size for line in self._lines.values() for waiting in line]
        for limit, most, total, of_caller in (
            ("max_queued_large_requests", self._max_waiting, len(all_waiting) + 1, len(own) + 1),
            (
                "max_queued_large_bytes",
                self._max_waiting_bytes,
                sum(all_waiting) + size,
                sum(waiting.size for waiting in own) + size,
            ),
        ):
            if total > most or of_caller > (most + 1) // 2:
                raise ExhaustedError(
                    REASON,
                    f"too many large requests wait already; {limit} is {most}, half of it for one caller",
                    _RETRY_S,
                    {"limit": limit, "value": str(most)},
                )
