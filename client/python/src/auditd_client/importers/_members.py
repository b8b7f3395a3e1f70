"""Walks JSON text member by member, so that each can be kept as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN_FIRST_KEY = re.compile(r'{"([^"\\\x00-\x1f]*)":(?![ \t\n\r])').match
_PLAIN_NEXT_KEY = re.compile(r',"([^"\\\x00-\x1f]*)":(?![ \t\n\r])').match


class NumberText(str):
    """A JSON number as it was written: neither `1.10` nor a forty-digit integer loses a digit."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_scan_once = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText, parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
# What the scanner raises where no value begins, where nesting is too deep, and where a value is malformed.
_SCAN_ERRORS = (StopIteration, RecursionError, ValueError)


class JsonTextError(ValueError):
    """The text is not JSON, or not of the shape asked for; the message says where."""


@dataclass(frozen=True, slots=True)
class JsonObject:
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
    if not text.startswith("{", position):
        raise JsonTextError(f"no JSON object at character {position}")
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    end, plain_key = position, _PLAIN_FIRST_KEY
    while True:
        # Machines write plain names and no white space: one match, from brace or comma on, finds the value.
        if (match := plain_key(text, end)) is not None:
            begin, key, end = end + 1, match[1], match.end()
        else:
            begin = _next_key(text, end, is_first=end == position)
            if text.startswith("}", begin):
                return JsonObject(values, texts, begin + 1)
            key, end = key_at(text, begin)
        try:
            value, end = _scan_once(text, end)
        except _SCAN_ERRORS as error:
            raise _text_error(error, end) from None
        if key in values:
            raise JsonTextError(f"member {key!r} stands twice, again at character {begin}")
        values[key] = value
        texts[key] = text[begin:end]
        plain_key = _PLAIN_NEXT_KEY


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


def objects_at(text: str, position: int) -> Iterator[JsonObject]:
    """Yield the objects of the array that begins at `position`, each as soon as it is parsed.

    Raises JsonTextError if it is no array of objects.
    """
    if not text.startswith("[", position):
        raise JsonTextError(f"no JSON array at character {position}")
    end = skip_space(text, position + 1)
    if text.startswith("]", end):
        return
    while True:
        item = object_at(text, skip_space(text, end))
        yield item
        end = skip_space(text, item.end)
        if text.startswith("]", end):
            return
        if not text.startswith(",", end):
            raise JsonTextError(f"neither comma nor closing bracket at character {end}")
        end += 1


def _text_error(error: Exception, position: int) -> JsonTextError:
    if isinstance(error, StopIteration):
        return JsonTextError(f"no JSON value at character {position}")
    if isinstance(error, RecursionError):
        return JsonTextError(f"nested too deeply at character {position}")
    return JsonTextError(f"not JSON: {error}")
