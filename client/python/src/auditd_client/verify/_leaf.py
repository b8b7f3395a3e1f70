"""What an entry's exact bytes say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from auditd_client.verify._errors import MalformedError, quote
from auditd_client.verify._strict import check_integer, read_text
from auditd_client.verify._time import read_time_ns

MAX_LEAF_BYTES = 65_535
"""Largest leaf: the limit of a C2SP tlog-tiles entry bundle."""

_VERSION = 1
_MEMBERS = ("v", "log", "index", "recorded_at", "clock", "salt", "caller", "event")
_EVENT_MEMBERS = (
    "id", "time", "tenant", "action", "outcome", "reason",
    "actor", "resources", "origin", "producer", "attributes",
)  # fmt: skip
_MEMBERS_SET = frozenset(_MEMBERS)
_PARSED_MEMBERS_SET = frozenset(_EVENT_MEMBERS) - {"attributes"}
_ATTRIBUTES = ',"attributes":'
_MAX_OPENINGS = 500
"""Of objects and lists in a leaf that is read in parts; where more might nest too deeply, it is read as a whole."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry, read from its exact bytes; it is as genuine as the proof for those bytes.

    `log` is the origin; `recorded_at` an RFC 3339 time in UTC, not to be relied on if `clock` is
    `SUSPECT` (None otherwise); `caller` says who recorded it and how that was known. `event` holds every
    member but `attributes`, which stay text, exactly as in the leaf (None if absent), for parsing would
    change numbers such as `1.10`.
    """

    raw: bytes = field(repr=False)
    log: str
    index: int
    recorded_at: str
    clock: str | None
    salt: str
    caller: Mapping[str, object]
    event: Mapping[str, object]
    attributes_text: str | None

    @classmethod
    def parse(cls, leaf: bytes) -> Leaf:
        """Read a leaf: one line of JSON, version 1, no unknown or repeated member.

        Raises MalformedError.
        """
        text = read_text(leaf, "leaf", MAX_LEAF_BYTES)
        if "\n" in text:
            raise MalformedError("leaf", "more than one line")
        usual = _usual_members(text)
        try:
            return cls._of(leaf, *(_members(text) if usual is None else usual))
        except RecursionError as error:
            raise MalformedError("leaf", "nested too deeply") from error
        except ValueError as error:
            raise MalformedError("leaf", f"not JSON as a leaf has it: {error}") from error

    @classmethod
    def _of(cls, leaf: bytes, values: Mapping[str, Any], event: Mapping[str, Any], attributes: str | None) -> Leaf:
        _check_values(values)
        return cls(
            raw=leaf,
            log=values["log"],
            index=values["index"],
            recorded_at=values["recorded_at"],
            clock=values.get("clock"),
            salt=values["salt"],
            caller=values["caller"],
            event=event,
            attributes_text=attributes,
        )


def _usual_members(text: str) -> tuple[dict[str, Any], dict[str, Any], str | None] | None:
    """Read a leaf as servers write it, in one pass: no spaces between members, the event last, attributes at its end.

    Returns what `_members` does; None for anything else, and for whatever is to be refused.
    """
    if text.count("{") + text.count("[") > _MAX_OPENINGS:
        return None
    # In valid JSON this can only be a member's name: within a string its quotation marks would be escaped.
    at = text.find(_ATTRIBUTES)
    before, attributes = (text, None) if at < 0 else (text[:at] + "}}", text[at + len(_ATTRIBUTES) : -2])
    if attributes is not None and not text.endswith("}}"):
        return None
    try:
        values, end = _VALUES.raw_decode(before)
        syntax, attributes_end = (None, 0) if attributes is None else _SYNTAX.raw_decode(attributes)
        if end != len(before) or attributes_end != len(attributes or ""):
            return None
        if "\\u" in text:
            _refuse_surrogates((values, syntax))
    except (ValueError, RecursionError):
        return None
    # Closed by two braces, what stands before the attributes is an object whose last member is the object they are in.
    if not isinstance(values, dict) or next(reversed(values), None) != "event":
        return None
    event, version = values.pop("event"), values.get("v")
    if not isinstance(event, dict) or type(version) is not int or version != _VERSION:
        return None
    if attributes is not None and not event:
        return None  # the comma would stand behind nothing
    is_known = values.keys() <= _MEMBERS_SET and event.keys() <= _PARSED_MEMBERS_SET
    return (values, event, attributes) if is_known else None


def _members(text: str) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Return the members of a leaf without its event, those of the event without attributes, and these as text.

    Raises MalformedError, ValueError, RecursionError.
    """
    syntax, end = _SYNTAX.raw_decode(text)
    if end != len(text):
        raise MalformedError("leaf", f"more after the object: {quote(text[end:])}")
    _refuse_surrogates(syntax)
    spans = _spans(text, 0, "leaf")
    version = _VALUES.decode(text[spans["v"]]) if "v" in spans else None
    if type(version) is not int or version != _VERSION:
        raise MalformedError("leaf", f"v is {quote(version)}, this verifier knows {_VERSION}")
    _check_names("leaf", spans, _MEMBERS)
    if "event" not in spans:
        raise MalformedError("leaf", "no member 'event'")
    event_spans = _spans(text, spans["event"].start, "leaf: event")
    _check_names("leaf: event", event_spans, _EVENT_MEMBERS)
    attributes = event_spans.pop("attributes", None)
    values = {name: _VALUES.decode(text[span]) for name, span in spans.items() if name != "event"}
    event = {name: _VALUES.decode(text[span]) for name, span in event_spans.items()}
    return values, event, None if attributes is None else text[attributes]


def _refuse_surrogates(syntax: object) -> None:
    """Raise ValueError for lone surrogates, which escapes can smuggle in, but UTF-8 cannot hold."""
    json.dumps(syntax, ensure_ascii=False).encode()


def _check_names(what: str, spans: Mapping[str, slice], known: tuple[str, ...]) -> None:
    for name in spans:
        if name not in known:
            raise MalformedError(what, f"unknown member {quote(name)}")


def _check_values(values: Mapping[str, Any]) -> None:
    for name in ("log", "index", "recorded_at", "salt", "caller"):
        if name not in values:
            raise MalformedError("leaf", f"no member {name!r}")
    for name in ("log", "recorded_at", "salt"):
        if not isinstance(values[name], str) or not values[name]:
            raise MalformedError("leaf", f"{name} is not a string of some length: {quote(values[name])}")
    check_integer(values["index"], "leaf: index")
    read_time_ns(values["recorded_at"])
    if not values["recorded_at"].endswith("Z"):
        raise MalformedError("leaf", f"recorded_at is not in UTC: {quote(values['recorded_at'])}")
    if values.get("clock", "SUSPECT") != "SUSPECT":
        raise MalformedError("leaf", f"clock is {quote(values['clock'])}, expected 'SUSPECT' or no such member")
    caller = values["caller"]
    if not isinstance(caller, dict) or not isinstance(caller.get("kind"), str):
        raise MalformedError("leaf", f"caller is not an object with a kind: {quote(caller)}")


def _spans(text: str, start: int, what: str) -> dict[str, slice]:
    """Return where the value of each member stands in the object at `start` of JSON known to be valid."""
    if not text.startswith("{", start):
        raise MalformedError(what, f"not an object: {quote(text[start : start + 20])}")
    spans: dict[str, slice] = {}
    position = _skip(text, start + 1)
    while text[position] != "}":
        name, position = _SYNTAX.raw_decode(text, position)
        value_start = _skip(text, _skip(text, position) + 1)
        _, value_end = _SYNTAX.raw_decode(text, value_start)
        spans[name] = slice(value_start, value_end)
        position = _skip(text, value_end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return spans


def _skip(text: str, position: int) -> int:
    """Return the position of the next token; spaces are the only white space in a line without tabs."""
    while text[position] == " ":
        position += 1
    return position


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"member {quote(repeated)} twice in one object")
    return members


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"number not allowed here: {quote(number)}")


# Numbers of attributes are not converted: they may be longer than Python's integers allow.
_SYNTAX = json.JSONDecoder(object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_refuse)
_VALUES = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
