"""Walks JSON text member by member, so that each can be kept as it was written."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NamedTuple, NoReturn

import msgspec

_SPACE = re.compile(r"[ \t\n\r]*")


class NumberText(str):
    """A JSON number as it was written: neither `1.10` nor a forty-digit integer loses a digit."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_scan_once = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText, parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
# What the scanner raises where no value begins, where nesting is too deep, and where a value is malformed.
_SCAN_ERRORS = (StopIteration, RecursionError, ValueError)
_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class JsonTextError(ValueError):
    """The text is not JSON, or not of the shape asked for; the message says where."""


class JsonObject(NamedTuple):
    """An object within a JSON text.

    `values` are its members parsed (numbers as NumberText), `texts` the same members as written, each
    `"key":value`, both in the order of the text. `end` is the position after the closing brace.
    """

    values: dict[str, Any]
    texts: dict[str, str]
    end: int


def skip_space(text: str, position: int) -> int:
    """Return the first position from `position` on that holds no JSON white space."""
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def value_at(text: str, position: int) -> tuple[Any, int]:
    """Parse the value that begins at `position`; return it and the position after it.

    Raises JsonTextError where there is none, for NaN and Infinity, and where nesting is too deep to parse.
    """
    try:
        value, end = _scan_once(text, position)
    except _SCAN_ERRORS as error:
        raise _text_error(error, position) from None
    return value, end


def key_at(text: str, position: int) -> tuple[str, int]:
    """Parse the key that begins at `position`; return it and the position of its value.

    Raises JsonTextError if there is no string followed by a colon.
    """
    if not text.startswith('"', position):
        raise JsonTextError(f"no member name at character {position}")
    try:
        key, end = scanstring(text, position + 1, True)
    except ValueError as error:
        raise JsonTextError(f"not JSON: {error}") from None
    end = skip_space(text, end)
    if not text.startswith(":", end):
        raise JsonTextError(f"no colon at character {end}")
    return key, skip_space(text, end + 1)


def object_at(text: str, position: int) -> JsonObject:
    """Parse the object that begins at `position`, keeping the text of each member.

    Raises JsonTextError if it is no object, or names a member twice, for then nobody can say which holds.
    """
    return _compact_object(text, position) or _walked_object(text, position)


def _compact_object(text: str, position: int) -> JsonObject | None:
    """Parse an object as machines write it: no white space, no escapes in its keys; None for any other.

    Two parsers in C find values and members. That the members as they were found fill the object to the byte shows
    that none stands twice and that each begins where it is cut.
    """
    try:
        values, end = _scan_once(text, position)
        written = text[position:end]
        data = written if written.isascii() else written.encode()
        members = _members_of(data)
    except (*_SCAN_ERRORS, msgspec.MsgspecError):
        return None
    texts: dict[str, Any] = {}
    begin = len("{")
    for key, value in members.items():
        behind = begin + len(key) + len(value) + len('"":')
        texts[key] = data[begin:behind]
        begin = behind + len(",")
    if begin != len(data):
        return None
    if data is not written:
        texts = {key: member.decode() for key, member in texts.items()}
    return JsonObject(values, texts, end)


def _walked_object(text: str, position: int) -> JsonObject:
    if not text.startswith("{", position):
        raise JsonTextError(f"no JSON object at character {position}")
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    end = position
    while True:
        begin = _next_key(text, end, is_first=end == position)
        if text.startswith("}", begin):
            return JsonObject(values, texts, begin + 1)
        key, end = key_at(text, begin)
        value, end = value_at(text, end)
        if key in values:
            raise JsonTextError(f"member {key!r} stands twice, again at character {begin}")
        values[key] = value
        texts[key] = text[begin:end]


def _next_key(text: str, position: int, *, is_first: bool) -> int:
    """Return where the next key begins, or the closing brace stands; `position` is behind the last value."""
    position = skip_space(text, position)
    if is_first:
        return skip_space(text, position + 1)
    if text.startswith("}", position):
        return position
    if not text.startswith(",", position):
        raise JsonTextError(f"neither comma nor closing brace at character {position}")
    position = skip_space(text, position + 1)
    if text.startswith("}", position):
        raise JsonTextError(f"no member name at character {position}")
    return position


def _text_error(error: Exception, position: int) -> JsonTextError:
    if isinstance(error, StopIteration):
        return JsonTextError(f"no JSON value at character {position}")
    if isinstance(error, RecursionError):
        return JsonTextError(f"nested too deeply at character {position}")
    return JsonTextError(f"not JSON: {error}")
