"""The shape of an event, and the events that the server records about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class TimeLike(Protocol):
    """Shape of `google.protobuf.Timestamp`; both zero means absent."""

    @property
    def seconds(self) -> int: ...
    @property
    def nanos(self) -> int: ...


class ActorLike(Protocol):
    """Shape of `auditd.v1.Actor`."""

    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> Sequence[str]: ...
    @property
    def session_id(self) -> str: ...
    @property
    def auth_method(self) -> str: ...


class ResourceLike(Protocol):
    """Shape of `auditd.v1.Resource`."""

    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


class OriginLike(Protocol):
    """Shape of `auditd.v1.Origin`."""

    @property
    def ip(self) -> str: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def device_id(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...


class ProducerLike(Protocol):
    """Shape of `auditd.v1.Producer`."""

    @property
    def id(self) -> str: ...
    @property
    def seq(self) -> int: ...


class EventLike(Protocol):
    """Shape of `auditd.v1.Event`: an empty string, a zero or a message without content is absent."""

    @property
    def id(self) -> str: ...
    @property
    def time(self) -> TimeLike: ...
    @property
    def tenant(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def outcome(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def actor(self) -> ActorLike: ...
    @property
    def resources(self) -> Sequence[ResourceLike]: ...
    @property
    def origin(self) -> OriginLike: ...
    @property
    def producer(self) -> ProducerLike: ...
    @property
    def attributes_json(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Time:
    """A moment since 1970-01-01T00:00:00Z; `nanos` is 0 to 999,999,999."""

    seconds: int = 0
    nanos: int = 0

    @classmethod
    def from_ns(cls, time_ns: int) -> Time:
        """Return the moment `time_ns` nanoseconds after 1970-01-01T00:00:00Z."""
        return cls(*divmod(time_ns, 1_000_000_000))


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it."""

    type: str = ""
    id: str = ""
    name: str = ""
    roles: Sequence[str] = ()
    session_id: str = ""
    auth_method: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What it was done to."""

    type: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where it came from."""

    ip: str = ""
    user_agent: str = ""
    device_id: str = ""
    method: str = ""
    endpoint: str = ""
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Producer:
    """The process that produced the event, and its place in that process's sequence."""

    id: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """An event with the shape of `auditd.v1.Event`; the server records its own acts with it."""

    id: str = ""
    time: TimeLike = Time()
    tenant: str = ""
    action: str = ""
    outcome: int = 0
    reason: str = ""
    actor: ActorLike = Actor()
    resources: Sequence[ResourceLike] = ()
    origin: OriginLike = Origin()
    producer: ProducerLike = Producer()
    attributes_json: str = ""
