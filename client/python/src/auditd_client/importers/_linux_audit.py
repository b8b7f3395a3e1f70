"""The log of the Linux audit daemon (`audit.log`): records that belong to one event are joined.

The records of an event have the same `msg=audit(TIME:SERIAL)`; those of several events may be interleaved. An event is
complete with its record EOE, when the log is two seconds on, or at the end of the file. The lines themselves stay in
the attributes as `original`, beside their decoded fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from auditd_client.importers._audit_fields import executed, read_fields
from auditd_client.importers._lines import Line, lines
from auditd_client.importers._mapping import Reading
from auditd_client.importers._records import MAX_RECORD_BYTES, BadRecord, Found, Record, members_of

_HEAD = re.compile(
    r"(?:node=(?P<node>\S{1,255}) )?type=(?P<type>[A-Z0-9_]{1,64}|UNKNOWN\[\d{1,5}\])"
    r" msg=audit\((?P<seconds>\d{1,12})\.(?P<millis>\d{3}):(?P<serial>\d{1,20})\):[ ]?",
    re.ASCII,
)
# What programs send to the daemon comes in one record; only the kernel says one thing in several.
_ALONE = re.compile(
    r"(?:USER|CRED|DAEMON|SERVICE|SYSTEM|CRYPTO|ADD|DEL|GRP|ACCT|ROLE|VIRT|RESP)_.*|CHGRP_ID|CHUSER_ID|LOGIN"
)
_COMPLETE_AFTER_MS = 2_000
_MAX_OPEN = 1_024
_MAX_RECORDS = 1_024
_UNSET = frozenset(("?", "(null)", "(none)", "(unknown)", "4294967295", "unset", "-1"))


@dataclass(slots=True)
class _Event:
    """The records of one event as far as they were read."""

    head: re.Match[str]
    time_ms: int
    lines: list[Line] = field(default_factory=list)
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    size: int = 0


def read_linux_audit(pieces: Iterator[bytes], _reading: Reading) -> Iterator[list[Found]]:
    """Yield the events of a file."""
    waiting: dict[tuple[str | None, str, str], _Event] = {}
    for batch in lines(pieces):
        found: list[Found] = []
        for line in batch:
            head = _HEAD.match(line.text) if isinstance(line, Line) else None
            if isinstance(line, BadRecord):
                found.append(line)
            elif head is None:
                found.append(
                    BadRecord(line.number, line.raw, "no audit record: expected type=TYPE msg=audit(TIME:SERIAL):")
                )
            else:
                found.extend(map(_record, _join(waiting, line, head)))
        yield found
    yield [_record(event) for event in waiting.values()]


def _join(waiting: dict[Any, _Event], line: Line, head: re.Match[str]) -> Iterator[_Event]:
    """Put a record to its event, and yield the events that are complete now."""
    time = head["seconds"] + head["millis"]
    key = (head["node"], time, head["serial"])
    event = waiting.get(key)
    if event is None:
        event = waiting[key] = _Event(head, int(time))
    event.lines.append(line)
    event.size += len(line.raw)
    event.records.append((head["type"], read_fields(head["type"], line.text[head.end() :])))
    is_full = event.size > MAX_RECORD_BYTES or len(event.records) >= _MAX_RECORDS
    if head["type"] == "EOE" or is_full or _ALONE.fullmatch(head["type"]) is not None:
        yield waiting.pop(key)
    while waiting:
        first = next(iter(waiting))
        if len(waiting) <= _MAX_OPEN and waiting[first].time_ms + _COMPLETE_AFTER_MS > int(time):
            return
        yield waiting.pop(first)


def _record(event: _Event) -> Record:
    head = event.head
    records = [(kind, fields) for kind, fields in event.records if kind != "EOE"] or event.records
    fields: dict[str, Any] = {}
    for kind, own in records:
        if kind not in ("PATH", "EXECVE"):  # each of several paths has an inode of its own
            fields = {**own, **fields}
    paths = [own for kind, own in records if kind == "PATH"]
    arguments = [text for kind, own in records if kind == "EXECVE" for text in executed(own)]
    kept: dict[str, Any] = {"node": head["node"]} if head["node"] else {}
    kept |= {"time": f"{head['seconds']}.{head['millis']}", "serial": head["serial"]}
    kept |= {"types": [kind for kind, _ in records], "fields": fields}
    kept |= {name: value for name, value in (("arguments", arguments), ("paths", paths)) if value}
    values = {name: value for name, value in fields.items() if value not in _UNSET}
    values |= {**kept, "type": records[0][0]}
    kept["original"] = [line.text for line in event.lines]
    raw = b"\n".join(line.raw for line in event.lines)
    return Record(event.lines[0].number, raw, members_of(values, kept))
