"""Messages to the members of a leaf's `event` object: the hot path of every append.

What passes here keeps every rule of `violations_of`, provided that its text is ASCII without control
characters. Lengths are compared in characters, which are bytes then, and each message's in one expression.
"""

from __future__ import annotations

from typing import Any

from ._attributes import AttributesError
from ._fields import OUTCOMES
from ._limits import (
    MAX_ACTION_BYTES,
    MAX_ACTOR_ID_BYTES,
    MAX_ACTOR_TYPE_BYTES,
    MAX_AUTH_METHOD_BYTES,
    MAX_DEVICE_ID_BYTES,
    MAX_ENDPOINT_BYTES,
    MAX_ID_BYTES,
    MAX_IP_BYTES,
    MAX_METHOD_BYTES,
    MAX_NAME_BYTES,
    MAX_PRODUCER_ID_BYTES,
    MAX_REASON_BYTES,
    MAX_REQUEST_ID_BYTES,
    MAX_RESOURCE_ID_BYTES,
    MAX_RESOURCE_TYPE_BYTES,
    MAX_RESOURCES,
    MAX_ROLE_BYTES,
    MAX_ROLES,
    MAX_SEQ,
    MAX_SESSION_ID_BYTES,
    MAX_TENANT_BYTES,
    MAX_USER_AGENT_BYTES,
)
from ._model import ActorLike, EventLike, OriginLike, ProducerLike, ResourceLike, TimeLike
from ._text import is_ipv4, is_ipv6, is_traceparent
from ._time import MAX_SECONDS, NS_PER_S, time_text


class RefusedError(Exception):
    """The event breaks a rule; `violations_of` says which.

    `attributes` is what is wrong with its attributes, where that was found out: reading them again may take long.
    """

    def __init__(self, attributes: AttributesError | None = None) -> None:
        super().__init__()
        self.attributes = attributes


def read_event(event: EventLike) -> tuple[dict[str, Any], int]:
    """Return the members but for attributes, and the time in nanoseconds. Raises RefusedError."""
    event_id = event.id
    tenant = event.tenant
    action = event.action
    reason = event.reason
    if (
        not 0 < len(event_id) <= MAX_ID_BYTES
        or len(tenant) > MAX_TENANT_BYTES
        or not 0 < len(action) <= MAX_ACTION_BYTES
        or len(reason) > MAX_REASON_BYTES
    ):
        raise RefusedError
    time, time_ns = _time(event.time)
    members: dict[str, Any] = {"id": event_id, "time": time}
    if tenant:
        members["tenant"] = tenant
    members["action"] = action
    if outcome := event.outcome:
        if outcome not in OUTCOMES:
            raise RefusedError
        members["outcome"] = OUTCOMES[outcome]
    if reason:
        members["reason"] = reason
    if actor := _actor(event.actor):
        members["actor"] = actor
    if resources := event.resources[:]:
        if len(resources) > MAX_RESOURCES:
            raise RefusedError
        members["resources"] = [_resource(resource) for resource in resources]
    if origin := _origin(event.origin):
        members["origin"] = origin
    if producer := _producer(event.producer):
        members["producer"] = producer
    return members, time_ns


def _time(time: TimeLike) -> tuple[str, int]:
    seconds = time.seconds
    nanos = time.nanos
    time_ns = seconds * NS_PER_S + nanos
    if not time_ns or not 0 <= seconds <= MAX_SECONDS or not 0 <= nanos < NS_PER_S:
        raise RefusedError
    return time_text(seconds, nanos), time_ns


def _actor(actor: ActorLike) -> dict[str, Any]:
    kind = actor.type
    actor_id = actor.id
    name = actor.name
    session_id = actor.session_id
    auth_method = actor.auth_method
    if (
        len(kind) > MAX_ACTOR_TYPE_BYTES
        or len(actor_id) > MAX_ACTOR_ID_BYTES
        or len(name) > MAX_NAME_BYTES
        or len(session_id) > MAX_SESSION_ID_BYTES
        or len(auth_method) > MAX_AUTH_METHOD_BYTES
    ):
        raise RefusedError
    members: dict[str, Any] = {}
    if kind:
        members["type"] = kind
    if actor_id:
        members["id"] = actor_id
    if name:
        members["name"] = name
    if roles := actor.roles[:]:
        if len(roles) > MAX_ROLES or "" in roles or max(map(len, roles)) > MAX_ROLE_BYTES:
            raise RefusedError
        members["roles"] = list(roles)
    if session_id:
        members["session_id"] = session_id
    if auth_method:
        members["auth_method"] = auth_method
    if members:
        members["identity"] = "asserted"
    return members


def _resource(resource: ResourceLike) -> dict[str, str]:
    kind = resource.type
    resource_id = resource.id
    name = resource.name
    if (
        len(kind) > MAX_RESOURCE_TYPE_BYTES
        or len(resource_id) > MAX_RESOURCE_ID_BYTES
        or len(name) > MAX_NAME_BYTES
        or not (kind or resource_id or name)
    ):
        raise RefusedError
    members: dict[str, str] = {}
    if kind:
        members["type"] = kind
    if resource_id:
        members["id"] = resource_id
    if name:
        members["name"] = name
    return members


def _origin(origin: OriginLike) -> dict[str, str]:
    ip = origin.ip
    user_agent = origin.user_agent
    device_id = origin.device_id
    method = origin.method
    endpoint = origin.endpoint
    request_id = origin.request_id
    traceparent = origin.traceparent
    if (
        len(ip) > MAX_IP_BYTES
        or len(user_agent) > MAX_USER_AGENT_BYTES
        or len(device_id) > MAX_DEVICE_ID_BYTES
        or len(method) > MAX_METHOD_BYTES
        or len(endpoint) > MAX_ENDPOINT_BYTES
        or len(request_id) > MAX_REQUEST_ID_BYTES
        or (ip and not is_ipv4(ip) and not is_ipv6(ip))
        or (traceparent and not is_traceparent(traceparent))
    ):
        raise RefusedError
    members: dict[str, str] = {}
    if ip:
        members["ip"] = ip
    if user_agent:
        members["user_agent"] = user_agent
    if device_id:
        members["device_id"] = device_id
    if method:
        members["method"] = method
    if endpoint:
        members["endpoint"] = endpoint
    if request_id:
        members["request_id"] = request_id
    if traceparent:
        members["traceparent"] = traceparent
    return members


def _producer(producer: ProducerLike) -> dict[str, Any]:
    producer_id = producer.id
    seq = producer.seq
    if len(producer_id) > MAX_PRODUCER_ID_BYTES or not 0 <= seq <= MAX_SEQ:
        raise RefusedError
    members: dict[str, Any] = {}
    if producer_id:
        members["id"] = producer_id
    if seq:
        members["seq"] = seq
    return members
