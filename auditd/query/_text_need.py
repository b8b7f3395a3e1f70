"""Which grams an entry must have for a filter to select it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from auditd.filter import Comparison, FreeText, Pattern, Text, field_at
from auditd.query._grams import folded, grams_of

MAX_GRAMS = 48
"""Grams looked for on account of one text; more would cost more than they exclude."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """What fulfils every part."""

    parts: tuple[TextNeed, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What fulfils one part at least."""

    parts: tuple[TextNeed, ...]


# A set of grams is needed whole.
TextNeed: TypeAlias = AllOf | AnyOf | frozenset[bytes]


def text_need(term: Comparison | FreeText) -> TextNeed | None:
    """Return the grams that every entry has which a term selects; None if it needs none."""
    if isinstance(term, FreeText):
        return _grams(term.text)
    if not field_at(term.path).in_event:
        return None
    # Whatever compares an attribute, `!=` too, selects nothing without it, and so nothing without its name.
    found = [_grams(name) for name in term.path[1:]] if term.path[0] == "attributes" else []
    if term.operator in {"=", ":"} and isinstance(term.value, Text | Pattern):
        found.append(_grams(term.value.text))
    known = frozenset().union(*(grams for grams in found if grams is not None))
    return known or None


def _grams(text: str) -> frozenset[bytes] | None:
    found = sorted(grams_of(folded(text)))
    return frozenset(found[:: -(-len(found) // MAX_GRAMS)]) if found else None


def grams_in(need: TextNeed) -> Iterator[bytes]:
    """Yield every gram that a need names."""
    if isinstance(need, frozenset):
        yield from need
    else:
        for part in need.parts:
            yield from grams_in(part)


def tiles_of(need: TextNeed, tiles_with: Callable[[bytes], int]) -> int:
    """Return the tiles, each a bit, that may hold what is needed; `tiles_with(gram)` tells those with a gram."""
    if isinstance(need, AnyOf):
        tiles = 0
        for part in need.parts:
            tiles |= tiles_of(part, tiles_with)
        return tiles
    tiles = -1
    for part in need.parts if isinstance(need, AllOf) else ():
        tiles &= tiles_of(part, tiles_with)
    for gram in need if isinstance(need, frozenset) else ():
        tiles &= tiles_with(gram)
    return tiles
