"""The times of records: RFC 3339, numbers since 1970, and other ways to write one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from auditd_client._times import timestamp_from_datetime, timestamp_from_text
from auditd_client.importers._errors import MappingError, RecordError

# As an event's time is written: UTC, the fewest of 0, 3, 6 or 9 digits that are exact.
_AS_IN_A_LEAF = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?:\d{3}){0,2}(?!000)\d{3})?Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)
_MAX_SECONDS = 253_402_300_800  # the year 10000
_CACHED = 4096  # records of one second come together

UNITS = {"unix": Decimal(1), "unix_ms": Decimal(1000), "unix_us": Decimal(10**6), "unix_ns": Decimal(10**9)}
RFC_3339 = "rfc3339"


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a time is written: `rfc3339`, one of UNITS, or a pattern of strptime with the zone it is in."""

    written: str = RFC_3339
    zone: str = ""
    read: Callable[[str], Timestamp] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", lru_cache(maxsize=_CACHED)(self._reader()))

    def keeps(self, text: str) -> bool:
        """Whether the event's time, as a leaf has it, is this very text."""
        return self.written == RFC_3339 and _AS_IN_A_LEAF.fullmatch(text) is not None

    def _reader(self) -> Callable[[str], Timestamp]:
        if "%" in self.written:
            return _pattern(self.written, _zone(self.zone) if self.zone else None)
        if self.zone:
            raise MappingError(f"zone: only a pattern such as %Y-%m-%d has one, not {self.written!r}")
        if self.written in UNITS:
            return _number(UNITS[self.written])
        if self.written == RFC_3339:
            return _rfc_3339
        raise MappingError(
            f"as: {self.written!r}, expected {RFC_3339}, {', '.join(UNITS)} or a pattern such as %Y-%m-%d"
        )


def _rfc_3339(text: str) -> Timestamp:
    try:
        return timestamp_from_text(text.replace(" ", "T", 1))
    except ValueError as error:
        raise RecordError(str(error)) from None


def _number(unit: Decimal) -> Callable[[str], Timestamp]:
    def read(text: str) -> Timestamp:
        if _NUMBER.fullmatch(text) is None or (moment := Decimal(text) / unit) >= _MAX_SECONDS:
            raise RecordError(f"{text[:64]!r} is no number of a time since 1970")
        seconds = int(moment)
        return Timestamp(seconds=seconds, nanos=int((moment - seconds) * 10**9))

    return read


def _pattern(pattern: str, zone: tzinfo | None) -> Callable[[str], Timestamp]:
    def read(text: str) -> Timestamp:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone follows
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone or UTC)
            return timestamp_from_datetime(moment)
        except (ValueError, OverflowError):
            raise RecordError(f"{text[:64]!r} is not written as {pattern!r}") from None

    return read


def _zone(name: str) -> tzinfo:
    if (match := _OFFSET.fullmatch(name)) is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset < timedelta(days=1):
            return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise MappingError(
            f"zone: {name[:64]!r} is neither an offset such as +01:00 nor a zone such as Europe/Berlin"
        ) from None
