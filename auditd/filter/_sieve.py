"""Syntax tree to a test over a leaf's bytes that spares most leaves the parsing."""

from __future__ import annotations

from typing import Any

from auditd._native import native
from auditd.filter._ast import (
    And,
    Comparison,
    Constant,
    Filter,
    FreeText,
    Network,
    Not,
    Number,
    Or,
    Pattern,
    Period,
    Present,
    Text,
    Time,
)
from auditd.filter._fields import Kind, field_at
from auditd.filter._raw import compile_raw

_ORDER = frozenset({"<", "<=", ">", ">="})
_UNKNOWN: tuple[Any, ...] = ("unknown",)


class Sieve:
    """What the bytes of leaves say of a filter; the predicate decides what they leave open.

    `native` is the same for native code, where that is used: a test of many leaves at once, which knows more.
    """

    __slots__ = ("_raw", "native")

    def __init__(self, tree: Filter) -> None:
        self.native = native.Sieve(program(tree)) if native is not None else None
        self._raw = compile_raw(tree)

    def judge(self, leaf: bytes) -> bool | None:
        """Tell whether the filter selects a leaf; None where its bytes do not say for certain."""
        if self.native is not None:
            return self.native.judge(leaf)
        if self._raw is None or self._raw(leaf):
            return None
        return False


def program(tree: Filter) -> tuple[Any, ...]:
    """Return a filter in the form that native code takes.

    It is one of `("and", terms)`, `("or", terms)`, `("not", term)`, `("text", folded)`, `("unknown",)`, and
    `("test", path, lists, unequal, test)`: at `path` a list stands for its elements, if `lists`, and one value must
    pass `test`; if `unequal` none may, and there must be one. Tests are named as in `_test` and `_ordered`.
    """
    match tree:
        case And(terms):
            return "and", tuple(map(program, terms))
        case Or(terms):
            return "or", tuple(map(program, terms))
        case Not(term):
            return "not", program(term)
        case FreeText(text):
            # Letters beyond ASCII may fold to ASCII, so what they say is left open, on both sides.
            folded = text.casefold()
            return ("text", folded.encode()) if folded.isascii() else _UNKNOWN
        case Comparison():
            return _comparison(tree)


def _comparison(comparison: Comparison) -> tuple[Any, ...]:
    field = field_at(comparison.path)
    steps = tuple(step.encode("utf-8", "surrogatepass") for step in field.path)
    if isinstance(comparison.value, Present):
        test: tuple[Any, ...] | None = ("present",)
        lists = True
    else:
        test = _ordered(comparison) if comparison.operator in _ORDER else _equal(comparison, field.kind)
        lists = field.repeated
    if test is None:
        return _UNKNOWN
    if comparison.operator == ":" and field.kind is Kind.ANY and test != ("present",):
        test = ("names", test)
    path = (b"event", *steps) if field.in_event else steps
    return "test", path, lists, comparison.operator == "!=", test


def _equal(comparison: Comparison, kind: Kind) -> tuple[Any, ...] | None:
    match comparison.value:
        case Text(text):
            return "text", _utf8(text)
        case Pattern(text, before=before, after=after):
            return ("holds" if before and after else "ends" if before else "starts"), _utf8(text)
        case Time(canonical):
            return "time", _utf8(canonical)
        case Period(start, end):
            return "period", _utf8(start), _utf8(end)
        case Number(number, text) if _fits(number):
            return "number", number, _utf8(text) if kind is Kind.ANY else None
        case Constant(constant, text):
            return "constant", constant, _utf8(text)
        case Network(version, low, high):
            return "network", version, low, high
        case _:
            return None


def _ordered(comparison: Comparison) -> tuple[Any, ...] | None:
    operator = comparison.operator
    match comparison.value:
        case Period(start, end):
            # Before a period is before its start, after it is not before its end.
            edge = start if operator in {"<", ">="} else end
            return "time order", "<" if operator in {"<", "<="} else ">=", _utf8(edge)
        case Time(canonical):
            return "time order", operator, _utf8(canonical)
        case Number(number) if _fits(number):
            return "number order", operator, number
        case Text(text):
            return "text order", operator, _utf8(text)
        case _:
            return None


def _fits(number: float) -> bool:
    return isinstance(number, float) or -(2**63) <= number < 2**63


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
