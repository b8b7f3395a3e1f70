"""Measures of what happens: plain numbers, cheap enough for every call, read by whoever shows them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values as they were counted: `counts[i]` at most `bounds[i]` and above the bound before; the last above all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Their mean; 0 if there are none."""
        return self.total / max(1, self.count)

    def at_most(self, share: float) -> float:
        """Return the lowest bound that this share of the values does not pass, infinity above the last; 0 for none."""
        wanted, seen = share * self.count, 0
        if not wanted:
            return 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return float("inf")


class Histogram:
    """Counts values by size. One thread adds at a time; any thread may read."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """Return what was counted until now."""
        return Distribution(self._bounds, tuple(self._counts), self._total)
