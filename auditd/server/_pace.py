"""How much one caller may ask for, so that the others have their turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from auditd.errors import ExhaustedError
from auditd.server._config import LimitSettings

HOLD_S = 4.0
"""How long those who ask for too much wait for the answer, on the average."""
BURST_S = 5.0
_READ_AT_ONCE = 4
_MUCH_BYTES = 8 * 1024 * 1024


class Rate:
    """So many a second, and as many at once as `burst_s` allow (the generic cell rate algorithm)."""

    __slots__ = ("_burst_s", "_clock", "_due", "_interval_s")

    def __init__(self, per_s: int, clock: Callable[[], float], burst_s: float = 1.0) -> None:
        self._interval_s = 1.0 / per_s
        self._burst_s = burst_s
        self._clock = clock
        self._due = 0.0

    def take(self) -> bool:
        """Count one more; return False, and count nothing, where that is too much."""
        now = self._clock()
        due = self._due
        if due > now + self._burst_s:
            return False
        self._due = max(now, due) + self._interval_s
        return True

    @property
    def full(self) -> bool:
        """Whether one more would be too much."""
        return self._due > self._clock() + self._burst_s

    @property
    def idle(self) -> bool:
        """Whether nothing is remembered that still counts."""
        return self._due <= self._clock()


class Pace:
    """The calls of one caller: some are worked on at once, some wait for their turn, and the others are refused.

    So that a caller who asks for much waits for itself, and not the others for it. Belongs to the event loop's thread.
    """

    __slots__ = ("__weakref__", "_held_bytes", "_limits", "_rate", "_reading", "_under_way", "_waiting", "_wasted")

    def __init__(self, limits: LimitSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._rate = Rate(limits.max_calls_per_s_per_caller, clock)
        self._wasted = Rate(limits.max_wasted_calls_per_s_per_caller, clock, BURST_S)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._held_bytes = 0

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count the bytes of a large request of this caller, as long as the server has it."""
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    @property
    def reading(self) -> asyncio.Semaphore | None:
        """What to hold while a request is read, where much of this caller's is held already."""
        return self._reading if self._held_bytes > _MUCH_BYTES else None

    def enter(self) -> bool:
        """Count a call that begins, and MUST `leave`; False where it must `wait` for its turn before that.

        Raises ExhaustedError, and counts nothing, beyond the rate.
        """
        if not self._rate.take():
            raise too_much(
                "CALLER_TOO_FAST",
                "this caller calls too often; send more events in each call",
                "max_calls_per_s_per_caller",
                self._limits.max_calls_per_s_per_caller,
            )
        if self._under_way >= self._limits.max_calls_at_once_per_caller:
            return False
        self._under_way += 1
        return True

    async def wait(self) -> None:
        """Return once it is the turn of a call, which then MUST `leave`; raise ExhaustedError where too many wait."""
        most = self._limits.max_queued_calls_per_caller
        if len(self._waiting) >= most:
            said = f"{len(self._waiting)} calls of this caller wait already"
            raise too_much("CALLER_BUSY", said, "max_queued_calls_per_caller", most)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Count a call that is over, or that goes on by limits of its own; the turn goes to the one waiting longest."""
        self._under_way -= 1
        while self._waiting and self._under_way < self._limits.max_calls_at_once_per_caller:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    def wasted(self) -> None:
        """Count a call that ended before it was answered, or sent much that is no good; beyond the rate, rest."""
        # Who waits for answers can be made to wait. Who ends calls, or makes gRPC end them, would come at any rate.
        if not self._wasted.take():
            self.rest(HOLD_S)

    def rest(self, seconds: float) -> None:
        """Let this caller have one call less at once for a while."""
        self._under_way += 1
        asyncio.get_running_loop().call_later(seconds, self.leave)


def too_much(reason: str, said: str, limit: str, value: int) -> ExhaustedError:
    """Return the error for a limit of the settings that was passed, and the time to wait before the next call."""
    return ExhaustedError(reason, f"{said}; {limit} is {value}", HOLD_S, {"limit": limit, "value": str(value)})
