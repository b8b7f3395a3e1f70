"""Attributes: a JSON object, checked once and kept as written."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson

from auditd._native import native

from ._limits import MAX_ATTRIBUTES_BYTES, MAX_ATTRIBUTES_DEPTH

_BREAKS_TO_SPACES = bytes.maketrans(b"\n\r\t", b"   ")
_SEALED_HASH = re.compile(r"[0-9a-f]{64}")
_MIN_SEALED_BYTES = 64


class AttributesError(ValueError):
    """The text is no acceptable attributes object; the message gives rule and value."""


def encode_attributes(text: str) -> bytes:
    """Return the bytes that stand for `text` in a leaf.

    They are the text itself, but for raw line breaks and tabs, which JSON allows between tokens alone and
    which become spaces. Raises AttributesError unless `text` is a JSON object (RFC 8259) of at most
    60,000 bytes and depth 16, with numbers in the range of a double, without a member name used twice in
    one object, a lone surrogate, or an object that looks like a sealed value.
    """
    raw = _require_size(text)
    if native is not None:
        return raw.translate(_BREAKS_TO_SPACES) if native.are_attributes(text) else _encode_carefully(text, raw)
    try:
        value = orjson.loads(raw)
        written = orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _encode_carefully(text, raw)
    # What orjson writes has no duplicate name and no raw line break, so a text that is what orjson writes
    # has none either. Each level is opened by a bracket, so 16 of them cannot nest deeper than 16.
    if (
        raw == written
        and type(value) is dict
        and raw.count(b"{") + raw.count(b"[") <= MAX_ATTRIBUTES_DEPTH
        and (len(raw) < _MIN_SEALED_BYTES or '"sealed"' not in text)
    ):
        return raw
    return _encode_carefully(text, raw)


def _require_size(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise AttributesError("holds a lone surrogate, so it is no UTF-8") from error
    if len(raw) > MAX_ATTRIBUTES_BYTES:
        raise AttributesError(f"{len(raw)} bytes, limit {MAX_ATTRIBUTES_BYTES}")
    return raw


def _encode_carefully(text: str, raw: bytes) -> bytes:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise AttributesError(f"not JSON: {error}") from error
    if type(value) is not dict:
        raise AttributesError(f"must be a JSON object, not {raw[:20].decode(errors='ignore')!r}")
    _refuse_depth(value)
    try:
        # orjson has decided that this is JSON; this reading only sees what a dict cannot hold.
        json.loads(text, object_pairs_hook=_refuse_pairs, parse_int=_unread, parse_float=_unread)
    except RecursionError as error:
        raise AttributesError(f"nested deeper than allowed, limit {MAX_ATTRIBUTES_DEPTH}") from error
    return raw.translate(_BREAKS_TO_SPACES)


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_ATTRIBUTES_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise AttributesError(f"nested deeper than allowed, limit {MAX_ATTRIBUTES_DEPTH}")


def _refuse_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise AttributesError(f"member name {twice[:64]!r} is used twice in one object")
    sealed = members.get("sealed")
    if len(members) == 1 and isinstance(sealed, str) and _SEALED_HASH.fullmatch(sealed):
        raise AttributesError('{"sealed": <64 hex digits>} is kept for values that the server sealed')
    return members


def _unread(digits: str) -> None:
    """Stand in for a number: converting thousands of digits would be slow, and nothing needs the value."""
