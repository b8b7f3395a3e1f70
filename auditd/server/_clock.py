"""What is known of the machine's clock."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

_TIME_ERROR = 5
_TIMEX_BYTES = 512
"""More than `struct timex` has anywhere; all zero asks and sets nothing."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """The clock as it is.

    `synchronized` is the kernel's word, None where it gives none. `stepped_s` is how far the clock went ahead of, or
    fell behind, the time elapsed since the server's start.
    """

    synchronized: bool | None
    stepped_s: float


class Clock:
    """Holds the clock against the time that elapsed since this was made."""

    def __init__(self) -> None:
        self._offset = _offset()

    def state(self) -> ClockState:
        """Return the state now."""
        return ClockState(_synchronized(), _offset() - self._offset)


def _offset() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _synchronized() -> bool | None:
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR
