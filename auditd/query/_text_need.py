"""Which grams an entry must have for a filter to select it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from auditd.filter import Comparison, FreeText, Pattern, Text, field_at
from auditd.query._grams import folded, grams_of
from auditd.query._need import AllOf, AnyOf, Need

MAX_GRAMS = 48
"""Grams looked for on account of one text; more would cost more than they exclude."""


Tiles: TypeAlias = Mapping[int, int]
# A set of grams is needed whole.
TextNeed: TypeAlias = Need[frozenset[bytes]]


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


def tiles_of(need: TextNeed, among: Tiles, tiles_with: Callable[[bytes, Tiles], Tiles]) -> Tiles:
    """Return the tiles that may hold what is needed, of those given; `tiles_with(gram, among)` tells those with a gram.

    Tiles are bits, those of a block together.
    """
    if isinstance(need, AnyOf):
        found: dict[int, int] = {}
        for part in need.parts:
            for block, tiles in tiles_of(part, among, tiles_with).items():
                found[block] = found.get(block, 0) | tiles
        return found
    if isinstance(need, AllOf):
        for part in need.parts:
            among = tiles_of(part, among, tiles_with)
        return among
    for gram in need:
        if not among:
            break
        among = tiles_with(gram, among)
    return among
