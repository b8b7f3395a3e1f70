"""Whether an event that bears a recorded name is the event recorded under it."""

from __future__ import annotations

from typing import Any

from ._encode import EncodedEvent
from ._leaf import attributes_text, event_text, parse_leaf

_ADDED_TO_ACTOR = ("identity", "credential")


def difference(leaf: bytes, event: EncodedEvent) -> str | None:
    """Return the path of the first member in which a stored leaf and `event` differ, as `event.actor.id`.

    None means that they are the same event. Compares what callers send, attributes as text, and not what
    the server adds. Raises DamagedError if `leaf` is no leaf.
    """
    if event_text(leaf) == event.json:
        return None
    stored = parse_leaf(leaf)["event"]
    stored.pop("attributes", None)
    found = _first(_sent(stored), _sent(event.fields), "event")
    if found is None and attributes_text(leaf) != event.attributes:
        return "event.attributes"
    return found


def difference_of(first: EncodedEvent, second: EncodedEvent) -> str | None:
    """Return the path of the first member in which two events as sent differ; None if they are the same."""
    if first.json == second.json:
        return None
    return _first(first.fields, second.fields, "event") or "event.attributes"


def _sent(fields: dict[str, Any]) -> dict[str, Any]:
    actor = fields.get("actor")
    if not isinstance(actor, dict):
        return fields
    return fields | {"actor": {name: actor[name] for name in actor if name not in _ADDED_TO_ACTOR}}


def _first(stored: object, sent: object, path: str) -> str | None:
    if isinstance(stored, dict) and isinstance(sent, dict) and "sealed" not in stored:
        for name in stored | sent:
            if name not in stored or name not in sent:
                return f"{path}.{name}"
            if found := _first(stored[name], sent[name], f"{path}.{name}"):
                return found
        return None
    if isinstance(stored, list) and isinstance(sent, list) and len(stored) == len(sent):
        pairs = enumerate(zip(stored, sent, strict=True))
        return next((found for i, (a, b) in pairs if (found := _first(a, b, f"{path}[{i}]"))), None)
    return None if stored == sent else path
