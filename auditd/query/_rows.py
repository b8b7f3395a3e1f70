"""Which rows of a run have a term: a set of their numbers where these are few, otherwise a bit for each row."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Rows: TypeAlias = frozenset[int] | bytes
NO_ROWS: Rows = frozenset()

WORD_BYTES = 2
_WORD_BITS = 16


def bitmap_words(length: int) -> int:
    """Return how many words a bit for each of a run's rows takes; a set of that many or more is stored as bits."""
    return -(-length // _WORD_BITS)


def bitmap(rows: Iterable[int], length: int) -> bytes:
    """Return a bit for each row of a run of some length."""
    digits = bytearray(b"0") * length
    for row in rows:
        digits[-1 - row] = 0x31
    return int(digits, 2).to_bytes(WORD_BYTES * bitmap_words(length), "little")


def words_of(stored: bytes) -> array[int]:
    """Return words of 16 bits, stored in little-endian order."""
    words = array("H", stored)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def unpacked(words: array[int], length: int) -> Rows:
    """Return the rows of a run of some length, as they were stored. Raises ValueError for what no such run holds."""
    if len(words) == bitmap_words(length):
        bits = words_of(words.tobytes()).tobytes()
        if int.from_bytes(bits, "little") >> length:
            raise ValueError("a row beyond its run")
        return bits
    rows = frozenset(words)
    if len(rows) != len(words) or len(rows) > bitmap_words(length) or max(rows, default=0) >= length:
        raise ValueError("rows that are not of their run")
    return rows


def in_both(one: Rows, other: Rows) -> Rows:
    """Return the rows that are in both."""
    if isinstance(one, bytes):
        if isinstance(other, bytes):
            both = int.from_bytes(one, "little") & int.from_bytes(other, "little")
            return both.to_bytes(max(len(one), len(other)), "little")
        one, other = other, one
    if isinstance(other, bytes):
        bits = other
        return frozenset(row for row in one if bits[row >> 3] >> (row & 7) & 1)
    return one & other


def in_any(parts: Iterable[Rows], length: int) -> Rows:
    """Return the rows of a run of some length that are in any of the parts."""
    few: set[int] = set()
    bits = 0
    for part in parts:
        if isinstance(part, bytes):
            bits |= int.from_bytes(part, "little")
        else:
            few |= part
    if not bits:
        return frozenset(few)
    bits |= int.from_bytes(bitmap(few, length), "little")
    return bits.to_bytes(WORD_BYTES * bitmap_words(length), "little")


def in_order(rows: Rows, *, ascending: bool) -> Iterator[int]:
    """Yield rows in order."""
    if not isinstance(rows, bytes):
        yield from sorted(rows, reverse=not ascending)
        return
    places = range(len(rows)) if ascending else range(len(rows) - 1, -1, -1)
    bits = range(8) if ascending else range(7, -1, -1)
    for place in places:
        if byte := rows[place]:
            for bit in bits:
                if byte >> bit & 1:
                    yield 8 * place + bit
