"""Syslog messages (RFC 5424 section 6), one a line.

The line itself stays in the attributes as `original`, beside its parts, so that what is decoded can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from auditd_client.importers._errors import RecordError
from auditd_client.importers._lines import Line, lines
from auditd_client.importers._mapping import Reading
from auditd_client.importers._records import BadRecord, Found, Record, members_of

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")

_HEADER = re.compile(
    r"<(?P<priority>0|[1-9]\d{0,2})>(?P<version>[1-9]\d{0,2}) (?P<timestamp>\S{1,64})"
    r" (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) ",
    re.ASCII,
)
_ELEMENT = re.compile(
    r'\[(?P<id>[!#-<>-\\^-~]{1,32})(?P<parameters>(?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\.)*")*)\]',
    re.ASCII | re.DOTALL,
)
_PARAMETER = re.compile(r' ([^=]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
_NIL = "-"
_MARK = "\ufeff"


def read_syslog(pieces: Iterator[bytes], _reading: Reading) -> Iterator[list[Found]]:
    """Yield the messages of a file, one a line."""
    for batch in lines(pieces):
        yield [_record(line) if isinstance(line, Line) else line for line in batch]


def _record(line: Line) -> Found:
    try:
        values = parse_message(line.text)
    except RecordError as error:
        return BadRecord(line.number, line.raw, str(error))
    return Record(line.number, line.raw, members_of(values, {**values, "original": line.text}))


def parse_message(text: str) -> dict[str, Any]:
    """Return the parts of a message; what it leaves nil is absent.

    Raises RecordError for what is no message of RFC 5424.
    """
    header = _HEADER.match(text)
    if header is None:
        raise RecordError("no RFC 5424 header: expected <PRI>1 TIMESTAMP HOST APP PROCID MSGID")
    priority = int(header["priority"])
    if priority > 191:
        raise RecordError(f"<{priority}>: limit 191")
    if header["version"] != "1":
        raise RecordError(f"version {header['version']}, expected 1")
    data, end = _structured_data(text, header.end())
    if end < len(text) and text[end] != " ":
        raise RecordError(f"no space behind the structured data, at character {end}")
    values: dict[str, Any] = {"facility": FACILITIES[priority >> 3], "severity": SEVERITIES[priority & 7]}
    values |= {name: header[name] for name in ("timestamp", "host", "app", "procid", "msgid") if header[name] != _NIL}
    if data:
        values["structured_data"] = data
    if message := text[end + 1 :].removeprefix(_MARK):
        values["message"] = message
    return values


def _structured_data(text: str, position: int) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the elements by id, each with its parameters, and the position behind them.

    A parameter that stands several times has a list of values.
    """
    if text.startswith(_NIL, position):
        return {}, position + 1
    found: dict[str, dict[str, Any]] = {}
    begin = position
    while (element := _ELEMENT.match(text, position)) is not None:
        if element["id"] in found:
            raise RecordError(f"structured data: {element['id']!r} stands twice")
        parameters: dict[str, list[str]] = {}
        for name, value in _PARAMETER.findall(element["parameters"]):
            parameters.setdefault(name, []).append(_ESCAPED.sub(r"\1", value))
        found[element["id"]] = {name: each[0] if len(each) == 1 else each for name, each in parameters.items()}
        position = element.end()
    if position == begin:
        raise RecordError(f'no structured data at character {position}: expected `-` or [ID NAME="VALUE"]')
    return found, position
