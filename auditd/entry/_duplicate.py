"""Whether an event that bears a recorded name is the event recorded under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._actor import stated_members
from ._encode import EncodedEvent
from ._leaf import attributes_text, event_text, parse_leaf

SameToken = Callable[[str], bool]
"""Tells whether a credential, in hex, is of the very token that came with the event; it may have another name by now,
for what is kept of a token can be configured."""


def difference(leaf: bytes, event: EncodedEvent, same_token: SameToken = lambda _: False) -> str | None:
    """Return the path of the first member in which a stored leaf and `event` differ, as `event.actor.id`.

    None means that they are the same event. Compares what callers send, attributes as text and the actor's token as a
    whole, and not what the server adds. Raises DamagedError if `leaf` is no leaf.
    """
    if event_text(leaf) == event.json:
        return None
    stored = parse_leaf(leaf)["event"]
    stored.pop("attributes", None)
    found = _difference(stored, event, same_token)
    if found is None and attributes_text(leaf) != event.attributes:
        return "event.attributes"
    return found


def difference_of(first: EncodedEvent, second: EncodedEvent) -> str | None:
    """Return the path of the first member in which two events as sent differ; None if they are the same."""
    if first.json == second.json:
        return None
    found = _difference(first.fields, second, lambda _: False)
    if found is None and first.attributes != second.attributes:
        return "event.attributes"
    return found


def _difference(stored: Mapping[str, Any], event: EncodedEvent, same_token: SameToken) -> str | None:
    of_stored = _credential(stored)
    of_event = _credential(event.fields) if event.sent else ""
    if of_stored != of_event and not (of_stored and of_event and same_token(of_stored)):
        return "event.actor_token"
    sent = event.sent_fields
    return _first(stated_members(stored, sent), stated_members(sent, sent), "event")


def _credential(members: Mapping[str, Any]) -> str:
    actor = members.get("actor")
    return actor.get("credential", "") if isinstance(actor, dict) else ""


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
