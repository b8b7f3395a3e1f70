"""Strict readings of text; Python's own are more lenient than the formats allow."""

from __future__ import annotations

import base64
import re

from auditd_client.verify._errors import MalformedError, quote

HASH_BYTES = 32
"""Length of a SHA-256 hash."""

MAX_INTEGER = 2**63 - 1
"""Largest size or index: SQLite's integers are signed."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def read_text(data: str | bytes, what: str, max_bytes: int) -> str:
    """Return `data` as text: UTF-8, no control character but line feeds, at most `max_bytes` bytes."""
    try:
        encoded = data.encode() if isinstance(data, str) else data
        text = encoded.decode()
    except UnicodeError as error:
        raise MalformedError(what, "not UTF-8") from error
    if len(encoded) > max_bytes:
        raise MalformedError(what, f"{len(encoded)} bytes, limit {max_bytes}")
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise MalformedError(what, f"control character 0x{ord(control.group()):02x}", line)
    return text


def read_decimal(text: str) -> int:
    """Return the number that `text` is: ASCII digits, no sign, no leading zero, below 2^63.

    Raises ValueError.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_INTEGER:
        raise ValueError(f"not a decimal number from 0 to 2^63-1 without leading zeros: {quote(text)}")
    return int(text)


def read_base64(text: str) -> bytes:
    """Return the bytes that `text` is the one padded standard base64 of (RFC 4648 section 4).

    Raises ValueError, also where only the unused last bits differ.
    """
    rule = f"not strict base64: {quote(text)}"
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(rule) from error
    if base64.b64encode(data).decode() != text:
        raise ValueError(rule)
    return data


def read_hash(text: str) -> bytes:
    """Return the 32 bytes that `text` is the strict base64 of. Raises ValueError."""
    data = read_base64(text)
    if len(data) != HASH_BYTES:
        raise ValueError(f"a hash is {HASH_BYTES} bytes, found {len(data)}")
    return data


def check_hash(value: bytes, what: str) -> None:
    """Raise MalformedError unless `value` is 32 bytes."""
    if not isinstance(value, bytes) or len(value) != HASH_BYTES:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise MalformedError(what, f"a hash is {HASH_BYTES} bytes, found {found}")


def check_integer(value: int, what: str) -> None:
    """Raise MalformedError unless `value` is an integer from 0 to 2^63-1."""
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise MalformedError(what, f"not an integer from 0 to 2^63-1: {quote(value)}")
