"""Counting what a filter selects: all, by fields, over time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from auditd.filter import EVERYTHING, Filter
from auditd.query._chain import ChainSearch
from auditd.query._dimension import Dimension, Value, compile_dimension, json_of
from auditd.query._leaf import parse_leaf
from auditd.query._search import Search

MAX_KEPT_GROUPS = 65_536
MAX_KEPT_BYTES = 16 * 1024 * 1024

_Key: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries alike: a value for each dimension, as JSON, empty if there is none; and how many they are."""

    values: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts over the entries in `[first_index, next_index)`.

    `count` is exact. `unlisted_count` says how often an entry fell into a group that is not listed, `unlisted_max` the
    most that any one of those may have, `max_error` how much too low a listed count may be: 0, they are exact.
    """

    count: int
    groups: list[Group]
    unlisted_count: int
    unlisted_max: int
    max_error: int
    next_index: int
    examined: int


def aggregate(
    search: Search | ChainSearch,
    tree: Filter,
    by: Sequence[Dimension],
    *,
    first_index: int,
    tree_size: int,
    max_groups: int,
    max_bytes: int,
    stopped: Callable[[], bool],
    use_index: bool = True,
) -> Counted:
    """Count what a filter selects of `[first_index, tree_size)`, in one pass; up to where it was stopped.

    The groups with the highest counts are listed, at most `max_groups` with `max_bytes` of values; highest first, but
    by time if that is the first dimension. Some progress is made in any case.

    Raises DamagedError: a leaf that had to be read is not the one in the tree.
    """
    if tree == EVERYTHING and not by:
        # The tree itself says how many there are.
        return Counted(tree_size - first_index, [], 0, 0, 0, tree_size, 0)
    tally = _Tally(by)
    count = examined = 0
    next_index = first_index
    for step in search.walk(tree, first_index, tree_size, stopped, use_index=use_index):
        if by:
            tally.add(map(parse_leaf, step.leaves))
        count += len(step.leaves)
        examined += step.examined
        next_index = max(next_index, step.next_index)
    groups, unlisted_max = tally.listed(max_groups, max_bytes)
    unlisted = tally.occurrences - sum(group.count for group in groups)
    return Counted(count, groups, unlisted, unlisted_max, tally.max_error, next_index, examined)


class _Tally:
    """Counts groups in bounded memory: exact, until there are too many; then as Misra and Gries do.

    Of too many groups the lower half goes, and all others lose as much as the highest of those had. So a count is too
    low by at most `max_error`, and a group that is gone had no more than that.
    """

    def __init__(self, by: Sequence[Dimension]) -> None:
        self._by = by
        self._readers = [compile_dimension(dimension) for dimension in by]
        self._counts: dict[_Key, int] = {}
        self._bytes = 0
        self.occurrences = 0
        self.max_error = 0

    def add(self, entries: Iterable[dict[str, object]]) -> None:
        """Count entries."""
        counts, readers = self._counts, self._readers
        for entry in entries:
            for key in product(*[read(entry) for read in readers]):
                self.occurrences += 1
                known = counts.get(key)
                if known is None:
                    counts[key] = 1
                    self._bytes += _bytes(key)
                else:
                    counts[key] = known + 1
            if len(counts) > MAX_KEPT_GROUPS or self._bytes > MAX_KEPT_BYTES:
                self._forget()
                counts = self._counts

    def _forget(self) -> None:
        least = sorted(self._counts.values())[len(self._counts) // 2]
        self._counts = {key: count - least for key, count in self._counts.items() if count > least}
        self._bytes = sum(map(_bytes, self._counts))
        self.max_error += least

    def listed(self, max_groups: int, max_bytes: int) -> tuple[list[Group], int]:
        """Return the groups to list, and the most that any other may have."""
        best = heapq.nlargest(max_groups + 1, self._counts.items(), key=lambda item: (item[1], _order(item[0])))
        groups: list[tuple[_Key, Group]] = []
        size = 0
        unlisted_max = self.max_error
        for key, count in best:
            values = tuple(map(json_of, key))
            size += sum(map(len, values))
            if len(groups) == max_groups or (groups and size > max_bytes):
                unlisted_max = count + self.max_error
                break
            groups.append((key, Group(values, count)))
        if self._by and self._by[0].bucket_s:
            groups.sort(key=lambda item: _order(item[0]))
        return [group for _, group in groups], unlisted_max


def _bytes(key: _Key) -> int:
    return sum(len(value) for value in key if isinstance(value, (str, bytes)))


def _order(key: _Key) -> tuple[tuple[int, int, str], ...]:
    """Return what makes an order of keys, whatever their values."""
    return tuple(
        (0, 0, "") if value is None
        else (1, value, "") if isinstance(value, int)
        else (2, 0, value if isinstance(value, str) else value.decode())
        for value in key
    )  # fmt: skip
