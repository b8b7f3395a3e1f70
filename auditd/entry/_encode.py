"""Batches of events to the JSON bytes that leaves carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from auditd.errors import InvalidRequestError, Violation

from ._attributes import AttributesError, encode_attributes
from ._fields import member_violations, violations_of
from ._limits import MAX_VIOLATIONS, Limits
from ._model import EventLike
from ._read import RefusedError, read_event

_ATTRIBUTES = b',"attributes":'


class EncodedEvent(NamedTuple):
    """A well-formed event, encoded once.

    It keeps little but the bytes: parsing members again costs less than keeping those of a whole batch, which
    leave no room for anything else in a processor's cache.
    """

    json: bytes
    """The exact text of the leaf's `event` object."""
    id: str
    time: str
    """As in the leaf: RFC 3339, UTC, 0, 3, 6 or 9 fraction digits."""
    time_ns: int
    """Nanoseconds since 1970-01-01T00:00:00Z."""
    fields_end: int
    """Length of the part of `json` before attributes, or before the closing brace if they are absent."""
    sent: bytes = b""
    """That part as it was sent, where a token came along, for then the server adds to it; else empty."""

    @property
    def fields_json(self) -> bytes:
        """The leaf's `event` object but for `attributes`."""
        return self.json[: self.fields_end] + b"}"

    @property
    def fields(self) -> dict[str, Any]:
        """Its members, parsed anew at each call."""
        return orjson.loads(self.fields_json)  # type: ignore[no-any-return]

    @property
    def sent_fields(self) -> dict[str, Any]:
        """The same of what was sent, before a token's claims were added."""
        return orjson.loads((self.sent or self.json[: self.fields_end]) + b"}")  # type: ignore[no-any-return]

    @property
    def attributes(self) -> bytes:
        """The text of `attributes` as in the leaf; empty if absent."""
        return self.json[self.fields_end + len(_ATTRIBUTES) : -1]


def encode_events(events: Sequence[EventLike], limits: Limits | None = None) -> list[EncodedEvent]:
    """Check the shape of a batch and encode it; one bad event refuses all.

    Raises InvalidRequestError as `require_count` and `require_none` do.
    """
    require_count(len(events), limits or Limits())
    encoded, violations = judge_events(events)
    require_none(violations)
    return encoded


def require_count(count: int, limits: Limits) -> None:
    """Raise InvalidRequestError `INVALID_BATCH` for no event or too many."""
    if not 1 <= count <= limits.max_batch_events:
        rule = f"{count} events, must be 1 to {limits.max_batch_events} (max_batch_events)"
        facts = {"limit": "max_batch_events", "value": str(limits.max_batch_events)} if count else {}
        raise InvalidRequestError("INVALID_BATCH", f"events: {rule}", (Violation("events", rule),), facts)


def require_none(violations: Sequence[Violation]) -> None:
    """Raise InvalidRequestError `INVALID_EVENT` with the first 20 violations, if there are any."""
    if violations:
        first = violations[0]
        problem = f"{first.field}: {first.description}"
        raise InvalidRequestError("INVALID_EVENT", problem, violations[:MAX_VIOLATIONS])


def judge_events(events: Sequence[EventLike], first: int = 0) -> tuple[list[EncodedEvent], list[Violation]]:
    """Return events encoded, or else the violations of those that are bad, of as many as it takes to have 20.

    The paths are such as `events[3].actor.id`, counted from `first`.
    """
    encoded: list[EncodedEvent] = []
    violations: list[Violation] = []
    for position, event in enumerate(events, first):
        try:
            encoded.append(_encode(event))
        except RefusedError as refused:
            violations += violations_of(event, f"events[{position}]", refused.attributes)
            if len(violations) >= MAX_VIOLATIONS:
                break
    return encoded, violations


def encode_event(event: EventLike) -> EncodedEvent:
    """Check the shape of one event and encode it. Raises InvalidRequestError as `encode_events` does."""
    return encode_events((event,))[0]


def _encode(event: EventLike) -> EncodedEvent:
    members, time_ns = read_event(event)
    try:
        json = orjson.dumps(members)
    except orjson.JSONEncodeError:
        raise RefusedError from None
    # ASCII without escapes and DEL holds no control character, and as many bytes as characters. Whatever
    # else there is, is looked at closely.
    if (not json.isascii() or b"\\" in json or b"\x7f" in json) and any(member_violations(event, "")):
        raise RefusedError
    fields_end = len(json) - 1
    if text := event.attributes_json:
        try:
            json = b"".join((json[:-1], _ATTRIBUTES, encode_attributes(text), b"}"))
        except AttributesError as error:
            raise RefusedError(error) from None
    return EncodedEvent(json, members["id"], members["time"], time_ns, fields_end)
