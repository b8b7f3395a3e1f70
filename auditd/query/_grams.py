"""Text as a set of bits that says which text cannot be in it.

A word is a longest run of letters and digits, a gram four bytes of one. Text that holds some other text holds all
grams of its words, wherever in a word they lie; so whoever looks for a text may pass over what lacks one of them.
Grams are hashed: a bit that is set may stand for another gram, one that is not set stands for none.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice

from auditd._native import native
from auditd.query._leaf import parse_leaf

TILE_ENTRIES = 256
BLOCK_TILES = 16
BLOCK_ENTRIES = TILE_ENTRIES * BLOCK_TILES
GRAM_BYTES = 4
MAX_BITS = 18
MIN_BITS = 12
_SPARSE = 8  # a block whose bits are set to less than an eighth is folded
SPREAD_BITS = 32
_FACTOR = 0x9E3779B1  # 2^32 over the golden ratio: spreads grams that differ in one byte
_WORD = re.compile(rb"[0-9a-z\x80-\xff]{4,}")
_EVENT = b',"event":'


def searched_text(leaf: bytes) -> bytes:
    """Return what of a leaf can be searched, in lower case: names and values of its event."""
    start = leaf.find(_EVENT)
    event = leaf[max(start, 0) :]
    # Escapes of one letter stand for no letter or digit, so they only make a word longer; others are resolved.
    if event.isascii() and b"\\u" not in event:
        return event.lower()
    return folded("\n".join(_texts(parse_leaf(leaf).get("event"))))


def folded(text: str) -> bytes:
    """Return text as it is searched: case folded, in UTF-8."""
    return text.casefold().encode("utf-8", "surrogatepass")


def _texts(value: object) -> Iterable[str]:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def grams_of(text: bytes) -> set[bytes]:
    """Return the grams of the words of a text, which is as `searched_text` or `folded` gives it."""
    return _grams(_WORD.findall(text))


def _grams(words: Iterable[bytes]) -> set[bytes]:
    return {word[at : at + GRAM_BYTES] for word in words for at in range(len(word) - GRAM_BYTES + 1)}


def spread_of(gram: bytes) -> int:
    """Return the hash of a gram, of `SPREAD_BITS`; its first `n` are the place in a signature of `2 ** n` places."""
    return int.from_bytes(gram, "little") * _FACTOR & 0xFFFFFFFF


def sign_leaves(leaves: Iterable[bytes]) -> tuple[int, bytes]:
    """Return the signature of a block's leaves, which are asked for one tile after the other; see `sign_block`."""
    if native is not None:
        return native.sign_leaves(leaves, searched_text)
    texts = map(searched_text, leaves)
    return sign_block(iter(lambda: list(islice(texts, TILE_ENTRIES)), []))


def sign_block(tiles: Iterable[Sequence[bytes]]) -> tuple[int, bytes]:
    """Return the signature of a block: the number of its bits, and for each place two bytes, a bit for each tile.

    Bit `n` (of a little-endian number) is set where the `n`th tile may have a gram of that place. A sparse signature
    is folded, two neighbouring places into one.

    Args:
        tiles: at most 16 tiles, each the texts of its entries as `searched_text` gives them.

    """
    bits = MAX_BITS
    places = array("H", bytes(2 << bits))
    for number, texts in enumerate(tiles):
        words: set[bytes] = set()
        for text in texts:
            words.update(_WORD.findall(text))
        bit = 1 << number
        numbers = array("I", b"".join(_grams(words)))
        for number_of in numbers:
            places[(number_of * _FACTOR & 0xFFFFFFFF) >> (SPREAD_BITS - bits)] |= bit
    while bits > MIN_BITS and _set_bits(places) * _SPARSE < BLOCK_TILES << bits:
        places = array("H", [places[at] | places[at + 1] for at in range(0, len(places), 2)])
        bits -= 1
    return bits, places.tobytes()


def _set_bits(places: array[int]) -> int:
    return int.from_bytes(places.tobytes(), "little").bit_count()
