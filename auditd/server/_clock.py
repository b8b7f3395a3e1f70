"""The machine's clock, which is believed only as long as it is plausible."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from auditd._build import BUILT_NS
from auditd.entry import recorded_at_text
from auditd.errors import UnavailableError

SECOND_NS = 1_000_000_000
MAX_STEP_S = 60
"""A larger step against the time elapsed since the machine's start has the clock judged afresh."""
MAX_BEHIND_S = 300
"""How far before the newest entry a clock may be."""
JUDGE_AGAIN_S = 1.0
_RETRY_AFTER_S = 30.0
_MAX_CHANGES = 1_000

_TIME_ERROR = 5
_TIMEX_BYTES = 512
"""More than `struct timex` has anywhere; all zero asks and sets nothing."""


def kernel_synchronized() -> bool | None:
    """Return whether the kernel says that its clock is synchronised (adjtimex), None where it does not say."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def _boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class ClockSources:
    """Where time comes from: UTC since 1970, the time since the machine's start, and the kernel's word on the first."""

    realtime_ns: Callable[[], int] = lambda: time.time_ns()
    boottime_ns: Callable[[], int] = _boottime_ns
    synchronized: Callable[[], bool | None] = lambda: kernel_synchronized()


@dataclass(frozen=True, slots=True)
class ClockState:
    """The clock as it is.

    `synchronized` is the kernel's word, None where it gives none. `stepped_s` is how far the clock went ahead of, or
    fell behind, the time elapsed since the server's start. `suspect` says why it is not believed, empty where it is.
    """

    synchronized: bool | None
    stepped_s: float
    suspect: str


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What became of the clock, to be recorded: `clock.suspect`, `clock.trust`, `clock.step` or `clock.confirm`."""

    action: str
    attributes: dict[str, object]


class Clock:
    """Tells the time. Any thread may ask.

    A clock is plausible when it is neither before the release was built nor five minutes before the newest entry of
    any log, and either at most `max_idle_s` after that entry or synchronised as the kernel says. It is judged at the
    start, and afresh when it stepped by more than a minute against the time elapsed since the machine's start.
    Where it is not plausible it is suspect: then the time is the last one trusted plus the time elapsed since, until
    the clock becomes plausible or someone confirms it.
    """

    def __init__(self, max_idle_s: int, sources: ClockSources | None = None) -> None:
        self._max_idle_ns = max_idle_s * SECOND_NS
        self._sources = sources or ClockSources()
        self._lock = threading.Lock()  # guards all below
        # How far the trusted time is ahead of the boot time, and the most that it was, for small steps back add up.
        self._offset_ns = self._furthest_ns = self._started_offset_ns = self._read()[2]
        self._suspect = ""
        self._judged_at_ns = 0
        self._changes: deque[ClockChange] = deque(maxlen=_MAX_CHANGES)

    def begin(self, newest_ns: int) -> None:
        """Judge the clock for the first time; `newest_ns` is when the newest entry was recorded, 0 if there is none."""
        with self._lock:
            now_ns, boot_ns, offset_ns = self._read()
            why = self._why_suspect(now_ns, newest_ns)
            if why:
                offset_ns = max(newest_ns, BUILT_NS) - boot_ns
            self._offset_ns = self._furthest_ns = offset_ns
            self._become(why, now_ns, boot_ns)

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970, UTC: the clock's, or where that is suspect the best known."""
        with self._lock:
            return self._now()[0]

    def latest_s(self) -> float:
        """Return the later of the clock's and the trusted time, in seconds: for what must expire whichever is wrong."""
        with self._lock:
            return max(self._now()) / SECOND_NS

    def is_suspect(self) -> bool:
        """Tell whether the clock is not believed."""
        with self._lock:
            self._now()
            return bool(self._suspect)

    def refusal(self) -> UnavailableError | None:
        """Return why callers' events cannot be recorded now, None where nothing stands against it."""
        with self._lock:
            self._now()
            if not self._suspect:
                return None
            message = f"the server's clock is not trusted: {self._suspect}; set it right, or auditlog clock confirm DIR"
            return UnavailableError("CLOCK_SUSPECT", message, _RETRY_AFTER_S, {"recorded": "no"})

    def confirm(self, offset_ns: int, about: dict[str, object]) -> bool:
        """Believe the clock because someone vouches for it, as one that many ns ahead of the boot time.

        Returns whether it still is that clock, within the step that is allowed.
        """
        with self._lock:
            now_ns, _, actual_ns = self._read()
            if abs(actual_ns - offset_ns) > MAX_STEP_S * SECOND_NS:
                return False
            self._offset_ns = self._furthest_ns = actual_ns
            self._suspect = ""
            self._changes.append(ClockChange("clock.confirm", {"clock": _text(now_ns), **about}))
            return True

    def state(self) -> ClockState:
        """Return the state now."""
        with self._lock:
            self._now()
            stepped_ns = self._read()[2] - self._started_offset_ns
            return ClockState(self._sources.synchronized(), stepped_ns / SECOND_NS, self._suspect)

    def next_change(self) -> ClockChange | None:
        """Return the first change that waits to be recorded; it waits until `recorded`."""
        with self._lock:
            self._now()
            return self._changes[0] if self._changes else None

    def recorded(self, change: ClockChange) -> None:
        """Say that a change from `next_change` is durable."""
        with self._lock:
            if self._changes and self._changes[0] is change:
                self._changes.popleft()

    def _read(self) -> tuple[int, int, int]:
        """Return the clock's time, the boot time, and how far the first is ahead."""
        now_ns, boot_ns = self._sources.realtime_ns(), self._sources.boottime_ns()
        return now_ns, boot_ns, now_ns - boot_ns

    def _now(self) -> tuple[int, int]:
        """Return the time to be used and the clock's own, which is judged if it needs to be."""
        now_ns, boot_ns, offset_ns = self._read()
        trusted_ns = boot_ns + self._offset_ns
        stepped_ns = offset_ns - self._offset_ns
        if not self._suspect and abs(stepped_ns) <= MAX_STEP_S * SECOND_NS:
            return now_ns, now_ns
        if self._suspect and boot_ns - self._judged_at_ns < JUDGE_AGAIN_S * SECOND_NS:
            return trusted_ns, now_ns
        why = self._why_suspect(now_ns, boot_ns + self._furthest_ns)
        if not why:
            self._offset_ns = offset_ns
            self._furthest_ns = max(self._furthest_ns, offset_ns)
            if not self._suspect:
                about = {"clock": _text(now_ns), "step_s": stepped_ns // SECOND_NS}
                self._changes.append(ClockChange("clock.step", about))
        self._become(why, now_ns, boot_ns)
        return (trusted_ns if why else now_ns), now_ns

    def _become(self, why: str, now_ns: int, boot_ns: int) -> None:
        self._judged_at_ns = boot_ns
        if bool(why) != bool(self._suspect):
            about: dict[str, object] = {"clock": _text(now_ns), "trusted": _text(boot_ns + self._offset_ns)}
            action = "clock.suspect" if why else "clock.trust"
            self._changes.append(ClockChange(action, about | ({"why": why} if why else {})))
        self._suspect = why

    def _why_suspect(self, now_ns: int, newest_ns: int) -> str:
        said = f"it says {_text(now_ns)}"
        if now_ns < BUILT_NS:
            return f"{said}, before this release was built ({_text(BUILT_NS)})"
        if now_ns < newest_ns - MAX_BEHIND_S * SECOND_NS:
            return f"{said}, {(newest_ns - now_ns) // SECOND_NS} s before the newest time that is known"
        if newest_ns and now_ns > newest_ns + self._max_idle_ns and not self._sources.synchronized():
            behind_s = (now_ns - newest_ns) // SECOND_NS
            return f"{said}, {behind_s} s after the newest time that is known, and the kernel does not vouch for it"
        return ""


def _text(time_ns: int) -> str:
    return recorded_at_text(max(0, time_ns) // 1_000)
