"""Strict readers of text that others wrote: base64url, JSON objects, names.

Every function raises `ValueError` with the broken rule; callers add the field's name.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from typing import NoReturn

MAX_JSON_DEPTH = 16

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode category Cc."""
_SHOWN_CHARACTERS = 64


def encode_base64url(data: bytes) -> str:
    """Return the unpadded base64url of `data` (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Decode unpadded base64url, so strictly that no two texts give the same bytes.

    Raises ValueError: for padding, whitespace, foreign characters, or trailing bits that are not zero.
    """
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("a character outside the base64url alphabet (padding is one)")
    if len(text) % 4 == 1:
        raise ValueError("an impossible base64url length")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("trailing base64url bits that are not zero")
    return data


def parse_json_object(data: bytes) -> dict[str, object]:
    """Parse one JSON object that every parser must read alike.

    Raises ValueError: when `data` is not UTF-8, not JSON, not an object, names a member twice at any
    level, holds NaN, an infinity, a number that overflows a double, or a lone surrogate, or is nested
    deeper than 16.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    _check_tree(value, depth=1)
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"member {shown(name)} given twice")
        members[name] = value
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number too large for a double")
    return number


def _check_tree(value: object, depth: int) -> None:
    if isinstance(value, str):
        _refuse_surrogates(value)
        return
    if not isinstance(value, dict | list):
        return
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")
    children: Iterable[object] = value
    if isinstance(value, dict):
        for name in value:
            _refuse_surrogates(name)
        children = value.values()
    for child in children:
        _check_tree(child, depth + 1)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate") from None


def check_name(value: object, max_bytes: int) -> str:
    """Return `value` if it is fit to be recorded as a name.

    Raises ValueError unless it is a string of 1 to `max_bytes` bytes of UTF-8 without control characters.
    """
    if not isinstance(value, str):
        raise ValueError("not a string")
    _refuse_surrogates(value)
    size = len(value.encode("utf-8"))
    if not 1 <= size <= max_bytes:
        raise ValueError(f"{size} bytes, expected 1 to {max_bytes}")
    if (found := _CONTROL.search(value)) is not None:
        raise ValueError(f"control character U+{ord(found[0]):04X}")
    return value


def shown(value: object) -> str:
    """Return `value` quoted for a message: escaped, and cut at 64 characters."""
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    return ascii(value[:_SHOWN_CHARACTERS]) + ("…" if len(value) > _SHOWN_CHARACTERS else "")


def printable(value: object, max_bytes: int) -> str:
    """Return an unchecked string made fit for a record: unprintable characters replaced, and cut.

    At most `max_bytes` bytes of UTF-8 remain. Anything but a string gives an empty one.
    """
    if not isinstance(value, str):
        return ""
    text = "".join(c if c.isprintable() else "\ufffd" for c in value[:max_bytes])
    return text.encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")
