from collections.abc import Callable

import pytest

from auditd.entry import Actor, Event, EventLike, Origin, Producer, Resource, Time
from auditd_proto.v1 import event_pb2


def to_message(event: Event) -> EventLike:
    """The protobuf message of the same content, as a server receives it."""
    message = event_pb2.Event(
        id=event.id,
        tenant=event.tenant,
        action=event.action,
        outcome=event.outcome,
        reason=event.reason,
        attributes_json=event.attributes_json,
    )
    message.time.seconds, message.time.nanos = event.time.seconds, event.time.nanos
    for name in ("type", "id", "name", "session_id", "auth_method"):
        setattr(message.actor, name, getattr(event.actor, name))
    message.actor.roles.extend(event.actor.roles)
    for resource in event.resources:
        message.resources.add(type=resource.type, id=resource.id, name=resource.name)
    for name in ("ip", "user_agent", "device_id", "method", "endpoint", "request_id", "traceparent"):
        setattr(message.origin, name, getattr(event.origin, name))
    message.producer.id, message.producer.seq = event.producer.id, event.producer.seq
    return event_pb2.Event.FromString(message.SerializeToString())


@pytest.fixture(params=["dataclass", "protobuf"])
def form(request: pytest.FixtureRequest) -> Callable[[Event], EventLike]:
    """Each test that takes it runs with events in both forms."""
    return to_message if request.param == "protobuf" else lambda event: event


@pytest.fixture
def full() -> Event:
    """An event with every field set."""

    return Event(
        id="01936f5e-0000-7000-8000-000000000001",
        time=Time(1_795_479_973, 100_000_000),
        tenant="acme",
        action="user.login",
        outcome=2,
        reason="bad password",
        actor=Actor("user", "alice", "Alice", ("admin", "staff"), "s-1", "password"),
        resources=(Resource("account", "42", "Main"), Resource(id="43")),
        origin=Origin(
            "203.0.113.9",
            "curl/8.0",
            "d-1",
            "POST",
            "/login",
            "r-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        producer=Producer("billing-7f", 1041),
        attributes_json='{"mfa":false}',
    )
