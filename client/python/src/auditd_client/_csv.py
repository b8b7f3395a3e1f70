"""CSV that a spreadsheet takes as text, and that gives back what was recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

GUARD = "'"
"""What stands before text that a spreadsheet could calculate, and before text that begins with it."""

# A spreadsheet calculates a cell that begins with one of these signs (the last four are the full-width forms of the
# first four), and some skip white space and characters that draw nothing before it.
_BLANK = "\\s\\0\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_FORMULA = re.compile(f"[{_BLANK}]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_QUOTE = re.compile('[",\r\n\v\f\x1c-\x1e\x85\u2028\u2029]|^ | $')
_STARTS = ("\t", "\r", "\n", GUARD)


def guarded(text: str) -> str:
    """Return `text` as a cell that no spreadsheet calculates.

    Text that begins with an apostrophe, a tab or a line break, or with a sign of a formula, blank or invisible
    characters before it or not, gets an apostrophe in front; `unguarded` takes it away again.
    """
    return GUARD + text if text.startswith(_STARTS) or _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that a cell stands for: the inverse of `guarded`."""
    return cell.removeprefix(GUARD)


def csv_text(rows: Iterable[Sequence[object]], line_end: str = "\r\n", last: Callable[[str], str] = str) -> str:
    """Return rows as CSV after RFC 4180, each value as `cell` gives it; `last` has the last word on its text."""
    return "".join(",".join(_quoted(last(cell(value))) for value in row) + line_end for row in rows)


def _quoted(text: str) -> str:
    # Python's csv leaves a lone carriage return bare where lines end with a line feed, and readers break there.
    return '"' + text.replace('"', '""') + '"' if _QUOTE.search(text) else text


def cell(value: object) -> str:
    """Return a value as a cell: text guarded, None empty, a truth value `true` or `false`."""
    return guarded(value) if isinstance(value, str) else plain(value)


def plain(value: object) -> str:
    """Return a value as text for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
