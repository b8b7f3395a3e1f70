"""The syntax tree of a filter: frozen, hashable, with every value already typed by its field.

A tree holds nothing of the text it came from, so parts of it can be built or replaced by code: a value that
is not known before a call, such as a claim of a scope, enters as a `Text` and is never parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", ":"]


@dataclass(frozen=True, slots=True)
class Text:
    """A string, taken literally: `*` has no meaning in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string with `*` at its start (`before`), its end (`after`), or both."""

    text: str
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A number: `int` where 64 bits hold it, else `float`; `text` as it was written."""

    value: int | float
    text: str


@dataclass(frozen=True, slots=True)
class Constant:
    """`true`, `false` or `null`, compared with an attribute."""

    value: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Time:
    """A time in UTC, in the form that `canonical_time` gives."""

    canonical: str


@dataclass(frozen=True, slots=True)
class Period:
    """The times from `start` on and before `end`, both in the form that `canonical_time` gives."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Relative:
    """A time `offset_s` seconds after the moment of the query; `bind` puts a `Time` in its place."""

    offset_s: int


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses from `low` to `high`, both included, of IP version 4 or 6."""

    version: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Present:
    """`*`: any value at all."""


Value: TypeAlias = Text | Pattern | Number | Constant | Time | Period | Relative | Network | Present


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, by its path, compared with a value that `typed_value` made for it."""

    path: tuple[str, ...]
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class FreeText:
    """Text that occurs, in any case, in any string of the event."""

    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """What `term` does not select."""

    term: Filter


@dataclass(frozen=True, slots=True)
class And:
    """What every term selects; without terms, everything."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What at least one term selects; without terms, nothing."""

    terms: tuple[Filter, ...]


Filter: TypeAlias = And | Or | Not | Comparison | FreeText
EVERYTHING = And(())
