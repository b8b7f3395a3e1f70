"""Which of some filters select which of some leaves, each leaf parsed once at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from auditd.filter import EVERYTHING, Filter, compile_predicate, compile_raw
from auditd.query._leaf import parse_leaf


class Matcher:
    """One filter over leaves as they come."""

    __slots__ = ("_predicate", "_raw", "tree")

    def __init__(self, tree: Filter) -> None:
        self.tree = tree
        self._raw = compile_raw(tree)
        self._predicate = None if tree == EVERYTHING else compile_predicate(tree)

    def may_select(self, leaf: bytes) -> bool:
        """Whether the leaf's bytes leave it open that it is selected."""
        return self._raw is None or self._raw(leaf)

    def selects(self, entry: dict[str, Any]) -> bool:
        """Whether the filter selects an entry, given as its parsed leaf."""
        return self._predicate is None or self._predicate(entry)

    @property
    def selects_everything(self) -> bool:
        """Whether no leaf need be looked at."""
        return self._predicate is None


def match(
    leaves: Sequence[bytes], first: int, matchers: Sequence[Matcher], stopped: Callable[[], bool]
) -> tuple[list[list[tuple[int, bytes]]], int]:
    """Return what each matcher selects, as (index, leaf), and the index behind the last leaf looked at.

    `stopped` is asked between leaves; once it is true the rest is left. At least one leaf is looked at.
    """
    selected: list[list[tuple[int, bytes]]] = [[] for _ in matchers]
    for index, leaf in enumerate(leaves, first):
        if index > first and stopped():
            return selected, index
        entry: dict[str, Any] | None = None
        for matcher, found in zip(matchers, selected, strict=True):
            if matcher.selects_everything:
                found.append((index, leaf))
            elif matcher.may_select(leaf):
                entry = entry if entry is not None else parse_leaf(leaf)
                if matcher.selects(entry):
                    found.append((index, leaf))
    return selected, first + len(leaves)
