"""Runs: which terms some consecutive entries have, in blocks of neighbouring terms.

A block holds how many terms it has (a number of 2 bytes, little-endian, as all are) and the bytes of their text (4);
the number of words that the rows of each take (2); the terms, ascending, with a line feed between two; and the rows of
each, as `auditd.query._rows` packs them. The same entries always make the same blocks, at once or merged of runs.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from auditd._native import native
from auditd.query._rows import WORD_BYTES, Rows, bitmap, bitmap_words, in_order, unpacked, words_of

MOST_ROWS = 65_536
"""Entries of a run, at most: a row is a number of 16 bits."""
_BLOCK_BYTES = 2_600  # three fit a page
_NUMBERS = struct.Struct("<HI")
_BREAK = b"\n"

Block: TypeAlias = tuple[bytes, bytes]
"""The first term of a block, and the block."""


def make_run(rows: Sequence[str]) -> list[Block]:
    """Return the blocks of a run of entries, the terms of each given as `auditd.query._terms.terms_of` gives them."""
    if native is not None:
        with suppress(UnicodeEncodeError):  # of half a surrogate pair, which no server writes
            return native.make_run(rows)
    numbers: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, text in enumerate(rows):
        for term in distinct_terms(text):
            numbers[term].append(number)
    return _blocks(numbers, len(rows))


def term_bytes(text: str) -> bytes:
    """Return a term, or terms with separators between them, as a block has them."""
    return text.encode("utf-8", "surrogatepass")


def distinct_terms(text: str) -> set[bytes]:
    """Return the terms of an entry, given as `auditd.query._terms.terms_of` gives them."""
    terms = {*term_bytes(text).split(_BREAK)}
    terms.discard(b"")
    return terms


def merge_runs(runs: Sequence[tuple[int, Sequence[bytes]]]) -> list[Block]:
    """Return the blocks of a run that consists of others, each given by its length and its blocks, in order.

    Raises ValueError for a block that is damaged.
    """
    if native is not None:
        return native.merge_runs(runs)
    numbers: defaultdict[bytes, list[int]] = defaultdict(list)
    first = 0
    for length, blocks in runs:
        for block in blocks:
            terms, counts, words = _parts(block)
            shifted = [first + word for word in words]
            at = 0
            for term, count in zip(terms, counts, strict=True):
                if count < bitmap_words(length):
                    numbers[term] += shifted[at : at + count]
                else:
                    rows = unpacked(words[at : at + count], length)
                    numbers[term] += (first + row for row in in_order(rows, ascending=True))
                at += count
        first += length
    return _blocks(numbers, first)


def _blocks(numbers: Mapping[bytes, list[int]], length: int) -> list[Block]:
    most = bitmap_words(length)
    blocks: list[Block] = []
    terms: list[bytes] = []
    counts: list[int] = []
    words: list[int] = []
    size = 0
    for term in sorted(numbers):
        rows = numbers[term]
        if (count := len(rows)) >= most:
            rows, count = words_of(bitmap(rows, length)).tolist(), most
        more = len(term) + len(_BREAK) + WORD_BYTES + WORD_BYTES * count
        if size + more > _BLOCK_BYTES and terms:
            blocks.append(_block(terms, counts, words))
            terms, counts, words, size = [], [], [], 0
        terms.append(term)
        counts.append(count)
        words += rows
        size += more
    return [*blocks, _block(terms, counts, words)] if terms else blocks


def _block(terms: Sequence[bytes], counts: Sequence[int], words: Sequence[int]) -> Block:
    text = _BREAK.join(terms)
    numbers = struct.pack(f"<HI{len(counts)}H", len(terms), len(text), *counts)
    return terms[0], b"".join([numbers, text, struct.pack(f"<{len(words)}H", *words)])


def rows_with(block: bytes, term: bytes, length: int) -> Rows | None:
    """Return the rows that have a term; None if the block holds no such term. Raises ValueError for damage."""
    text, rows = _bounds(block)
    # Terms are not taken apart: this is what a search does for every run.
    place = (_BREAK + block[text:rows] + _BREAK).find(_BREAK + term + _BREAK)
    if place < 0:
        return None
    counts = words_of(block[_NUMBERS.size : text])
    number = block.count(_BREAK, text, text + place)
    if number >= len(counts):
        raise ValueError("a block of other parts than it says")
    start = rows + WORD_BYTES * sum(counts[:number])
    return unpacked(words_of(block[start : start + WORD_BYTES * counts[number]]), length)


def terms_in(block: bytes, length: int, prefix: bytes = b"") -> Iterator[tuple[bytes, Rows]]:
    """Yield the terms of a block that have a prefix, and the rows of each. Raises ValueError for damage."""
    terms, counts, words = _parts(block)
    at = 0
    for term, count in zip(terms, counts, strict=True):
        if term.startswith(prefix):
            yield term, unpacked(words[at : at + count], length)
        at += count


def _parts(block: bytes) -> tuple[list[bytes], array[int], array[int]]:
    """Return the terms of a block, how many words the rows of each take, and all the words."""
    text, rows = _bounds(block)
    terms = block[text:rows].split(_BREAK)
    counts, words = words_of(block[_NUMBERS.size : text]), words_of(block[rows:])
    if len(terms) != len(counts) or sum(counts) != len(words):
        raise ValueError("a block of other parts than it says")
    return terms, counts, words


def _bounds(block: bytes) -> tuple[int, int]:
    """Return where the text of a block begins, and where it ends and the rows begin."""
    if len(block) < _NUMBERS.size:
        raise ValueError("a block is cut")
    count, text_bytes = _NUMBERS.unpack_from(block)
    text = _NUMBERS.size + WORD_BYTES * count
    rows = text + text_bytes
    if not count or rows > len(block) or (len(block) - rows) % WORD_BYTES:
        raise ValueError("a block of other parts than it says")
    return text, rows
