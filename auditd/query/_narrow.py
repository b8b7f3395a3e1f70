"""From a filter to the least that an entry must have: a full-text query and bounds of index and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from auditd.filter import And, Comparison, Filter, FreeText, Not, Number, Or, Time
from auditd.query._terms import term_for

_LAST_INDEX = 2**63 - 1
# FTS5 gathers every term with a prefix before it gives the first row, and nothing stops it meanwhile.
_MAX_PREFIXES = 4
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

    `prefixes` counts the beginnings of terms that the query looks for.
    """

    match: str | None = None
    prefixes: int = 0
    bounds: Bounds = Bounds()


_ANYTHING = Narrowing()


def narrow(tree: Filter) -> Narrowing:
    """Return what every entry that a filter selects fulfils; entries that it does not select may, too."""
    narrowing = _narrow(tree, with_prefixes=True)
    if narrowing.prefixes > _MAX_PREFIXES:
        return _narrow(tree, with_prefixes=False)
    return narrowing


def _narrow(tree: Filter, *, with_prefixes: bool) -> Narrowing:
    match tree:
        case And(terms):
            return _both([_narrow(term, with_prefixes=with_prefixes) for term in terms])
        case Or(terms) if terms:
            return _either([_narrow(term, with_prefixes=with_prefixes) for term in terms])
        case Comparison():
            narrowing = _comparison(tree)
            return narrowing if with_prefixes or not narrowing.prefixes else _ANYTHING
        case Or() | Not() | FreeText():
            return _ANYTHING


def _both(parts: list[Narrowing]) -> Narrowing:
    known = [part for part in parts if part.match is not None]
    bounds = reduce(Bounds.both, [part.bounds for part in parts], Bounds())
    return Narrowing(_joined(known, "AND"), sum(part.prefixes for part in known), bounds)


def _either(parts: list[Narrowing]) -> Narrowing:
    bounds = reduce(Bounds.either, [part.bounds for part in parts])
    if any(part.match is None for part in parts):
        return Narrowing(bounds=bounds)
    return Narrowing(_joined(parts, "OR"), sum(part.prefixes for part in parts), bounds)


def _joined(parts: list[Narrowing], connector: str) -> str | None:
    return f" {connector} ".join(dict.fromkeys(f"({part.match})" for part in parts)) or None


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
    return Narrowing(quoted + " *", prefixes=1) if term.prefix else Narrowing(quoted)


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
