"""Events from JSON text, from mappings, and named before they are first sent.

As JSON an event has the names of the leaf's `event` object: `id`, `time`, `tenant`, `action`,
`outcome`, `reason`, `actor`, `resources`, `origin`, `producer` and `attributes`; beside them `actor_token`,
the actor's own token. A member that is null is absent.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

from google.protobuf.message import Message

from auditd_client._event_text import JsonTextError, read_members
from auditd_client._times import timestamp_from
from auditd_client.errors import InvalidRequestError, Violation
from auditd_proto.v1.event_pb2 import Event, Outcome

EventLike: TypeAlias = Event | Mapping[str, Any]

_MAX_SEQ = (1 << 63) - 1
_OUTCOMES = {"SUCCESS": Outcome.SUCCESS, "FAILURE": Outcome.FAILURE, "DENIED": Outcome.DENIED}

_compact_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def event_from_json(text: str | bytes) -> Event:
    """Return the event that one JSON object describes, named (see `name_event`).

    The text of `attributes` is taken exactly as it is written.

    Raises InvalidRequestError if it is no JSON object, a member is unknown, named twice or of the
    wrong type; the violation has its path, such as `actor.id`.
    """
    try:
        members = read_members(text.decode() if isinstance(text, bytes) else text, kept="attributes")
    except UnicodeDecodeError as error:
        raise _invalid("event", f"not UTF-8 at byte {error.start}") from error
    except JsonTextError as error:
        raise _invalid("event", str(error)) from error
    return _event(members, _JSON_MEMBERS)


def event_from_dict(members: Mapping[str, Any]) -> Event:
    """Return the event that a mapping describes, named (see `name_event`).

    `time` is RFC 3339 text with an offset, an aware datetime or a timestamp. `attributes` is a
    mapping, written as compact JSON; `attributes_json`, which is JSON text, may stand for it.

    Raises InvalidRequestError if a member is unknown or of the wrong type.
    """
    return _event(members, _DICT_MEMBERS)


def event_from(event: EventLike) -> Event:
    """Return `event` as a named message; what is a message already is named in place.

    Raises InvalidRequestError as `event_from_dict`.
    """
    if isinstance(event, Event):
        return name_event(event)
    return event_from_dict(event)


def name_event(event: Event) -> Event:
    """Give `event` an id (UUIDv7) and a time (now, whole microseconds) if it has none; return it.

    Once named, an event can be sent again and again and is recorded once.
    """
    now_us = time.time_ns() // 1_000
    if not event.id:
        event.id = uuid7(now_us // 1_000)
    if not event.HasField("time"):
        event.time.FromMicroseconds(now_us)
    return event


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return the members of `event` that are set, as `event_from_dict` takes them.

    `time` becomes RFC 3339 text; attributes stay text, as `attributes_json`.
    """
    members = _members_set(event)
    if "time" in members:
        members["time"] = event.time.ToJsonString()
    if "outcome" in members:
        members["outcome"] = Outcome.Name(event.outcome)
    return members


def _members_set(message: Message) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        if isinstance(value, Message):
            members[descriptor.name] = _members_set(value)
        elif isinstance(value, str | int):
            members[descriptor.name] = value
        else:
            members[descriptor.name] = [_members_set(item) if isinstance(item, Message) else item for item in value]
    return members


def uuid7(now_ms: int) -> str:
    """Return a new UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    bits = now_ms << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class _RefusedError(Exception):
    """A value breaks `rule`; each object around it adds its member's name or place to `path`."""

    def __init__(self, rule: str, *path: str | int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.path = list(path)

    def public(self) -> InvalidRequestError:
        path = ""
        for step in reversed(self.path):
            path += f"[{step}]" if isinstance(step, int) else f".{step}"
        return _invalid(path.removeprefix(".")[:256] or "event", self.rule)


# A setter takes the message, the member's name and its value, which is never None.
_Setter: TypeAlias = Callable[[Any, str, Any], None]


def _event(members: object, setters: Mapping[str, _Setter]) -> Event:
    event = Event()
    try:
        _set_members(event, members, setters)
    except _RefusedError as refused:
        raise refused.public() from None
    return name_event(event)


def _set_members(message: Message, members: object, setters: Mapping[str, _Setter]) -> None:
    if not isinstance(members, Mapping):
        _refuse_type(members, "an object")
    for name, value in members.items():
        setter = setters.get(name)
        if setter is None:
            raise _RefusedError(f"unknown member; known are {', '.join(setters)}", str(name))
        if value is not None:
            try:
                setter(message, name, value)
            except _RefusedError as refused:
                refused.path.append(name)
                raise


def _set_text(message: Message, name: str, value: object) -> None:
    setattr(message, name, _text(value))


def _set_texts(message: Message, name: str, value: object) -> None:
    texts = getattr(message, name)
    for position, text in _items(value):
        try:
            texts.append(_text(text))
        except _RefusedError as refused:
            refused.path.append(position)
            raise


def _set_time(message: Event, _name: str, value: object) -> None:
    try:
        message.time.CopyFrom(timestamp_from(value))
    except ValueError as error:
        raise _RefusedError(str(error)) from error


def _set_outcome(message: Event, _name: str, value: object) -> None:
    outcome = _OUTCOMES.get(_text(value))
    if outcome is None:
        raise _RefusedError(f"{str(value)[:64]!r}, expected one of {', '.join(_OUTCOMES)}")
    message.outcome = outcome


def _set_seq(message: Any, name: str, value: object) -> None:  # noqa: ANN401 - Producer
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse_type(value, "a whole number")
    if not 0 <= value <= _MAX_SEQ:
        raise _RefusedError(f"{value}, expected a whole number from 0 to 2^63-1")
    setattr(message, name, value)


def _set_resources(message: Event, _name: str, value: object) -> None:
    for position, resource in _items(value):
        try:
            _set_members(message.resources.add(), resource, _RESOURCE_MEMBERS)
        except _RefusedError as refused:
            refused.path.append(position)
            raise


def _set_kept_attributes(message: Event, _name: str, text: str) -> None:
    if text != "null":
        message.attributes_json = _text(text)


def _set_attributes(message: Event, _name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        _refuse_type(value, "a mapping")
    try:
        text = _compact_json(dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise _RefusedError(str(error)) from error
    _set_attributes_json(message, _name, text)


def _set_attributes_json(message: Event, _name: str, value: object) -> None:
    if message.attributes_json:
        raise _RefusedError("given twice, as attributes and as attributes_json")
    message.attributes_json = _text(value)


def _part(setters: Mapping[str, _Setter]) -> _Setter:
    def set_part(message: Message, name: str, value: object) -> None:
        part: Message = getattr(message, name)
        part.SetInParent()
        _set_members(part, value, setters)

    return set_part


def _text(value: object) -> str:
    if not isinstance(value, str):
        _refuse_type(value, "text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _RefusedError(f"a lone surrogate at character {error.start}") from error
    return value


def _items(value: object) -> Iterable[tuple[int, object]]:
    if not isinstance(value, list | tuple):
        _refuse_type(value, "a list")
    return enumerate(value)


def _refuse_type(value: object, expected: str) -> NoReturn:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    found = names.get(type(value)) or f"a {type(value).__name__}"
    raise _RefusedError(f"{found}, expected {expected}")


def _invalid(path: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}: {rule}", reason="INVALID_EVENT", violations=[Violation(path, rule)])


def _texts(*names: str) -> dict[str, _Setter]:
    return dict.fromkeys(names, _set_text)


_RESOURCE_MEMBERS = _texts("type", "id", "name")
_COMMON_MEMBERS: dict[str, _Setter] = {
    "id": _set_text,
    "time": _set_time,
    "tenant": _set_text,
    "action": _set_text,
    "outcome": _set_outcome,
    "reason": _set_text,
    "actor": _part({**_texts("type", "id", "name"), "roles": _set_texts, **_texts("session_id", "auth_method")}),
    "resources": _set_resources,
    "origin": _part(_texts("ip", "user_agent", "device_id", "method", "endpoint", "request_id", "traceparent")),
    "producer": _part({"id": _set_text, "seq": _set_seq}),
    "actor_token": _set_text,
}
_JSON_MEMBERS = {**_COMMON_MEMBERS, "attributes": _set_kept_attributes}
_DICT_MEMBERS = {
    **_COMMON_MEMBERS,
    "attributes": _set_attributes,
    "attributes_json": _set_attributes_json,
}
