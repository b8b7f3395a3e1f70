"""RFC 3339 times, to the nanosecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from auditd_client.verify._errors import quote

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time_ns(text: str) -> int:
    """Return the nanoseconds from 1970 to a time such as `2026-11-24T00:26:13.1Z`.

    Two texts are one instant if their numbers are equal. Raises ValueError.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {quote(text)}")
    *numbers, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"not a time of the calendar: {quote(text)}") from error
    seconds = (local - _EPOCH) // timedelta(seconds=1)
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
