"""What entries are counted by: from a parsed leaf to its values, each a text or a JSON scalar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

import orjson

from auditd.errors import InvalidRequestError, Violation
from auditd.filter import Comparison, Kind, Present, field_at, parse

MAX_BUCKET_S = 366 * 86_400
MAX_VALUES = 64
"""Values of one field for which an entry counts; with more, pairs of them would be without bound."""
_MAX_MINUTES = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Value: TypeAlias = str | bytes | int | None
"""A text, the JSON of another scalar, the start of a bucket in seconds since 1970, or nothing to compare."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A field by its path; for one that holds a time the width of its buckets in seconds, else 0."""

    path: tuple[str, ...]
    bucket_s: int = 0

    @classmethod
    def of(cls, name: str, bucket_s: int, where: str) -> Dimension:
        """Return the dimension of a field named as in filters; `where` is its place in the request.

        Raises InvalidRequestError `INVALID_DIMENSION` for no field, a group of them, or a width that does not suit it.
        """
        path = _path(name, where)
        kind = field_at(path).kind
        if kind is Kind.MESSAGE:
            raise _refusal(f"{where}.field", f"{name} is a group of fields; name one of them")
        if kind is Kind.TIME and not 1 <= bucket_s <= MAX_BUCKET_S:
            raise _refusal(f"{where}.bucket_s", f"{bucket_s}, must be 1 to {MAX_BUCKET_S}, for {name} is a time")
        if kind is not Kind.TIME and bucket_s:
            raise _refusal(f"{where}.bucket_s", f"{bucket_s}, must be 0, for {name} is no time")
        return cls(path, bucket_s)


def compile_dimension(dimension: Dimension) -> Callable[[Mapping[str, Any]], Sequence[Value]]:
    """Return a function from a parsed leaf to the distinct values that it has; `(None,)` if it has none."""
    field = field_at(dimension.path)
    steps = ("event", *field.path) if field.in_event else field.path
    if dimension.bucket_s:
        return _bucket_reader(steps, dimension.bucket_s)
    return _repeated_reader(steps) if field.repeated else _plain_reader(steps)


def json_of(value: Value) -> str:
    """Return a value as JSON; empty if there is none."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f'"{(_EPOCH + timedelta(seconds=value)).strftime("%Y-%m-%dT%H:%M:%SZ")}"'
    return value.decode() if isinstance(value, bytes) else orjson.dumps(value).decode()


def _path(name: str, where: str) -> tuple[str, ...]:
    try:
        # A field is written here as in filters, and what is wrong with it said as there.
        tree = parse(f"{name}:*")
    except InvalidRequestError as error:
        raise _refusal(f"{where}.field", error.violations[0].description if error.violations else str(error)) from error
    if not isinstance(tree, Comparison) or tree.operator != ":" or not isinstance(tree.value, Present):
        raise _refusal(f"{where}.field", f"{name[:80]!r} is no field")
    return tree.path


def _plain_reader(steps: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Value]]:
    def read(entry: Mapping[str, Any]) -> Sequence[Value]:
        node: Any = entry
        for step in steps:
            node = node.get(step) if isinstance(node, dict) else None
        return (node if isinstance(node, str) else _scalar(node),)

    return read


def _repeated_reader(steps: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Value]]:
    def read(entry: Mapping[str, Any]) -> Sequence[Value]:
        nodes: list[Any] = [entry]
        for step in steps:
            nodes = [node[step] for node in nodes if isinstance(node, dict) and step in node]
            nodes = list(_flat(nodes))
        values = dict.fromkeys(map(_scalar, nodes))
        if len(values) > 1:
            values.pop(None, None)
        return tuple(islice(values, MAX_VALUES)) or (None,)

    return read


def _bucket_reader(steps: Sequence[str], bucket_s: int) -> Callable[[Mapping[str, Any]], Sequence[Value]]:
    minutes: dict[str, int] = {}

    def read(entry: Mapping[str, Any]) -> Sequence[Value]:
        node: Any = entry
        for step in steps:
            node = node.get(step) if isinstance(node, dict) else None
        if not isinstance(node, str):
            return (None,)
        minute = minutes.get(node[:16])
        if minute is None:
            if len(minutes) >= _MAX_MINUTES:
                minutes.clear()
            minute = minutes[node[:16]] = int(datetime.fromisoformat(node[:16] + ":00+00:00").timestamp())
        return ((minute + int(node[17:19])) // bucket_s * bucket_s,)

    return read


def _flat(nodes: Iterable[Any]) -> Iterable[Any]:
    pending = list(nodes)[::-1]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(reversed(node))
        else:
            yield node


def _scalar(node: object) -> Value:
    if isinstance(node, str):
        return node
    if node is None or isinstance(node, (dict, list)):
        return None
    if isinstance(node, float) and math.isinf(node):
        return b"1e999" if node > 0 else b"-1e999"
    return orjson.dumps(node)


def _refusal(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError("INVALID_DIMENSION", f"{field}: {problem}", [Violation(field, problem)])
