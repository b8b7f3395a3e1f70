"""The text members of an event with their limits, and what is wrong with an event that breaks a rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from auditd.errors import Violation

from . import _limits as limit
from ._attributes import AttributesError, encode_attributes
from ._model import ActorLike, EventLike, OriginLike, ProducerLike, ResourceLike, TimeLike
from ._text import CONTROL, NUL, is_ipv4, is_ipv6, is_traceparent
from ._time import MAX_SECONDS, NS_PER_S

OUTCOMES: Final = {1: "SUCCESS", 2: "FAILURE", 3: "DENIED"}
"""Number in `auditd.v1.Outcome` to name."""


@dataclass(frozen=True, slots=True)
class TextField:
    """A text member: at most `max_bytes` of UTF-8.

    Prose may hold any character but NUL; other text no control character (U+0000-U+001F, U+007F-U+009F).
    """

    name: str
    max_bytes: int
    prose: bool = False
    required: bool = False


EVENT_TEXTS: Final = (
    TextField("id", limit.MAX_ID_BYTES, required=True),
    TextField("tenant", limit.MAX_TENANT_BYTES),
    TextField("action", limit.MAX_ACTION_BYTES, required=True),
    TextField("reason", limit.MAX_REASON_BYTES, prose=True),
)
ACTOR_TEXTS: Final = (
    TextField("type", limit.MAX_ACTOR_TYPE_BYTES),
    TextField("id", limit.MAX_ACTOR_ID_BYTES),
    TextField("name", limit.MAX_NAME_BYTES, prose=True),
    TextField("session_id", limit.MAX_SESSION_ID_BYTES),
    TextField("auth_method", limit.MAX_AUTH_METHOD_BYTES),
)
ROLE_TEXT: Final = TextField("roles", limit.MAX_ROLE_BYTES, required=True)
RESOURCE_TEXTS: Final = (
    TextField("type", limit.MAX_RESOURCE_TYPE_BYTES),
    TextField("id", limit.MAX_RESOURCE_ID_BYTES),
    TextField("name", limit.MAX_NAME_BYTES, prose=True),
)
ORIGIN_TEXTS: Final = (
    TextField("ip", limit.MAX_IP_BYTES),
    TextField("user_agent", limit.MAX_USER_AGENT_BYTES, prose=True),
    TextField("device_id", limit.MAX_DEVICE_ID_BYTES),
    TextField("method", limit.MAX_METHOD_BYTES),
    TextField("endpoint", limit.MAX_ENDPOINT_BYTES, prose=True),
    TextField("request_id", limit.MAX_REQUEST_ID_BYTES),
    TextField("traceparent", limit.TRACEPARENT_BYTES),
)
PRODUCER_TEXTS: Final = (TextField("id", limit.MAX_PRODUCER_ID_BYTES),)


def violations_of(event: EventLike, path: str, known: AttributesError | None = None) -> Iterator[Violation]:
    """Every rule of shape that `event` breaks, in the order of the fields; none if it can be recorded.

    This is the definition of a well-formed event. `path` is that of the event, such as `events[3]`. `known` is what is
    wrong with its attributes, which are read for that otherwise.
    """
    yield from member_violations(event, path)
    problem = known or _attributes_problem(event.attributes_json)
    if problem is not None:
        yield Violation(f"{path}.attributes_json", str(problem))


def member_violations(event: EventLike, path: str) -> Iterator[Violation]:
    """See `violations_of`: the same but for those of the attributes."""
    yield from _texts(event, EVENT_TEXTS[:1], path)
    yield from _time(event.time, f"{path}.time")
    yield from _texts(event, EVENT_TEXTS[1:], path)
    if event.outcome and event.outcome not in OUTCOMES:
        yield Violation(f"{path}.outcome", f"{event.outcome} is no known outcome")
    yield from _actor(event.actor, f"{path}.actor")
    yield from _resources(event.resources, f"{path}.resources")
    yield from _origin(event.origin, f"{path}.origin")
    yield from _producer(event.producer, f"{path}.producer")


def _attributes_problem(text: str) -> AttributesError | None:
    try:
        if text:
            encode_attributes(text)
    except AttributesError as error:
        return error
    return None


def _time(time: TimeLike, path: str) -> Iterator[Violation]:
    seconds, nanos = time.seconds, time.nanos
    if not seconds and not nanos:
        yield Violation(path, "required")
    elif not 0 <= nanos < NS_PER_S:
        yield Violation(path, f"malformed: {nanos} nanos, must be 0 to 999999999")
    elif not 0 <= seconds <= MAX_SECONDS:
        yield Violation(path, f"{seconds} seconds, must lie between 1970-01-01T00:00:00Z and the end of 9999")


def _actor(actor: ActorLike, path: str) -> Iterator[Violation]:
    yield from _texts(actor, ACTOR_TEXTS, path)
    if len(actor.roles) > limit.MAX_ROLES:
        yield Violation(f"{path}.roles", f"{len(actor.roles)} roles, limit {limit.MAX_ROLES}")
        return
    for position, role in enumerate(actor.roles):
        if problem := _problem(role, ROLE_TEXT):
            yield Violation(f"{path}.roles[{position}]", problem)


def _resources(resources: Sequence[ResourceLike], path: str) -> Iterator[Violation]:
    if len(resources) > limit.MAX_RESOURCES:
        yield Violation(path, f"{len(resources)} resources, limit {limit.MAX_RESOURCES}")
        return
    for position, resource in enumerate(resources):
        if not (resource.type or resource.id or resource.name):
            yield Violation(f"{path}[{position}]", "empty: a resource needs a type, an id or a name")
        yield from _texts(resource, RESOURCE_TEXTS, f"{path}[{position}]")


def _origin(origin: OriginLike, path: str) -> Iterator[Violation]:
    yield from _texts(origin, ORIGIN_TEXTS, path)
    ip, traceparent = origin.ip, origin.traceparent
    if 0 < len(ip) <= limit.MAX_IP_BYTES and not is_ipv4(ip) and not is_ipv6(ip):
        yield Violation(f"{path}.ip", f"{ip!r} is no IPv4 or IPv6 address")
    if 0 < len(traceparent) <= limit.TRACEPARENT_BYTES and not is_traceparent(traceparent):
        yield Violation(f"{path}.traceparent", f"{traceparent!r} is no W3C traceparent")


def _producer(producer: ProducerLike, path: str) -> Iterator[Violation]:
    yield from _texts(producer, PRODUCER_TEXTS, path)
    if not 0 <= producer.seq <= limit.MAX_SEQ:
        yield Violation(f"{path}.seq", f"{producer.seq}, limit {limit.MAX_SEQ}")


def _texts(message: object, fields: Iterable[TextField], path: str) -> Iterator[Violation]:
    for field in fields:
        if problem := _problem(getattr(message, field.name), field):
            yield Violation(f"{path}.{field.name}", problem)


def _problem(text: str, field: TextField) -> str:
    if not text:
        return "required" if field.required else ""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, so it is no UTF-8"
    if size > field.max_bytes:
        return f"{size} bytes, limit {field.max_bytes}"
    control = NUL.search(text) if field.prose else CONTROL.search(text)
    return f"holds the control character U+{ord(control[0]):04X}" if control else ""
