"""How much one caller, or one address, may ask for, so that the others have their turn."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from auditd.errors import ExhaustedError
from auditd.server._config import LimitSettings

HOLD_S = 4.0
MAX_HELD = 8_192
STRANGERS_BURST_S = 5.0
_READ_AT_ONCE = 4
_MUCH_BYTES = 8 * 1024 * 1024
_MAX_PEERS = 10_000
_IPV6_NETWORK = 64


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

    __slots__ = ("__weakref__", "_held_bytes", "_limits", "_rate", "_reading", "_under_way", "_waiting")

    def __init__(self, limits: LimitSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._rate = Rate(limits.max_calls_per_s_per_caller, clock)
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
            raise _too_much(
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
            raise _too_much("CALLER_BUSY", said, "max_queued_calls_per_caller", most)
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

    def rest(self, seconds: float) -> None:
        """Let this caller have one call less at once for a while."""
        self._under_way += 1
        asyncio.get_running_loop().call_later(seconds, self.leave)


class Strangers:
    """Calls that were refused for want of a good token, by address. Belongs to the event loop's thread."""

    def __init__(self, max_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_per_s = max_per_s
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def count(self, ip: str) -> None:
        """Count a call from an address; raise ExhaustedError beyond the limit. Other networks have their own."""
        peer = _network(ip)
        rate = self._rates.get(peer)
        if rate is None:
            if len(self._rates) >= _MAX_PEERS:
                self.forget_idle()
            # With so many addresses at once, those that come new share one rate.
            key = peer if len(self._rates) < _MAX_PEERS else ""
            rate = self._rates.setdefault(key, Rate(self._max_per_s, self._clock, STRANGERS_BURST_S))
        if not rate.take():
            raise self._too_fast()

    def forget_idle(self) -> None:
        """Forget those that have been quiet for a while."""
        self._rates = {known: rate for known, rate in self._rates.items() if not rate.idle}

    @property
    def seen(self) -> bool:
        """Whether there were any of late."""
        return bool(self._rates)

    def require_slow(self, ip: str) -> None:
        """Raise ExhaustedError, and count nothing, where one more from an address would be too much."""
        rate = self._rates.get(_network(ip))
        if rate is not None and rate.full:
            raise self._too_fast()

    def _too_fast(self) -> ExhaustedError:
        return _too_much(
            "PEER_TOO_FAST",
            "too many calls from this address had no good token",
            "max_refused_per_s_per_peer",
            self._max_per_s,
        )


class Held:
    """Has those who ask for too much wait before they are told, so that they cannot ask again at once.

    A connection has only so many calls at once, so what it can ask in a second is bounded. Beyond 8,192 that wait,
    answers go out at once: who waits costs memory.
    """

    def __init__(self) -> None:
        self._held = 0

    async def hold(self) -> None:
        """Return after four seconds, or at once where too many wait."""
        if self._held >= MAX_HELD:
            return
        self._held += 1
        try:
            # Not all at the same moment, or the next ones would come together too.
            await asyncio.sleep(HOLD_S * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        finally:
            self._held -= 1


def _network(ip: str) -> str:
    """Return what counts as one peer: an address, or of IPv6 the network that one customer has."""
    if ":" not in ip:
        return ip
    try:
        return str(ipaddress.IPv6Network((ip, _IPV6_NETWORK), strict=False))
    except ValueError:
        return ip


def _too_much(reason: str, said: str, limit: str, value: int) -> ExhaustedError:
    return ExhaustedError(reason, f"{said}; {limit} is {value}", HOLD_S, {"limit": limit, "value": str(value)})
