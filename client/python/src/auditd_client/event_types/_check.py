"""Whether an event has what its type asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditd_client.event_types._catalogue import EVENT_TYPES


def missing_members(event: Mapping[str, Any]) -> list[str]:
    """Return which members of the event's type are missing, such as `actor.id`; empty for another type.

    `event` is as JSON has it. The server asks for none of them: this is for tests of the code that records.
    """
    known = EVENT_TYPES.get(str(event.get("action", "")))
    return [] if known is None else [path for path in known.required if not _has(event, path.split("."))]


def _has(value: object, path: list[str]) -> bool:
    if not path:
        return value is not None and value != ""
    name = path[0]
    if name.endswith("[]"):
        items = value.get(name[:-2]) if isinstance(value, Mapping) else None
        return isinstance(items, list) and bool(items) and all(_has(item, path[1:]) for item in items)
    return isinstance(value, Mapping) and _has(value.get(name), path[1:])
