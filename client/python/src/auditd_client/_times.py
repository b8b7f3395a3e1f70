"""Times: RFC 3339 text, datetimes and protobuf timestamps, to the nanosecond."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)


def timestamp_from_text(text: str) -> Timestamp:
    """Return the timestamp that RFC 3339 `text` with an offset and at most 9 decimals names.

    Raises ValueError with the rule broken; a leap second (`:60`) has no timestamp and is refused.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is no RFC 3339 time with an offset, such as 2026-11-24T00:26:13.1Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, _, sign, offset_hours, offset_minutes = match.groups()[6:]
    if fraction is not None and len(fraction) > 9:
        raise ValueError(f"{text[:64]!r} has {len(fraction)} decimals, limit 9")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text[:64]!r} has no such time of day")
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError(f"{text[:64]!r} has no such day") from None
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError(f"{text[:64]!r} has no such offset")
        offset_s = int(offset_hours) * 3_600 + int(offset_minutes) * 60
        seconds += offset_s if sign == "-" else -offset_s
    return Timestamp(seconds=seconds, nanos=int((fraction or "0").ljust(9, "0")))


def timestamp_from_datetime(moment: datetime) -> Timestamp:
    """Return the timestamp of an aware `moment`.

    Raises ValueError if `moment` has no offset, so that nobody knows when it is.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()!r} has no offset; give the datetime a tzinfo")
    seconds, microseconds = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1_000)


def timestamp_from(value: object) -> Timestamp:
    """Return the timestamp for RFC 3339 text, an aware datetime, or a timestamp.

    Raises ValueError if it is none of these, or malformed.
    """
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, datetime):
        return timestamp_from_datetime(value)
    if isinstance(value, str):
        return timestamp_from_text(value)
    raise ValueError(f"a {type(value).__name__}, expected RFC 3339 text or a datetime")


def datetime_from(timestamp: Timestamp) -> datetime:
    """Return `timestamp` in UTC; what is finer than a microsecond is cut off."""
    moment = datetime.fromtimestamp(timestamp.seconds, UTC)
    return moment.replace(microsecond=timestamp.nanos // 1_000)
