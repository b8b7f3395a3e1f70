"""The fields of an event that a mapping can fill, and what each of them can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_SEQ = (1 << 63) - 1

MAX_ROLES = 64
MAX_RESOURCES = 64


@lru_cache(maxsize=4096)
def is_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address; one with a zone means something on one machine only."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_outcome(text: str) -> bool:
    return text in ("SUCCESS", "FAILURE", "DENIED")


def _is_seq(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 20 and 0 < int(text) <= _MAX_SEQ


def _is_traceparent(text: str) -> bool:
    return _TRACEPARENT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Field:
    """What a field can hold: text of at most `limit` bytes without control characters that `accepts`, if set, takes."""

    limit: int
    expected: str
    """What it holds, as it stands behind `is no`."""
    accepts: Callable[[str], bool] | None = None
    value: Callable[[str], Any] = str

    def fits(self, text: str) -> bool:
        """Whether the field can hold the text as it is; empty text is none."""
        if text.isascii():
            fits = 0 < len(text) <= self.limit and text.isprintable()
        else:
            fits = _CONTROL.search(text) is None and len(text.encode()) <= self.limit
        return fits and (self.accepts is None or self.accepts(text))


def _text(limit: int) -> Field:
    return Field(limit, f"text of 1 to {limit} bytes")


FIELDS: Mapping[str, Field] = {
    "id": _text(128),
    "time": Field(64, "time"),
    "tenant": _text(128),
    "action": _text(256),
    "outcome": Field(7, "SUCCESS, FAILURE or DENIED", _is_outcome),
    "reason": _text(1024),
    "actor.type": _text(64),
    "actor.id": _text(256),
    "actor.name": _text(256),
    "actor.roles": _text(128),
    "actor.session_id": _text(256),
    "actor.auth_method": _text(64),
    "origin.ip": Field(45, "address", is_address),
    "origin.user_agent": _text(1024),
    "origin.device_id": _text(256),
    "origin.method": _text(64),
    "origin.endpoint": _text(1024),
    "origin.request_id": _text(256),
    "origin.traceparent": Field(55, "W3C traceparent", _is_traceparent),
    "producer.id": _text(128),
    "producer.seq": Field(19, "number from 1 to 2^63-1", _is_seq, int),
}

RESOURCE_FIELDS: Mapping[str, Field] = {"type": _text(128), "id": _text(1024), "name": _text(256)}
