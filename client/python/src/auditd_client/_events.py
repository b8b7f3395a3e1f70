"""Events from JSON text, from mappings, and named before they are first sent.

As JSON an event has the names of the leaf's `event` object: `id`, `time`, `tenant`, `action`,
`outcome`, `reason`, `actor`, `resources`, `origin`, `producer` and `attributes`. A member that is
null is absent.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

from auditd_proto.v1.event_pb2 import Event, Outcome
from google.protobuf.message import Message

from auditd_client._event_text import JsonTextError, read_members
from auditd_client._times import timestamp_from
from auditd_client.errors import InvalidRequestError, Violation

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
    return name_event(_event(members, _JSON_MEMBERS))


def event_from_dict(members: Mapping[str, Any]) -> Event:
    """Return the event that a mapping describes, named (see `name_event`).

    `time` is RFC 3339 text with an offset, an aware datetime or a timestamp. `attributes` is a
    mapping, written as compact JSON; `attributes_json`, which is JSON text, may stand for it.

    Raises InvalidRequestError if a member is unknown or of the wrong type.
    """
    return name_event(_event(members, _DICT_MEMBERS))


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
    if not event.id:
        event.id = uuid7()
    if not event.HasField("time"):
        event.time.FromMicroseconds(time.time_ns() // 1_000)
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
            members[descriptor.name] = [
                _members_set(item) if isinstance(item, Message) else item for item in value
            ]
    return members


def uuid7() -> str:
    """Return a new UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    bits = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# A setter takes the message, the member's name, its value (never None) and its path.
_Setter: TypeAlias = Callable[[Any, str, Any, str], None]


def _event(members: Mapping[str, Any], setters: Mapping[str, _Setter]) -> Event:
    event = Event()
    _set_members(event, members, setters, "")
    return event


def _set_members(message: Message, members: object, setters: Mapping[str, _Setter], path: str) -> None:
    if not isinstance(members, Mapping):
        _refuse_type(path or "event", members, "an object")
    for name, value in members.items():
        member_path = f"{path}.{name}" if path else str(name)
        setter = setters.get(name)
        if setter is None:
            raise _invalid(member_path[:128], f"unknown member; known are {', '.join(setters)}")
        if value is not None:
            setter(message, name, value, member_path)


def _set_text(message: Message, name: str, value: object, path: str) -> None:
    if not isinstance(value, str):
        _refuse_type(path, value, "text")
    try:
        setattr(message, name, value)
    except UnicodeEncodeError as error:
        raise _invalid(path, f"a lone surrogate at character {error.start}") from error


def _set_texts(message: Any, name: str, value: object, path: str) -> None:  # noqa: ANN401
    for position, text in enumerate(_list(value, path)):
        if not isinstance(text, str):
            _refuse_type(f"{path}[{position}]", text, "text")
        try:
            getattr(message, name).append(text)
        except UnicodeEncodeError as error:
            raise _invalid(f"{path}[{position}]", f"a lone surrogate at character {error.start}") from error


def _set_time(message: Event, _name: str, value: object, path: str) -> None:
    try:
        message.time.CopyFrom(timestamp_from(value))
    except ValueError as error:
        raise _invalid(path, str(error)) from error


def _set_outcome(message: Event, _name: str, value: object, path: str) -> None:
    if not isinstance(value, str):
        _refuse_type(path, value, "text")
    if value not in _OUTCOMES:
        raise _invalid(path, f"{value[:64]!r}, expected one of {', '.join(_OUTCOMES)}")
    message.outcome = _OUTCOMES[value]


def _set_seq(message: Any, name: str, value: object, path: str) -> None:  # noqa: ANN401
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse_type(path, value, "a whole number")
    if not 0 <= value <= _MAX_SEQ:
        raise _invalid(path, f"{value}, expected a whole number from 0 to 2^63-1")
    setattr(message, name, value)


def _set_resources(message: Event, _name: str, value: object, path: str) -> None:
    for position, resource in enumerate(_list(value, path)):
        _set_members(message.resources.add(), resource, _RESOURCE_MEMBERS, f"{path}[{position}]")


def _set_attributes_text(message: Event, _name: str, value: str, path: str) -> None:
    if value != "null":
        _set_text(message, "attributes_json", value, path)


def _set_attributes(message: Event, _name: str, value: object, path: str) -> None:
    if not isinstance(value, Mapping):
        _refuse_type(path, value, "a mapping")
    if message.attributes_json:
        raise _invalid(path, "given twice, as attributes and as attributes_json")
    try:
        text = _compact_json(value if isinstance(value, dict) else dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    _set_text(message, "attributes_json", text, path)


def _set_attributes_json(message: Event, name: str, value: object, path: str) -> None:
    if message.attributes_json:
        raise _invalid(path, "given twice, as attributes and as attributes_json")
    _set_text(message, name, value, path)


def _part(setters: Mapping[str, _Setter]) -> _Setter:
    def set_part(message: Message, name: str, value: object, path: str) -> None:
        part: Message = getattr(message, name)
        part.SetInParent()
        _set_members(part, value, setters, path)

    return set_part


def _list(value: object, path: str) -> list[object] | tuple[object, ...]:
    if not isinstance(value, list | tuple):
        _refuse_type(path, value, "a list")
    return value


def _refuse_type(path: str, value: object, expected: str) -> NoReturn:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    found = names.get(type(value)) or f"a {type(value).__name__}"
    raise _invalid(path, f"{found}, expected {expected}")


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
    "actor": _part(
        {**_texts("type", "id", "name"), "roles": _set_texts, **_texts("session_id", "auth_method")}
    ),
    "resources": _set_resources,
    "origin": _part(
        _texts("ip", "user_agent", "device_id", "method", "endpoint", "request_id", "traceparent")
    ),
    "producer": _part({"id": _set_text, "seq": _set_seq}),
}
_JSON_MEMBERS = {**_COMMON_MEMBERS, "attributes": _set_attributes_text}
_DICT_MEMBERS = {
    **_COMMON_MEMBERS,
    "attributes": _set_attributes,
    "attributes_json": _set_attributes_json,
}
