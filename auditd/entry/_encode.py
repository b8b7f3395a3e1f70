"""Events to the JSON bytes that a leaf carries: the hot path of every append."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from auditd.errors import InvalidRequestError, Violation

from . import _limits as limit
from ._attributes import AttributesError, encode_attributes
from ._fields import OUTCOMES, violations_of
from ._limits import Limits
from ._model import ActorLike, EventLike, OriginLike, ProducerLike, ResourceLike
from ._text import is_ip, is_traceparent
from ._time import MAX_SECONDS, NS_PER_S, time_text


class EncodedEvent(NamedTuple):
    """A well-formed event, encoded once."""

    json: bytes
    """The exact text of the leaf's `event` object."""
    id: str
    time: str
    """As in the leaf: RFC 3339, UTC, 0, 3, 6 or 9 fraction digits."""
    time_ns: int
    """Nanoseconds since 1970-01-01T00:00:00Z."""
    fields: dict[str, Any]
    """The members of the `event` object but for `attributes`; read, never changed."""
    attributes: bytes
    """The text of `attributes` as in the leaf; empty if absent."""


class _Refused(Exception):  # noqa: N818 -- never leaves this module
    """The event breaks a rule; `violations_of` says which."""


def encode_events(events: Sequence[EventLike], limits: Limits | None = None) -> list[EncodedEvent]:
    """Check the shape of a batch and encode it; one bad event refuses all.

    Raises InvalidRequestError `INVALID_BATCH` for no event or too many, and `INVALID_EVENT` with the first
    `max_violations` violations, whose paths are such as `events[3].actor.id`.
    """
    limits = limits or Limits()
    if not 1 <= len(events) <= limits.max_batch_events:
        rule = f"{len(events)} events, must be 1 to {limits.max_batch_events}"
        raise InvalidRequestError("INVALID_BATCH", f"events: {rule}", (Violation("events", rule),))
    try:
        return [_encode(event) for event in events]
    except _Refused:
        found = (
            violation
            for position, event in enumerate(events)
            for violation in violations_of(event, f"events[{position}]")
        )
        raise _invalid(list(islice(found, limits.max_violations))) from None


def encode_event(event: EventLike, path: str = "event") -> EncodedEvent:
    """Check the shape of one event and encode it. Raises InvalidRequestError `INVALID_EVENT`."""
    try:
        return _encode(event)
    except _Refused:
        raise _invalid(list(violations_of(event, path))) from None


def _invalid(violations: list[Violation]) -> InvalidRequestError:
    first = violations[0]
    return InvalidRequestError("INVALID_EVENT", f"{first.field}: {first.description}", violations)


def _encode(event: EventLike) -> EncodedEvent:
    event_id = event.id
    action = event.action
    moment = event.time
    seconds = moment.seconds
    nanos = moment.nanos
    if (
        not event_id
        or not action
        or not 0 <= seconds <= MAX_SECONDS
        or not 0 <= nanos < NS_PER_S
        or not (seconds or nanos)
        or len(event_id) > limit.MAX_ID_BYTES
        or len(action) > limit.MAX_ACTION_BYTES
    ):
        raise _Refused
    time = time_text(seconds, nanos)
    fields: dict[str, Any] = {"id": event_id, "time": time}
    if text := event.tenant:
        if len(text) > limit.MAX_TENANT_BYTES:
            raise _Refused
        fields["tenant"] = text
    fields["action"] = action
    if outcome := event.outcome:
        if outcome not in OUTCOMES:
            raise _Refused
        fields["outcome"] = OUTCOMES[outcome]
    if text := event.reason:
        if len(text) > limit.MAX_REASON_BYTES:
            raise _Refused
        fields["reason"] = text
    if members := _actor(event.actor):
        fields["actor"] = members
    if resources := event.resources[:]:
        if len(resources) > limit.MAX_RESOURCES:
            raise _Refused
        fields["resources"] = [_resource(resource) for resource in resources]
    if members := _origin(event.origin):
        fields["origin"] = members
    if members := _producer(event.producer):
        fields["producer"] = members
    json = _json(fields, event)
    attributes = b""
    if text := event.attributes_json:
        try:
            attributes = encode_attributes(text)
        except AttributesError:
            raise _Refused from None
        json = b'%b,"attributes":%b}' % (json[:-1], attributes)
    return EncodedEvent(json, event_id, time, seconds * NS_PER_S + nanos, fields, attributes)


def _json(fields: dict[str, Any], event: EventLike) -> bytes:
    try:
        json = orjson.dumps(fields)
    except orjson.JSONEncodeError:
        raise _Refused from None
    # Without escapes, DEL and characters beyond ASCII nothing is a control character, and the lengths
    # compared so far, in characters, were lengths in bytes.
    if (b"\\" in json or b"\x7f" in json or not json.isascii()) and any(violations_of(event, "")):
        raise _Refused
    return json


def _actor(actor: ActorLike) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if text := actor.type:
        if len(text) > limit.MAX_ACTOR_TYPE_BYTES:
            raise _Refused
        members["type"] = text
    if text := actor.id:
        if len(text) > limit.MAX_ACTOR_ID_BYTES:
            raise _Refused
        members["id"] = text
    if text := actor.name:
        if len(text) > limit.MAX_NAME_BYTES:
            raise _Refused
        members["name"] = text
    if roles := actor.roles[:]:
        if len(roles) > limit.MAX_ROLES or "" in roles or max(map(len, roles)) > limit.MAX_ROLE_BYTES:
            raise _Refused
        members["roles"] = roles
    if text := actor.session_id:
        if len(text) > limit.MAX_SESSION_ID_BYTES:
            raise _Refused
        members["session_id"] = text
    if text := actor.auth_method:
        if len(text) > limit.MAX_AUTH_METHOD_BYTES:
            raise _Refused
        members["auth_method"] = text
    if members:
        members["identity"] = "asserted"
    return members


def _resource(resource: ResourceLike) -> dict[str, str]:
    members: dict[str, str] = {}
    if text := resource.type:
        if len(text) > limit.MAX_RESOURCE_TYPE_BYTES:
            raise _Refused
        members["type"] = text
    if text := resource.id:
        if len(text) > limit.MAX_RESOURCE_ID_BYTES:
            raise _Refused
        members["id"] = text
    if text := resource.name:
        if len(text) > limit.MAX_NAME_BYTES:
            raise _Refused
        members["name"] = text
    if not members:
        raise _Refused
    return members


def _origin(origin: OriginLike) -> dict[str, str]:
    members: dict[str, str] = {}
    if text := origin.ip:
        if len(text) > limit.MAX_IP_BYTES or not is_ip(text):
            raise _Refused
        members["ip"] = text
    if text := origin.user_agent:
        if len(text) > limit.MAX_USER_AGENT_BYTES:
            raise _Refused
        members["user_agent"] = text
    if text := origin.device_id:
        if len(text) > limit.MAX_DEVICE_ID_BYTES:
            raise _Refused
        members["device_id"] = text
    if text := origin.method:
        if len(text) > limit.MAX_METHOD_BYTES:
            raise _Refused
        members["method"] = text
    if text := origin.endpoint:
        if len(text) > limit.MAX_ENDPOINT_BYTES:
            raise _Refused
        members["endpoint"] = text
    if text := origin.request_id:
        if len(text) > limit.MAX_REQUEST_ID_BYTES:
            raise _Refused
        members["request_id"] = text
    if text := origin.traceparent:
        if not is_traceparent(text):
            raise _Refused
        members["traceparent"] = text
    return members


def _producer(producer: ProducerLike) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if text := producer.id:
        if len(text) > limit.MAX_PRODUCER_ID_BYTES:
            raise _Refused
        members["id"] = text
    if seq := producer.seq:
        if not 0 < seq <= limit.MAX_SEQ:
            raise _Refused
        members["seq"] = seq
    return members
