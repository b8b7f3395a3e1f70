"""Text forms that are read in exactly one spelling."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final

MAX_SIZE: Final = 2**63 - 1
"""The largest tree size: SQLite integers are signed."""

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]*")
# No longer than MAX_SIZE, so that int() is never given a huge text.
_MAX_DIGITS: Final = len(str(MAX_SIZE))
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_MAX_QUOTED: Final = 80


def read_base64(text: str) -> bytes:
    """Decode padded base64 (RFC 4648 section 4); raise ValueError for any but the one canonical spelling."""
    decoded = b64decode(text, validate=True)
    # The decoder ignores trailing bits that are not zero.
    if b64encode(decoded).decode() != text:
        raise ValueError("not canonical base64")
    return decoded


def read_size(text: str) -> int:
    """Read an ASCII decimal; raise ValueError, ready to follow "is", for leading zeros or above 2**63 - 1."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal without leading zeros")
    if len(text) > _MAX_DIGITS or int(text) > MAX_SIZE:
        raise ValueError(f"above {MAX_SIZE}")
    return int(text)


def broken_text_rule(text: str) -> str | None:
    """Return how `text` breaks the rule for notes, if it does: UTF-8, no control character but newline."""
    found = _CONTROL.search(text)
    if found:
        return f"holds the control character {found[0]!r}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "is not valid UTF-8"
    return None


def broken_name_rule(name: str) -> str | None:
    """Return how `name` breaks the rules for key names, if it does."""
    if not name:
        return "is empty"
    if "+" in name:
        return "contains '+'"
    if any(character.isspace() for character in name):
        return "contains white space"
    return broken_text_rule(name)


def quote(text: str) -> str:
    """Return `text` quoted for a message, at most 80 characters of it."""
    return repr(text) if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]!r}..."
