"""From a filter to the least that an entry must have: a full-text query and bounds of index and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from auditd.filter import And, Comparison, Filter, FreeText, Not, Number, Or, Time
from auditd.query._terms import term_for

_LAST_INDEX = 2**63 - 1
_FIRST_TIME, _LAST_TIME = "", "~"  # before and after every canonical time


@dataclass(frozen=True, slots=True)
class Bounds:
    """Indexes and canonical times of recording, ends included, outside of which nothing is selected."""

    first: int = 0
    last: int = _LAST_INDEX
    earliest: str = _FIRST_TIME
    latest: str = _LAST_TIME

    def both(self, other: Bounds) -> Bounds:
        """Return what lies within both."""
        return Bounds(
            max(self.first, other.first),
            min(self.last, other.last),
            max(self.earliest, other.earliest),
            min(self.latest, other.latest),
        )

    def either(self, other: Bounds) -> Bounds:
        """Return the least bounds around both."""
        return Bounds(
            min(self.first, other.first),
            max(self.last, other.last),
            min(self.earliest, other.earliest),
            max(self.latest, other.latest),
        )

    @property
    def limits_time(self) -> bool:
        """Whether a time of recording lies outside."""
        return self.earliest != _FIRST_TIME or self.latest != _LAST_TIME


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What every selected entry fulfils: an FTS5 query, where not None, and bounds.

    `has_prefix` tells that the query looks for beginnings of terms, which costs the more the more there are.
    """

    match: str | None = None
    has_prefix: bool = False
    bounds: Bounds = Bounds()


_ANYTHING = Narrowing()


def narrow(tree: Filter) -> Narrowing:
    """Return what every entry that a filter selects fulfils; entries that it does not select may, too."""
    match tree:
        case And(terms):
            return _joined(terms, "AND", Bounds.both)
        case Or(terms) if terms:
            return _joined(terms, "OR", Bounds.either)
        case Comparison():
            return _comparison(tree)
        case Or() | Not() | FreeText():
            return _ANYTHING


def _joined(terms: tuple[Filter, ...], connector: str, join: Callable[[Bounds, Bounds], Bounds]) -> Narrowing:
    parts = [narrow(term) for term in terms]
    matches = [part.match for part in parts if part.match is not None]
    if connector == "OR" and len(matches) < len(parts):
        matches = []
    return Narrowing(
        f" {connector} ".join(f"({match})" for match in matches) or None,
        any(part.has_prefix for part in parts),
        reduce(join, [part.bounds for part in parts]) if parts else Bounds(),
    )


def _comparison(comparison: Comparison) -> Narrowing:
    match comparison.path, comparison.value:
        case ("index",), Number(number):
            return Narrowing(bounds=_index_bounds(comparison.operator, int(number)))
        case ("recorded_at",), Time(time):
            return Narrowing(bounds=_time_bounds(comparison.operator, time))
    term = term_for(comparison)
    if term is None:
        return _ANYTHING
    quoted = '"' + term.text.replace('"', '""') + '"'
    return Narrowing(quoted + " *" if term.prefix else quoted, term.prefix)


def _index_bounds(operator: str, number: int) -> Bounds:
    match operator:
        case "=" | ":":
            return Bounds(first=number, last=number)
        case "<":
            return Bounds(last=number - 1)
        case "<=":
            return Bounds(last=number)
        case ">":
            return Bounds(first=number + 1)
        case ">=":
            return Bounds(first=number)
    return Bounds()


def _time_bounds(operator: str, time: str) -> Bounds:
    match operator:
        case "=" | ":":
            return Bounds(earliest=time, latest=time)
        case "<" | "<=":
            return Bounds(latest=time)
        case ">" | ">=":
            return Bounds(earliest=time)
    return Bounds()
