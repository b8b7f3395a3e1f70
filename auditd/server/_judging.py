"""Appends that native code leaves to Python: their events are parsed and judged a few at a time.

Most of them are to be refused, and some were made to be hard to read. So no more is parsed at once than others can wait
for, nor is more of it in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from auditd.entry import MAX_EVENT_BYTES, EncodedEvent, Limits, judge_events, require_count, require_none
from auditd.errors import InvalidRequestError, RequestError, UnsupportedError, Violation
from auditd_proto.v1.audit_log_service_pb2 import AppendRequest
from auditd_proto.v1.event_pb2 import Event

_PART_EVENTS = 100
_PART_BYTES = 64 * 1024
_COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""What gzip (RFC 1952) and zlib at each of its levels (RFC 1950) begin with."""
_MORE_BYTES = 256 * 1024
"""Beyond the first mistake others are looked for in so many bytes."""


class Envelope(Protocol):
    """An `AppendRequest` whose events are not parsed."""

    log: str
    events: Sequence[bytes]
    return_leaves: bool
    include_proofs: bool
    known_size: int

    def HasField(self, name: str) -> bool:  # noqa: N802 -- as messages have it
        """Tell whether an optional field is there."""


def read_envelope(data: bytes) -> Envelope:
    """Read an `AppendRequest`, its events unparsed. Raises InvalidRequestError `MALFORMED_REQUEST`."""
    try:
        return _ENVELOPE.FromString(data)  # type: ignore[return-value]  # made of the message's own description
    except DecodeError as error:
        raise malformed(AppendRequest, data) from error


def malformed(kind: type[Message], data: bytes = b"") -> RequestError:
    """Return the error for a request whose bytes, `data` if it was read as a whole, are no message of this kind."""
    if data.startswith(_COMPRESSED):
        # What is compressed comes as it was sent: unpacked, it could be a thousand times as large.
        return UnsupportedError("COMPRESSED_REQUEST", "the request is compressed; send it as it is (identity)")
    return InvalidRequestError("MALFORMED_REQUEST", f"the request is no {kind.DESCRIPTOR.full_name} message")


def _unparsed(kind: type[Message], name: str) -> type[Message]:
    """Return a message that reads the same bytes, and leaves those of a repeated message as they are."""
    file = FileDescriptorProto(name="auditd/server/envelope.proto", package="auditd.server", syntax="proto3")
    kind.DESCRIPTOR.CopyToProto(file.message_type.add())
    field = next(field for field in file.message_type[0].field if field.name == name)
    field.type = FieldDescriptorProto.TYPE_BYTES
    field.ClearField("type_name")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{kind.DESCRIPTOR.name}"))


_ENVELOPE = _unparsed(AppendRequest, "events")


@dataclass(frozen=True, slots=True)
class Judged:
    """The events of a batch, encoded, and the tokens of actors that came along, by position."""

    events: list[EncodedEvent]
    tokens: dict[int, str]


@dataclass(frozen=True, slots=True)
class Unjudged:
    """The events of a batch as they came, of which the first `good` are known to be well-formed."""

    events: Sequence[bytes]
    good: int = 0


Part = tuple[int, Sequence[bytes]]
"""Some events of a batch, and the position of the first of them before."""


class EventJudge:
    """Judges batches in turns: a part of one, then a part of the next. Belongs to the event loop's thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = asyncio.Lock()

    async def judge(self, unjudged: Unjudged) -> Judged:
        """Parse events, check their shape, and encode them; one bad event refuses all.

        Raises InvalidRequestError as `encode_events` does, and `MALFORMED_REQUEST`.
        """
        require_count(len(unjudged.events), self._limits)
        parts = list(_parts(unjudged.events))
        # What is known to be good breaks no rule, and is read only if nothing else does.
        known = sum(first + len(part) <= unjudged.good for first, part in parts)
        rest = await self._judge_parts(parts[known:])
        begin = await self._judge_parts(parts[:known])
        return Judged(begin.events + rest.events, begin.tokens | rest.tokens)

    async def _judge_parts(self, parts: Sequence[Part]) -> Judged:
        judged = Judged([], {})
        violations: list[Violation] = []
        more_bytes = _MORE_BYTES
        for number, (first, part) in enumerate(parts):
            if number:
                await asyncio.sleep(0)
            async with self._turn:
                violations += _judge(part, first, judged)
            if violations:
                more_bytes -= sum(map(len, part))
                if more_bytes < 0:
                    break
        require_none(violations)
        return judged


def _judge(part: Sequence[bytes], first: int, judged: Judged) -> Sequence[Violation]:
    for position, data in enumerate(part, first):
        if len(data) > MAX_EVENT_BYTES:
            return (Violation(f"events[{position}]", f"{len(data)} bytes, limit {MAX_EVENT_BYTES}"),)
    try:
        parsed = [Event.FromString(data) for data in part]
    except DecodeError as error:
        raise malformed(AppendRequest) from error
    encoded, violations = judge_events(parsed, first)
    judged.events.extend(encoded)
    judged.tokens.update((first + at, event.actor_token) for at, event in enumerate(parsed) if event.actor_token)
    return violations


def _parts(events: Sequence[bytes]) -> Iterator[Part]:
    """Divide events into parts that take a few milliseconds each."""
    first = end = size = 0
    for end, data in enumerate(events):
        if end > first and (end - first == _PART_EVENTS or size + len(data) > _PART_BYTES):
            yield first, events[first:end]
            first, size = end, 0
        size += len(data)
    yield first, events[first : end + 1]
