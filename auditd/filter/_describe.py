"""A term of a filter, written out for people."""

from __future__ import annotations

from auditd.filter._ast import (
    Comparison,
    Constant,
    FreeText,
    Network,
    Number,
    Pattern,
    Period,
    Present,
    Relative,
    Text,
    Time,
    Value,
)
from auditd.filter._values import network_text

_MAX_SHOWN = 200


def describe(term: Comparison | FreeText) -> str:
    """Return a term much as a filter would write it, at most 200 characters, without line breaks."""
    if isinstance(term, FreeText):
        text = _quoted(term.text)
    else:
        text = f"{'.'.join(term.path)} {term.operator} {_value(term.value)}"
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _value(value: Value) -> str:
    match value:
        case Text(text):
            return _quoted(text)
        case Pattern(text, before, after):
            return f"{'*' * before}{text}{'*' * after}".join(('"', '"'))
        case Number(_, text) | Constant(_, text):
            return text
        case Time(canonical):
            return canonical + "Z"
        case Period(start, end):
            return f"{start}Z to {end}Z"
        case Relative(offset_s):
            return f"now{offset_s:+}s"
        case Network(version, low, high):
            return network_text(version, low, high)
        case Present():
            return "*"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
