"""What names an event: its id and its time."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random


def uuid7(random: Random, moment: datetime) -> str:
    """Return a UUIDv7 (RFC 9562 section 5.7) of that moment."""
    milliseconds = int(moment.timestamp() * 1000)
    bits = random.getrandbits(74)
    number = milliseconds << 80 | 0x7 << 76 | bits >> 62 << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_text(moment: datetime) -> str:
    """Return a moment as RFC 3339 text in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
