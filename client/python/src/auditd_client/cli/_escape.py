"""Recorded text on a terminal: what could move the cursor, hide or reorder text is shown as an escape."""

from __future__ import annotations

import re

# Letters and marks that draw nothing though they count as printable: Hangul fillers, the combining grapheme
# joiner, Khmer inherent vowels, Mongolian and other variation selectors, the blank Braille pattern.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    r"""Return text that is safe on a terminal, on one line.

    Control, escape, bidi, zero-width, unassigned and otherwise invisible characters become `\n`, `\u202e`
    or `\U000e0001`. Everything else stays.
    """
    if text.isprintable() and (text.isascii() or _INVISIBLE.search(text) is None):
        return text
    return "".join(map(_shown_character, text))


def shown_json(text: str) -> str:
    """Return the same JSON value safe on a terminal: the characters of `shown` as JSON escapes.

    They can stand raw only within strings of a one-line JSON text, where an escape means the same.
    """
    if text.isprintable() and (text.isascii() or _INVISIBLE.search(text) is None):
        return text
    return "".join(map(_json_character, text))


def shown_lines(text: str) -> str:
    """Return text that is safe on a terminal, its line breaks kept."""
    return "\n".join(map(shown, text.split("\n")))


def _is_harmless(character: str) -> bool:
    return character.isprintable() and _INVISIBLE.match(character) is None


def _shown_character(character: str) -> str:
    if _is_harmless(character):
        return character
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def _json_character(character: str) -> str:
    if _is_harmless(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
