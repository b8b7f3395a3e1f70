"""From a filter to the least that an entry must have: terms, grams, bounds of index and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce

from auditd.filter import And, Comparison, Filter, FreeText, Not, Number, Or, Period, Time, describe
from auditd.query._index_snapshot import FieldNeed
from auditd.query._need import AllOf, AnyOf, Need, T
from auditd.query._terms import term_for
from auditd.query._text_need import TextNeed, text_need

_LAST_INDEX = 2**63 - 1
# Every term with a prefix is looked at in each run, and nothing stops it meanwhile.
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
    def limits_index(self) -> bool:
        """Whether an index lies outside."""
        return self.first > 0 or self.last < _LAST_INDEX

    @property
    def limits_time(self) -> bool:
        """Whether a time of recording lies outside."""
        return self.earliest != _FIRST_TIME or self.latest != _LAST_TIME


class By(Enum):
    """What narrows a search."""

    RANGE = "range"
    FIELDS = "fields"
    TEXT = "text"
    EVENT_TIME = "event time"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What every selected entry fulfils: terms and grams, where not None, bounds, and bounds of event time.

    `prefixes` counts the beginnings among the terms; `reasons` are the parts of the filter that
    each of these comes from.
    """

    fields: FieldNeed | None = None
    prefixes: int = 0
    text: TextNeed | None = None
    bounds: Bounds = Bounds()
    event_time: Bounds = Bounds()
    reasons: tuple[tuple[By, str], ...] = ()


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
            return narrowing if with_prefixes or not narrowing.prefixes else _text(tree)
        case FreeText():
            return _text(tree)
        case Or() | Not():
            return _ANYTHING


def _both(parts: list[Narrowing]) -> Narrowing:
    return Narrowing(
        _joined(AllOf, [part.fields for part in parts if part.fields is not None]),
        sum(part.prefixes for part in parts),
        _joined(AllOf, [part.text for part in parts if part.text is not None]),
        reduce(Bounds.both, [part.bounds for part in parts], Bounds()),
        reduce(Bounds.both, [part.event_time for part in parts], Bounds()),
        tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
    )


def _either(parts: list[Narrowing]) -> Narrowing:
    fields = [part.fields for part in parts if part.fields is not None]
    texts = [part.text for part in parts if part.text is not None]
    field = _joined(AnyOf, fields) if len(fields) == len(parts) else None
    text = _joined(AnyOf, texts) if len(texts) == len(parts) else None
    bounds = reduce(Bounds.either, [part.bounds for part in parts])
    event_time = reduce(Bounds.either, [part.event_time for part in parts])
    effective = {
        By.FIELDS: field is not None,
        By.TEXT: text is not None,
        By.RANGE: bounds != Bounds(),
        By.EVENT_TIME: event_time != Bounds(),
    }
    reasons = dict.fromkeys(reason for part in parts for reason in part.reasons if effective[reason[0]])
    prefixes = sum(part.prefixes for part in parts) if field is not None else 0
    return Narrowing(field, prefixes, text, bounds, event_time, tuple(reasons))


def _joined(join: Callable[[tuple[Need[T], ...]], AllOf[T] | AnyOf[T]], parts: Sequence[Need[T]]) -> Need[T] | None:
    distinct = tuple(dict.fromkeys(parts))
    if len(distinct) > 1:
        return join(distinct)
    return distinct[0] if distinct else None


def _comparison(comparison: Comparison) -> Narrowing:
    operator = comparison.operator
    match comparison.path, comparison.value:
        case ("index",), Number(number):
            return _ranged(comparison, _index_bounds(operator, int(number)))
        case ("recorded_at",), Time() | Period() as time:
            return _ranged(comparison, _time_bounds(operator, time))
        case ("time",), Time() | Period() as time:
            bounds = _time_bounds(operator, time)
            reasons = ((By.EVENT_TIME, describe(comparison)),) if bounds != Bounds() else ()
            return Narrowing(event_time=bounds, reasons=reasons)
    term = term_for(comparison)
    if term is None:
        return _text(comparison)
    return Narrowing(term, int(term.prefix), reasons=((By.FIELDS, describe(comparison)),))


def _text(term: Comparison | FreeText) -> Narrowing:
    need = text_need(term)
    return _ANYTHING if need is None else Narrowing(text=need, reasons=((By.TEXT, describe(term)),))


def _ranged(comparison: Comparison, bounds: Bounds) -> Narrowing:
    return Narrowing(bounds=bounds, reasons=((By.RANGE, describe(comparison)),) if bounds != Bounds() else ())


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


def _time_bounds(operator: str, time: Time | Period) -> Bounds:
    start, end = (time.start, time.end) if isinstance(time, Period) else (time.canonical, time.canonical)
    match operator:
        case "=" | ":":
            return Bounds(earliest=start, latest=end)
        case "<":
            return Bounds(latest=start)
        case "<=":
            return Bounds(latest=end)
        case ">":
            return Bounds(earliest=end)
        case ">=":
            return Bounds(earliest=start)
    return Bounds()
