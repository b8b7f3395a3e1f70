"""Values that are known only when a filter is used, put into its syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from auditd.filter._ast import And, Comparison, Filter, FreeText, Not, Or, Relative, Value
from auditd.filter._values import time_at

NS_PER_S = 1_000_000_000


def substitute(tree: Filter, value_of: Callable[[Comparison], Value]) -> Filter:
    """Return the filter with the value of each comparison replaced by `value_of(comparison)`.

    What is put in was never text of a filter, so nothing in it can change what the filter means.
    """
    match tree:
        case And(terms) | Or(terms):
            return replace(tree, terms=tuple(substitute(term, value_of) for term in terms))
        case Not(term):
            return Not(substitute(term, value_of))
        case Comparison():
            return replace(tree, value=value_of(tree))
        case FreeText():
            return tree


def bind(tree: Filter, now_ns: int) -> Filter:
    """Return the filter with each time relative to now made one of the clock.

    Args:
        tree: the filter.
        now_ns: the moment of the query, in nanoseconds since 1970. All pages of a query MUST use the same.

    """
    seconds, nanos = divmod(now_ns, NS_PER_S)

    def value_of(comparison: Comparison) -> Value:
        value = comparison.value
        return time_at(seconds + value.offset_s, nanos) if isinstance(value, Relative) else value

    return substitute(tree, value_of)
