"""Syntax tree to predicate over a parsed leaf."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

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
    Relative,
    Text,
    Time,
)
from auditd.filter._fields import Field, Kind, field_at
from auditd.filter._values import address_of, leaf_time

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
_Test: TypeAlias = Callable[[Any], bool]
_ABSENT = object()
_SEALED_HASH = re.compile(r"[0-9a-f]{64}")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_predicate(tree: Filter) -> Predicate:
    """Return a function that tells whether a filter selects an entry, given as its parsed leaf.

    The function never raises and never changes the entry. A sealed value is present and equals nothing.

    Raises:
        ValueError: a relative time was not bound to the moment of the query.

    """
    match tree:
        case And(terms):
            return _all([compile_predicate(term) for term in terms])
        case Or(terms):
            return _any([compile_predicate(term) for term in terms])
        case Not(term):
            inner = compile_predicate(term)
            return lambda entry: not inner(entry)
        case FreeText(text):
            return _free_text(text)
        case Comparison():
            return _comparison(tree)


def is_sealed(value: object) -> bool:
    """Tell whether a value of an event stands sealed: `{"sealed": "<64 hex digits>"}`, which no caller can send.

    Any other object is what a caller sent, and must be found whatever its keys.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return False
    sealed = value.get("sealed")
    return isinstance(sealed, str) and _SEALED_HASH.fullmatch(sealed) is not None


def _all(predicates: list[Predicate]) -> Predicate:
    def predicate(entry: Mapping[str, Any]) -> bool:
        for each in predicates:  # noqa: SIM110  a generator costs more than the terms themselves
            if not each(entry):
                return False
        return True

    return predicate


def _any(predicates: list[Predicate]) -> Predicate:
    def predicate(entry: Mapping[str, Any]) -> bool:
        for each in predicates:  # noqa: SIM110
            if each(entry):
                return True
        return False

    return predicate


def _free_text(text: str) -> Predicate:
    needle = text.casefold()

    def predicate(entry: Mapping[str, Any]) -> bool:
        pending = [entry.get("event")]
        while pending:
            value = pending.pop()
            if isinstance(value, str):
                if needle in value.casefold():
                    return True
            elif isinstance(value, dict):
                if not is_sealed(value):
                    pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)
        return False

    return predicate


def _comparison(comparison: Comparison) -> Predicate:
    field = field_at(comparison.path)
    steps = ("event", *field.path) if field.in_event else field.path
    if isinstance(comparison.value, Present):
        return _present(steps)
    if isinstance(comparison.value, Relative):
        raise ValueError("a relative time without the moment of the query")
    read = _scalars(steps, field, keys=comparison.operator == ":")
    test = _ordered(comparison) if comparison.operator in _ORDER else _equals(field, comparison)
    if comparison.operator == "!=":
        return _unequal(read, test)
    return lambda entry: any(test(value) for value in read(entry))


def _unequal(read: Callable[[Mapping[str, Any]], Iterator[Any]], equal: _Test) -> Predicate:
    """`!=` holds where there is a value to compare, and none is equal."""

    def predicate(entry: Mapping[str, Any]) -> bool:
        found = False
        for value in read(entry):
            if equal(value):
                return False
            found = True
        return found

    return predicate


def _present(steps: tuple[str, ...]) -> Predicate:
    return lambda entry: any(value != {} for value in _values(entry, steps))


def _values(entry: Mapping[str, Any], steps: tuple[str, ...]) -> list[Any]:
    """Return what stands at a path; a list on the way stands for each of its elements."""
    nodes: list[Any] = [entry]
    for step in steps:
        objects = [node for node in nodes if isinstance(node, dict) and not is_sealed(node)]
        nodes = _flat([node[step] for node in objects if step in node])
    return nodes


def _flat(values: list[Any]) -> list[Any]:
    if not any(isinstance(value, list) for value in values):
        return values
    flat: list[Any] = []
    pending = values[::-1]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        else:
            flat.append(value)
    return flat


def _scalars(steps: tuple[str, ...], field: Field, *, keys: bool) -> Callable[[Mapping[str, Any]], Iterator[Any]]:
    """Return a reader of the values at a path that can be compared.

    Args:
        steps: the path, from the leaf.
        field: the field there.
        keys: whether an object among attributes stands for its keys.

    """

    def read_one(entry: Mapping[str, Any]) -> Iterator[Any]:
        node: Any = entry
        for step in steps:
            if not isinstance(node, dict):
                return
            node = node.get(step, _ABSENT)
        if node is not _ABSENT and not isinstance(node, dict):
            yield node

    def read_all(entry: Mapping[str, Any]) -> Iterator[Any]:
        for value in _values(entry, steps):
            if not isinstance(value, dict):
                yield value
            elif keys and field.kind is Kind.ANY and not is_sealed(value):
                yield from value

    return read_all if field.repeated else read_one


def _equals(field: Field, comparison: Comparison) -> _Test:
    match comparison.value:
        case Network(version, low, high):
            return lambda value: _in_network(value, version, low, high)
        case Time(canonical):
            return lambda value: leaf_time(value) == canonical
        case Period(start, end):
            return lambda value: (time := leaf_time(value)) is not None and start <= time < end
        case Number(number, text):
            if field.kind is Kind.ANY:
                return lambda value: value == text or (_is_number(value) and value == number)
            return lambda value: bool(value == number)
        case Constant(constant, text):
            return lambda value: value is constant or value == text
        case Pattern():
            return _matches(comparison.value)
        case Text(text):
            return lambda value: bool(value == text)
        case _:
            raise AssertionError(comparison)


def _ordered(comparison: Comparison) -> _Test:
    compare = _ORDER[comparison.operator]
    match comparison.value:
        case Period(start, end):
            # Before a period is before its start, after it is not before its end.
            edge = start if comparison.operator in {"<", ">="} else end
            compare = operator.lt if comparison.operator in {"<", "<="} else operator.ge
            return lambda value: (time := leaf_time(value)) is not None and compare(time, edge)
        case Time(canonical):
            return lambda value: (time := leaf_time(value)) is not None and compare(time, canonical)
        case Number(number):
            return lambda value: _is_number(value) and compare(value, number)
        case Text(text):
            return lambda value: isinstance(value, str) and compare(value, text)
        case _:
            raise AssertionError(comparison)


def _matches(pattern: Pattern) -> _Test:
    text = pattern.text
    if pattern.before and pattern.after:
        return lambda value: isinstance(value, str) and text in value
    if pattern.before:
        return lambda value: isinstance(value, str) and value.endswith(text)
    return lambda value: isinstance(value, str) and value.startswith(text)


def _in_network(value: object, version: int, low: int, high: int) -> bool:
    address = address_of(value) if isinstance(value, str) else None
    return address is not None and address[0] == version and low <= address[1] <= high


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
