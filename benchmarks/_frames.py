"""Append requests made before the clock starts: encoded once, then given fresh names and random values in place."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from random import Random

from google.protobuf.message import Message

from auditd_client import Event

ID_BYTES = 36
"""Length of a UUID as text: every event's id has it, so no length ever changes."""

_EVENTS_TAG = b"\x12"  # AppendRequest.events
_ID_PREFIX = b"\x0a" + bytes([ID_BYTES])  # Event.id
_TIME_PREFIX = b"\x12\x0c\x08"  # Event.time of 12 bytes: seconds and nanos of five bytes each
_NANOS_TAG = b"\x10"
_INCLUDE_PROOFS = b"\x20\x01"
# Identifiers: what real events have afresh in each. Anything else stays as the template has it.
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}")
_DIGIT = re.compile(r"[0-9a-f]")
# Stands for a random digit until the message is encoded. No event holds it, and a tag or length that is alike
# never lies beside a run of it: only the length of a text of 127 bytes would.
_MARK = "\x7f"
_MARKS = re.compile(rb"\x7f{4,}")


@dataclass(frozen=True, slots=True)
class Template:
    """An encoded event without id and time, cut where its random hexadecimal digits are.

    `literals` has one item more than `widths`, the numbers of digits between them. `event_bytes` is the length
    of the whole message, id and time included.
    """

    literals: tuple[bytes, ...]
    widths: tuple[int, ...]
    event_bytes: int

    @property
    def digits(self) -> int:
        """How many random digits an event of this template takes, its id's included."""
        return sum(self.widths) + 32


def make_template(event: Event) -> Template:
    """Cut an event into what stays and what is made afresh; its id and time are not kept."""
    rest = Event()
    rest.CopyFrom(event)
    rest.ClearField("id")
    rest.ClearField("time")
    _mark_random(rest)
    data = rest.SerializeToString()
    literals, widths, end = [], [], 0
    for run in _MARKS.finditer(data):
        literals.append(data[end : run.start()])
        widths.append(len(run[0]))
        end = run.end()
    literals.append(data[end:])
    return Template(tuple(literals), tuple(widths), len(data) + 2 + ID_BYTES + 14)


def _mark_random(message: Message) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            setattr(message, field.name, _RANDOM.sub(lambda found: _DIGIT.sub(_MARK, found[0]), value))
        elif isinstance(value, Message):
            _mark_random(value)
        elif field.message_type is not None:
            for item in value:
                _mark_random(item)


def five_byte_varint(value: int) -> bytes:
    """Return a protobuf varint of `value`, which is in [0, 2^35), always in five bytes."""
    return bytes([value >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)]) + bytes([value >> 28])


def varint(value: int) -> bytes:
    """Return the protobuf varint of a value that is not negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class EventMaker:
    """Makes encoded events, each with an id of its own and a time a microsecond after the last one's.

    `start_ns` is the time of the first, in nanoseconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self, templates: Sequence[Template], start_ns: int) -> None:
        self._templates = cycle(templates)
        self._prefixes = {template: _EVENTS_TAG + varint(template.event_bytes) for template in templates}
        self._times_us = count(start_ns // 1_000)

    def set_clock(self, now_ns: int) -> None:
        """Give the next event this time, in nanoseconds since 1970-01-01T00:00:00Z."""
        self._times_us = count(now_ns // 1_000)

    def events(self, number: int) -> list[bytes]:
        """Return events as they stand in an AppendRequest: tag, length, message."""
        templates = list(islice(self._templates, number))
        digits = os.urandom(sum(template.digits + 1 for template in templates) // 2 + 1).hex().encode()
        made, at = [], 0
        for template in templates:
            event, at = self._event(template, digits, at)
            made.append(event)
        return made

    def _event(self, template: Template, digits: bytes, at: int) -> tuple[bytes, int]:
        seconds, micros = divmod(next(self._times_us), 1_000_000)
        identifier = digits[at : at + 32]
        at += 32
        parts = [
            self._prefixes[template],
            _ID_PREFIX,
            b"-".join((identifier[:8], identifier[8:12], identifier[12:16], identifier[16:20], identifier[20:])),
            _TIME_PREFIX,
            five_byte_varint(seconds),
            _NANOS_TAG,
            five_byte_varint(micros * 1_000),
            template.literals[0],
        ]
        for width, literal in zip(template.widths, template.literals[1:], strict=True):
            parts += (digits[at : at + width], literal)
            at += width
        return b"".join(parts), at

    def requests(self, batch: int, number: int, *, proofs: bool = False) -> Iterator[bytes]:
        """Yield encoded append requests of `batch` events each."""
        options = _INCLUDE_PROOFS if proofs else b""
        for _ in range(number):
            yield b"".join(self.events(batch)) + options


class SkewedMaker:
    """Makes requests as several callers would, each with a clock of its own that is up to two seconds wrong."""

    def __init__(self, templates: Sequence[Template], callers: int) -> None:
        random = Random(callers)
        self._makers = [EventMaker([*templates[caller:], *templates[:caller]], 0) for caller in range(callers)]
        self._skews_ns = [random.randrange(-2_000_000_000, 2_000_000_000) for _ in range(callers)]

    def requests(self, batch: int, number: int, *, proofs: bool = False) -> Iterator[bytes]:
        """Yield encoded append requests of `batch` events each, of one caller after the other."""
        for caller in islice(cycle(range(len(self._makers))), number):
            self._makers[caller].set_clock(time.time_ns() + self._skews_ns[caller])
            yield from self._makers[caller].requests(batch, 1, proofs=proofs)


def make_templates(events: Iterable[Event]) -> list[Template]:
    """Return one template an event."""
    return [make_template(event) for event in events]
