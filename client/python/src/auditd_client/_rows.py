"""Leaves as rows: columns by name, values as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from auditd_client.verify import Leaf

TABLE_COLUMNS = ("index", "time", "actor", "action", "outcome", "resources", "origin.ip")
CSV_COLUMNS = (
    "index", "recorded_at", "caller.kind", "caller.iss", "caller.sub",
    "id", "time", "tenant", "action", "outcome", "reason",
    "actor.type", "actor.id", "actor.name", "actor.roles", "actor.session_id", "actor.auth_method", "actor.identity",
    "resources",
    "origin.ip", "origin.user_agent", "origin.device_id", "origin.method", "origin.endpoint",
    "origin.request_id", "origin.traceparent",
    "producer.id", "producer.seq", "attributes",
)  # fmt: skip

_SEALED_HASH = re.compile(r"[0-9a-f]{64}")
_ENTRY_MEMBERS = ("index", "recorded_at", "log", "salt", "caller")
_EVENT_MEMBERS = (
    "id", "time", "tenant", "action", "outcome", "reason",
    "actor", "resources", "origin", "producer", "attributes",
)  # fmt: skip


def unknown_column(names: Sequence[str]) -> str | None:
    """Return what is wrong with the first name that is no column; None if all are.

    A column is a member of the entry or its event, such as `recorded_at` or `action`, or a path into one, such as
    `actor.id` or `attributes.amount`.
    """
    for name in names:
        if name.partition(".")[0] not in (*_ENTRY_MEMBERS, *_EVENT_MEMBERS):
            known = ", ".join((*_ENTRY_MEMBERS, *_EVENT_MEMBERS))
            return f"{name!r} is no column; columns are {known}, and paths such as actor.id"
    return None


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
    """Tell whether the server sealed a value; what callers send may have the key, but never a hash under it."""
    sealed = value.get("sealed") if len(value) == 1 else None
    return isinstance(sealed, str) and _SEALED_HASH.fullmatch(sealed) is not None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and _is_sealed(value):
        return "(sealed)"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _first_text(value: Mapping[str, object], *names: str) -> str:
    return next((_text(value[name]) for name in names if value.get(name)), "")


def _resource(resource: object) -> str:
    if not isinstance(resource, dict) or _is_sealed(resource):
        return _text(resource)
    kind, identifier, name = (_text(resource.get(member)) for member in ("type", "id", "name"))
    place = ":".join(part for part in (kind, identifier) if part)
    return f"{place} ({name})" if place and name else place or name
