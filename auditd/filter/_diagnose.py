"""What is wrong with a filter, said so that its author finds it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from auditd.errors import InvalidRequestError, Violation

_MARGIN = 36
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", ":"})


def refusal(
    text: str, position: int, problem: str, nearest: Sequence[str] = (), limit: tuple[str, int] | None = None
) -> InvalidRequestError:
    """Return the error for `problem` at `text[position]`: its column, from 1, and a line with a caret.

    Facts of the error are `column`, `nearest`, the fields that may be meant, and of a limit its name and value.
    """
    column = position + 1
    start = max(0, position - _MARGIN)
    excerpt = text[start : position + _MARGIN]
    line = _printable(excerpt)
    description = f"{_printable(problem)} (at column {column})"
    message = f"filter: {description}\n  {line}\n  {' ' * _width(line[: position - start])}^"
    facts = {"column": str(column)}
    if nearest:
        facts["nearest"] = ",".join(nearest)
    if limit:
        facts |= {"limit": limit[0], "value": str(limit[1])}
    return InvalidRequestError("INVALID_FILTER", message, (Violation("filter", description),), facts)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in {"W", "F"})
        for character in text
    )


def out_of_place(found: str, expected: Collection[str]) -> str:
    """Describe a token that the grammar does not allow where it stands.

    Args:
        found: the token's text; empty at the end of the filter.
        expected: names of the grammar's terminals that may stand there.

    """
    if found == "*":
        return 'a text with * must stand in quotation marks, such as "ali*"'
    if found == ")" and "$END" in expected:
        return "this ) closes nothing"
    if "NEGATIVE" in expected:
        wanted = "a value"
    elif set(expected) == {"RPAR"}:
        wanted = "a closing )"
    elif found in _OPERATORS:
        return f"{found} must follow the name of a field; a value that holds it must stand in quotation marks"
    else:
        wanted = "a field, a word or a quoted text"
    if not found:
        return f"the filter ends where {wanted} must stand"
    return f"{_shown(found)} stands where {wanted} must stand"


def strange_character(text: str, position: int) -> str:
    """Describe a character that begins no token."""
    character = text[position]
    if character in "\"'":
        return "this quotation mark is never closed"
    if character in "&|":
        return f"{character} is no operator; write AND or OR"
    if character == ".":
        return "a dot must stand between two names, without spaces"
    return f"{_shown(character)} must stand in quotation marks"


def _printable(text: str) -> str:
    # Whatever does not print would move the caret, or speak to a terminal.
    return "".join(character if character.isprintable() else " " for character in text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
