"""A TOML text with several slips of the pen: Python's reader stops at the first, an operator wants to know of all."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from auditd.errors import Violation

_MAX_SLIPS = 20
_PLACE = re.compile(r"^(.*) \(at line (\d+), column \d+\)$", re.DOTALL)
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\b")
_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_SET_TWICE = "Cannot overwrite a value"
_OF_NO_SETTING = "1979-05-27"
"""A value, a date, that is of no setting's type."""


@dataclass(slots=True)
class TomlText:
    """What could be read of a text.

    `slips` are settings whose lines are no TOML, with their lines; in `values`, and in `text`, those of `unread` have
    a value that no setting takes, so that nobody takes them for missing. `stop` is where reading ended, as line and
    problem; None if it did not.
    """

    text: str
    values: dict[str, Any] = field(default_factory=dict)
    slips: list[tuple[int, Violation]] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    stop: tuple[int, str] | None = None


def read_toml(text: str) -> TomlText:
    """Read a text, passing over lines that set one thing each and are no TOML."""
    read = TomlText(text)
    lines = text.splitlines()
    passed: set[int] = set()
    while read.stop is None:
        try:
            read.values = tomllib.loads(read.text)
            break
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            problem, line = _place(str(error), len(lines))
            key = _KEY.match(lines[line - 1]) if line <= len(lines) else None
            if key is None or line in passed or len(passed) == _MAX_SLIPS:
                read.stop = (line, problem)
                break
            passed.add(line)
            name = _table_above(lines, line) + key[1]
            if problem.startswith(_SET_TWICE):
                problem = "is set above already"
                lines[line - 1] = ""
            else:
                problem = f"no TOML: {problem}; text stands in quotes"
                lines[line - 1] = f"{key[1]} = {_OF_NO_SETTING}"
                read.unread.add(name)
            read.slips.append((line, Violation(name, problem)))
            read.text = "\n".join(lines)
    return read


def _place(message: str, lines: int) -> tuple[str, int]:
    found = _PLACE.match(message)
    return (found[1], int(found[2])) if found else (message, max(lines, 1))


def _table_above(lines: Sequence[str], line: int) -> str:
    """Return what stands before the names of settings on a line, such as `issuers[1].claims.`."""
    counts: dict[str, int] = {}
    where = ""
    for text in lines[: line - 1]:
        header = _HEADER.match(text)
        if header is None:
            continue
        name = header[2]
        if header[1]:
            counts[name] = counts.get(name, -1) + 1
        parts = name.split(".")
        numbered = (f"{part}[{counts[part]}]" if part in counts else part for part in parts)
        where = ".".join(numbered) + "."
    return where
