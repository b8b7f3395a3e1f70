"""Times as text (RFC 3339, UTC) and in nanoseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

MAX_SECONDS = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that RFC 3339 can write."""
NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS = ("Z", *(f".{millis:03d}Z" for millis in range(1, 1_000)))
_TEXT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{6}|\d{9}))?Z", re.ASCII)


@lru_cache(maxsize=8_192)
def second_text(seconds: int) -> str:
    """`2026-11-24T00:26:13` for seconds in [0, `MAX_SECONDS`]."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def time_text(seconds: int, nanos: int) -> str:
    """Return the shortest exact text with 0, 3, 6 or 9 fraction digits.

    Takes seconds in [0, `MAX_SECONDS`] and nanos in [0, 999,999,999].
    """
    if not nanos % 1_000_000:
        return second_text(seconds) + _MILLIS[nanos // 1_000_000]
    if not nanos % 1_000:
        return f"{second_text(seconds)}.{nanos // 1_000:06d}Z"
    return f"{second_text(seconds)}.{nanos:09d}Z"


def recorded_at_text(time_us: int) -> str:
    """Microseconds since 1970-01-01T00:00:00Z with always 6 fraction digits."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{second_text(seconds)}.{micros:06d}Z"


def parse_time(text: str) -> int:
    """Nanoseconds since 1970-01-01T00:00:00Z of a leaf's time; raises ValueError for any other text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no UTC time with 0, 3, 6 or 9 fraction digits")
    second, fraction = match.groups(default="")
    elapsed = datetime.fromisoformat(second + "+00:00") - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * NS_PER_S + int(fraction.ljust(9, "0"))
