"""Templates of a mapping: text in which `{path}` stands for a value of the record.

`{userIdentity.arn}` is the member `arn` of the member `userIdentity`, `{sourceIPs.0}` the first item of a list; a name
that holds a dot, a quote or a brace stands in double quotes: `{annotations."authorization.k8s.io/decision"}`.
Filters follow behind bars: `{eventSource|without .amazonaws.com}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from auditd_client.importers._errors import MappingError

Values: TypeAlias = Mapping[str, Any]

_STEP = re.compile(r'"([^"]+)"|([^."|{}]+)')
_FIELD = re.compile(r'\{((?:"[^"]*"|[^"{}])*)\}')


def _without(text: str, argument: str) -> str:
    return text.removesuffix(argument)


def _before(text: str, argument: str) -> str:
    return text.partition(argument)[0]


def _after(text: str, argument: str) -> str:
    return text.partition(argument)[2]


def _lower(text: str, _argument: str) -> str:
    return text.lower()


FILTERS: Mapping[str, Callable[[str, str], str]] = {
    "without": _without,
    "before": _before,
    "after": _after,
    "lower": _lower,
}
"""What may stand behind a bar: with a suffix to leave out, with a text to cut at, or alone."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value stands in a record: names of members, and numbers of items, from 0."""

    steps: tuple[str, ...]

    @property
    def top(self) -> str:
        """The record's own member that the path begins with."""
        return self.steps[0]

    def find(self, values: Values) -> object:
        """Return the value, None if there is none."""
        found: Any = values.get(self.steps[0])
        for step in self.steps[1:]:
            if type(found) is dict:
                found = found.get(step)
            elif type(found) is list and step.isdecimal() and len(step) < 6 and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found

    def reader(self) -> Callable[[Values], str]:
        """Return what reads the value as text, empty if there is none that can be one."""
        name = self.steps[0]

        def read(values: Values) -> str:
            value = values.get(name)
            return value if type(value) is str else text_of(value)

        def read_within(values: Values) -> str:
            return "" if values.get(name) is None else text_of(self.find(values))

        return read if len(self.steps) == 1 else read_within

    def __str__(self) -> str:
        return ".".join(step if _STEP.fullmatch(step) else f'"{step}"' for step in self.steps)


@dataclass(frozen=True, slots=True)
class Part:
    """A path in a template with its filters, each a name and an argument."""

    path: Path
    filters: tuple[tuple[str, str], ...] = ()

    def reader(self) -> Callable[[Values], str]:
        """Return what reads the value as text, empty if there is none that can be one."""
        read = self.path.reader()
        for name, argument in self.filters:
            read = _filtered(read, FILTERS[name], argument)
        return read


def _filtered(
    read: Callable[[Values], str], change: Callable[[str, str], str], argument: str
) -> Callable[[Values], str]:
    return lambda values: change(read(values), argument)


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text and parts, as they follow each other."""

    written: str
    pieces: tuple[str | Part, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts without the literal text."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Part))

    @property
    def plain(self) -> Path | None:
        """The path, if the template is one path and nothing else."""
        if len(self.pieces) == 1 and isinstance(piece := self.pieces[0], Part) and not piece.filters:
            return piece.path
        return None

    def reader(self) -> Callable[[Values], str]:
        """Return what reads the text of a record, empty if one of the parts is."""
        if self.plain is not None:
            return self.plain.reader()
        if not self.parts:
            return lambda _values: self.written
        pieces = [("", piece.reader()) if isinstance(piece, Part) else (piece, None) for piece in self.pieces]

        def read(values: Values) -> str:
            found = ""
            for text, reader in pieces:
                if reader is not None and not (text := reader(values)):
                    return ""
                found += text
            return found

        return read


def text_of(value: object) -> str:
    """Return text, numbers as written and truth values as text; empty for everything else."""
    if isinstance(value, str):  # numbers too: they are kept as they were written
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return ""


def parse_path(text: str) -> Path:
    """Return the path that a text names.

    Raises MappingError if it names none.
    """
    steps: list[str] = []
    position = 0
    while (match := _STEP.match(text, position)) is not None:
        steps.append(match[1] or match[2].strip())
        position = match.end()
        if position == len(text) and all(steps):
            return Path(tuple(steps))
        if not text.startswith(".", position):
            break
        position += 1
    raise MappingError(f"{text[:80]!r} is no path such as `user.name`")


def parse_template(text: str) -> Template:
    """Return the template that a text is.

    Raises MappingError for a brace without its other half, an empty text, a bad path or an unknown filter.
    """
    pieces: list[str | Part] = []
    position = 0
    for match in _FIELD.finditer(text):
        pieces.append(_literal(text, text[position : match.start()]))
        pieces.append(_part(match[1]))
        position = match.end()
    pieces.append(_literal(text, text[position:]))
    found = tuple(piece for piece in pieces if piece != "")
    if not found:
        raise MappingError("an empty template")
    return Template(text, found)


def _literal(template: str, text: str) -> str:
    if "{" in text or "}" in text:
        raise MappingError(f"{template[:80]!r}: a brace without its other half")
    return text


def _part(text: str) -> Part:
    path, *written = text.split("|")
    filters = []
    for one in written:
        name, _, argument = one.strip().partition(" ")
        if name not in FILTERS or (argument == "") != (name == "lower"):
            raise MappingError(f"{{{text[:80]}}}: expected `without TEXT`, `before TEXT`, `after TEXT` or `lower`")
        filters.append((name, argument))
    return Part(parse_path(path.strip()), tuple(filters))
