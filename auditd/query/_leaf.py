"""Leaves as Python values."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse_leaf(leaf: bytes) -> dict[str, Any]:
    """Return a leaf's members.

    Numbers beyond 64 bits become the nearest double, as do all with a fraction or an exponent.
    """
    try:
        entry: dict[str, Any] = orjson.loads(leaf)
    except orjson.JSONDecodeError:
        # JSON knows numbers beyond the range of a double; orjson does not.
        entry = json.loads(leaf, parse_int=_parse_int)
    return entry


def _parse_int(text: str) -> int | float:
    number = int(text) if len(text) <= 20 else 2**64
    return number if -(2**63) <= number < 2**64 else float(text)
