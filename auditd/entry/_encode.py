"""Batches of events to the JSON bytes that leaves carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from auditd.errors import InvalidRequestError, Violation

from ._attributes import AttributesError, encode_attributes
from ._fields import violations_of
from ._limits import MAX_VIOLATIONS, Limits
from ._model import EventLike
from ._read import RefusedError, read_event

_LINE_BREAK = orjson.Fragment(b"\n")


class EncodedEvent(NamedTuple):
    """A well-formed event, encoded once."""

    json: bytes
    """The exact text of the leaf's `event` object."""
    fields: dict[str, Any]
    """The members of that object but for `attributes`; to be read, not changed."""
    attributes: bytes
    """The text of `attributes` in the leaf; empty if absent."""
    time_ns: int
    """The event's time in nanoseconds since 1970-01-01T00:00:00Z."""

    @property
    def id(self) -> str:
        """The event's id."""
        return self.fields["id"]  # type: ignore[no-any-return]

    @property
    def time(self) -> str:
        """The event's time as in the leaf: RFC 3339, UTC, 0, 3, 6 or 9 fraction digits."""
        return self.fields["time"]  # type: ignore[no-any-return]


def encode_events(events: Sequence[EventLike], limits: Limits | None = None) -> list[EncodedEvent]:
    """Check the shape of a batch and encode it; one bad event refuses all.

    Raises InvalidRequestError `INVALID_BATCH` for no event or too many, and `INVALID_EVENT` with the first
    20 violations, whose paths are such as `events[3].actor.id`.
    """
    limits = limits or Limits()
    if not 1 <= len(events) <= limits.max_batch_events:
        rule = f"{len(events)} events, must be 1 to {limits.max_batch_events}"
        raise InvalidRequestError("INVALID_BATCH", f"events: {rule}", (Violation("events", rule),))
    try:
        return _encode(events)
    except RefusedError:
        violations = tuple(islice(_violations(events), MAX_VIOLATIONS))
    first = violations[0]
    raise InvalidRequestError("INVALID_EVENT", f"{first.field}: {first.description}", violations)


def encode_event(event: EventLike) -> EncodedEvent:
    """Check the shape of one event and encode it. Raises InvalidRequestError as `encode_events` does."""
    return encode_events((event,))[0]


def _violations(events: Sequence[EventLike]) -> Iterator[Violation]:
    for position, event in enumerate(events):
        try:
            _encode((event,))
        except RefusedError:
            yield from violations_of(event, f"events[{position}]")


def _encode(events: Sequence[EventLike]) -> list[EncodedEvent]:
    read = [read_event(event) for event in events]
    fields = [members for members, _ in read]
    texts = _dump(fields, events)
    attributes = [_attributes(event.attributes_json) for event in events]
    json = [
        b"".join((text[:-1], b',"attributes":', raw, b"}")) if raw else text
        for text, raw in zip(texts, attributes, strict=True)
    ]
    return list(map(EncodedEvent, json, fields, attributes, [time_ns for _, time_ns in read]))


def _dump(fields: list[dict[str, Any]], events: Sequence[EventLike]) -> list[bytes]:
    spaced: list[Any] = [_LINE_BREAK] * (2 * len(fields) - 1)
    spaced[::2] = fields
    try:
        lines = orjson.dumps(spaced)[1:-1]
    except orjson.JSONEncodeError:
        raise RefusedError from None
    # orjson writes no raw line break, so what lies between two is one event.
    texts = lines.split(b",\n,")
    if not _is_plain(lines):
        for event, text in zip(events, texts, strict=True):
            if not _is_plain(text) and any(violations_of(event, "")):
                raise RefusedError
    return texts


def _is_plain(json: bytes) -> bool:
    """Whether no text in `json` holds a control character, nor more bytes than characters."""
    return json.isascii() and b"\\" not in json and b"\x7f" not in json


def _attributes(text: str) -> bytes:
    if not text:
        return b""
    try:
        return encode_attributes(text)
    except AttributesError:
        raise RefusedError from None
