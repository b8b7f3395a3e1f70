"""Which of some filters select which of some leaves, each leaf parsed once at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from auditd.filter import Filter, Sieve, compile_predicate
from auditd.query._leaf import parse_leaf
from auditd.query._source import Source

_FEW = 3


class Matcher:
    """One filter over leaves as they come: the sieve spares what it can, the predicate decides the rest."""

    __slots__ = ("_predicate", "sieve", "tree")

    def __init__(self, tree: Filter) -> None:
        self.tree = tree
        self.sieve = Sieve(tree)
        self._predicate = compile_predicate(tree)

    def selects(self, entry: dict[str, Any]) -> bool:
        """Whether the filter selects an entry, given as its parsed leaf."""
        return self._predicate(entry)

    def read(self, source: Source, start: int, end: int) -> list[tuple[int, bytes]]:
        """Return what the filter selects of `[start, end)`, as (index, leaf); raises as `Source.leaves` does."""
        sifted = source.sift(start, end, self.sieve)
        return [(index, leaf) for index, leaf, sure in sifted if sure or self._predicate(parse_leaf(leaf))]


def match(
    leaves: Sequence[bytes], first: int, matchers: Sequence[Matcher], stopped: Callable[[], bool]
) -> tuple[list[list[tuple[int, bytes]]], int]:
    """Return what each matcher selects, as (index, leaf), and the index behind the last leaf looked at.

    `stopped` is asked between leaves; once it is true the rest is left. At least one leaf is looked at.
    """
    # Each sieve reads the leaf; of many, parsing it once for all costs less.
    few = len(matchers) <= _FEW
    found_by: list[list[tuple[int, bytes]]] = [[] for _ in matchers]
    for index, leaf in enumerate(leaves, first):
        if index > first and stopped():
            return found_by, index
        entry: dict[str, Any] | None = None
        for matcher, found in zip(matchers, found_by, strict=True):
            selected = matcher.sieve.judge(leaf) if few else None
            if selected is None:
                entry = entry if entry is not None else parse_leaf(leaf)
                selected = matcher.selects(entry)
            if selected:
                found.append((index, leaf))
    return found_by, first + len(leaves)
