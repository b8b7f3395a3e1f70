"""The members of one JSON object, with one member's text kept exactly as it is written."""

from __future__ import annotations

import json
import re
from collections import Counter
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NoReturn

_SPACE = r"[ \t\n\r]*"
_opening = re.compile(rf"{_SPACE}\{{").match
_name_and_colon = re.compile(rf'{_SPACE}"([^"\\]*(?:\\.[^"\\]*)*)"{_SPACE}:{_SPACE}', re.DOTALL).match
_comma_or_closing = re.compile(rf"{_SPACE}([,}}])").match
_closing = re.compile(rf"{_SPACE}\}}").match
_all_space = re.compile(_SPACE).fullmatch


class JsonTextError(ValueError):
    """The text is no JSON object; the message says what is wrong and where."""


def read_members(text: str, kept: str) -> dict[str, Any]:
    """Return the members of the JSON object `text`; the value of the member `kept` is its own text.

    Raises JsonTextError if `text` is anything but one JSON object (RFC 8259), or the object or one
    inside it, other than the kept one, names a member twice.
    """
    try:
        return _read_object(text, kept)
    except json.JSONDecodeError as error:
        raise JsonTextError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonTextError("not readable: nested too deeply") from error


def _read_object(text: str, kept: str) -> dict[str, Any]:
    members: dict[str, Any] = {}
    token = _opening(text)
    if token is None:
        raise JsonTextError("not a JSON object")
    empty = _closing(text, token.end())
    if empty is not None:
        return _ended(text, empty.end(), members)
    while True:
        at = token.end()
        head = _name_and_colon(text, at)
        if head is None:
            raise json.JSONDecodeError("Expecting a member name and a colon", text, at)
        name, _ = scanstring(text, head.start(1), True)
        if name in members:
            raise JsonTextError(f"the member {name[:64]!r} is named twice")
        start = head.end()
        if name == kept:
            _, at = _any_value.raw_decode(text, start)
            members[name] = text[start:at]
        else:
            members[name], at = _strict_value.raw_decode(text, start)
        token = _comma_or_closing(text, at)
        if token is None:
            raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
        if token[1] == "}":
            return _ended(text, token.end(), members)


def _ended(text: str, end: int, members: dict[str, Any]) -> dict[str, Any]:
    if _all_space(text, end) is None:
        raise json.JSONDecodeError("more text after the object", text, end)
    return members


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise JsonTextError(f"the member {twice[:64]!r} is named twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise JsonTextError(f"not JSON: {name} is no JSON number")


def _integer(digits: str) -> int | float:
    # Python refuses to convert thousands of digits; no member of an event needs more than 20.
    return int(digits) if len(digits) <= 20 else float("inf")


_strict_value = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant, parse_int=_integer)
# Finds where a value ends; its numbers stay text, because their own text is what is kept.
_any_value = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
