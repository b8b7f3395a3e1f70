"""Leaves as rows: columns by name, values as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._output import compact_json
from auditd_client.verify import Leaf, VerificationError

TABLE_COLUMNS = ("index", "time", "actor", "action", "outcome", "resources", "origin.ip")
CSV_COLUMNS = (
    "index", "recorded_at", "caller.kind", "caller.iss", "caller.sub",
    "id", "time", "tenant", "action", "outcome", "reason",
    "actor.type", "actor.id", "actor.name", "actor.roles", "actor.session_id", "actor.auth_method",
    "resources",
    "origin.ip", "origin.user_agent", "origin.device_id", "origin.method", "origin.endpoint",
    "origin.request_id", "origin.traceparent",
    "producer.id", "producer.seq", "attributes",
)  # fmt: skip

_ENTRY_MEMBERS = ("index", "recorded_at", "log", "salt", "caller")
_EVENT_MEMBERS = (
    "id", "time", "tenant", "action", "outcome", "reason",
    "actor", "resources", "origin", "producer", "attributes",
)  # fmt: skip


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the column names of a list with commas.

    A name is a member of the entry or its event, such as `recorded_at` or `action`, or a path into one,
    such as `actor.id` or `attributes.amount`. Raises click.BadParameter for any other.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name.partition(".")[0] not in (*_ENTRY_MEMBERS, *_EVENT_MEMBERS):
            known = ", ".join((*_ENTRY_MEMBERS, *_EVENT_MEMBERS))
            raise click.BadParameter(f"{name!r} is no column; columns are {known}, and paths such as actor.id")
    if not names:
        raise click.BadParameter("no column named")
    return names


def read_leaf(leaf: bytes, index: int) -> Leaf:
    """Return the parsed leaf. Raises CommandError if it is none, or does not say that it is entry `index`."""
    try:
        parsed = Leaf.parse(leaf)
    except VerificationError as error:
        advice = "--output jsonl prints it as it is"
        raise CommandError(f"entry {index}: {error}; {advice}", status=ExitStatus.NO) from error
    if parsed.index != index:
        raise CommandError(f"entry {index}: its leaf says it is entry {parsed.index}", status=ExitStatus.NO)
    return parsed


def row(leaf: Leaf, columns: Sequence[str]) -> list[object]:
    """Return the values of an entry's columns; what is absent is empty."""
    return [_value(leaf, column) for column in columns]


def members(leaf: Leaf) -> list[tuple[str, object]]:
    """Return every member of an entry that is present, by path, in the leaf's order."""
    found: list[tuple[str, object]] = [
        ("log", leaf.log), ("index", leaf.index), ("recorded_at", leaf.recorded_at), ("salt", leaf.salt)
    ]  # fmt: skip
    found += ((f"caller.{name}", _text(value)) for name, value in leaf.caller.items())
    for name, value in leaf.event.items():
        if isinstance(value, dict) and not _is_sealed(value):
            found += ((f"{name}.{inner}", _text(content)) for inner, content in value.items())
        elif name == "resources" and isinstance(value, list):
            found += ((f"resources[{position}]", _resource(item)) for position, item in enumerate(value))
        else:
            found.append((name, _text(value)))
    if leaf.attributes_text is not None:
        found.append(("attributes", leaf.attributes_text))
    return found


def _value(leaf: Leaf, column: str) -> object:
    if column == "index":
        return leaf.index
    name, _, path = column.partition(".")
    if name == "attributes":
        if not path:
            return leaf.attributes_text or ""
        return _text(_at(_attributes(leaf), path))
    found: Any = getattr(leaf, name) if name in _ENTRY_MEMBERS else leaf.event.get(name)
    if path:
        return _text(_at(found, path))
    if name == "actor" and isinstance(found, dict) and not _is_sealed(found):
        return _first_text(found, "name", "id", "type")
    if name == "caller":
        return _first_text(found, "sub", "kind")
    if name == "resources" and isinstance(found, list):
        return ", ".join(map(_resource, found))
    return _text(found)


def _attributes(leaf: Leaf) -> object:
    # Numbers stay the text they were written as.
    return json.loads(leaf.attributes_text or "{}", parse_int=str, parse_float=str)


def _at(value: Any, path: str) -> object:  # noqa: ANN401 - any JSON
    """Return what stands at a dotted path; a member whose own name has dots is found too."""
    while isinstance(value, dict) and path and path not in value:
        name, _, path = path.partition(".")
        value = value.get(name)
    return value.get(path) if isinstance(value, dict) and path else value


def _is_sealed(value: Mapping[str, object]) -> bool:
    return value.keys() == {"sealed"}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and _is_sealed(value):
        return "(sealed)"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return compact_json(value)


def _first_text(value: Mapping[str, object], *names: str) -> str:
    return next((_text(value[name]) for name in names if value.get(name)), "")


def _resource(resource: object) -> str:
    if not isinstance(resource, dict) or _is_sealed(resource):
        return _text(resource)
    kind, identifier, name = (_text(resource.get(member)) for member in ("type", "id", "name"))
    place = ":".join(part for part in (kind, identifier) if part)
    return f"{place} ({name})" if place and name else place or name
