"""The members of one JSON object, with one member's text kept exactly as it is written."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NoReturn

_skip_space = re.compile(r"[ \t\n\r]*").match


class JsonTextError(ValueError):
    """The text is no JSON object; the message says what is wrong and where."""


def read_members(text: str, kept: str) -> dict[str, Any]:
    """Return the members of the JSON object `text`; the value of the member `kept` is its own text.

    Raises JsonTextError if `text` is anything but one JSON object (RFC 8259), or the object or one
    inside it, other than the kept one, names a member twice.
    """
    try:
        members, end = _read_object(text, _after_space(text, 0), kept)
    except json.JSONDecodeError as error:
        raise JsonTextError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonTextError("not readable: nested too deeply") from error
    if end != len(text):
        raise JsonTextError(f"not JSON: more text after the object, at character {end}")
    return members


def _read_object(text: str, at: int, kept: str) -> tuple[dict[str, Any], int]:
    if not text.startswith("{", at):
        raise JsonTextError("not a JSON object")
    members: dict[str, Any] = {}
    at = _after_space(text, at + 1)
    if text.startswith("}", at):
        return members, _after_space(text, at + 1)
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting a member name", text, at)
        name, at = scanstring(text, at + 1, True)
        if name in members:
            raise JsonTextError(f"the member {name[:64]!r} is named twice")
        at = _after_space(text, at)
        if not text.startswith(":", at):
            raise json.JSONDecodeError("Expecting ':'", text, at)
        start = _after_space(text, at + 1)
        if name == kept:
            _, at = _any_value.raw_decode(text, start)
            members[name] = text[start:at]
        else:
            members[name], at = _strict_value.raw_decode(text, start)
        at = _after_space(text, at)
        if text.startswith("}", at):
            return members, _after_space(text, at + 1)
        if not text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _skip_space(text, at)
    assert match is not None
    return match.end()


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for position, name in enumerate(names) if name in names[:position])
        raise JsonTextError(f"the member {twice[:64]!r} is named twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise JsonTextError(f"not JSON: {name} is no JSON number")


def _integer(digits: str) -> int | float:
    # Python refuses to convert thousands of digits; no member of an event needs more than 20.
    return int(digits) if len(digits) <= 20 else float("inf")


_strict_value = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_constant=_refuse_constant, parse_int=_integer
)
# Finds where a value ends; its numbers stay text, because their own text is what is kept.
_any_value = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
