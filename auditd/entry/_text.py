"""Rules for the text of an event's members."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
is_ipv4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}").fullmatch
"""Four decimal numbers up to 255, without leading zeros."""
NUL = re.compile("\0")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
is_traceparent = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
"""W3C Trace Context section 3.2, the 55 characters of version 00."""


@lru_cache(maxsize=4_096)
def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address without a zone (RFC 4291 section 2.2)."""
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False
