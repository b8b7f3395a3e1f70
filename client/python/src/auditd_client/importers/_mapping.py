"""Mappings: which field of an event comes from where in a record. Tables of data, read from TOML.

The formats that come with the client are such files (`mappings/`), and a user's own mapping is one more. Nothing here
or in what applies them knows any format.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from auditd_client.importers._clock import RFC_3339, TimeForm
from auditd_client.importers._errors import MappingError
from auditd_client.importers._fields import FIELDS, RESOURCE_FIELDS
from auditd_client.importers._templates import Path, Template, parse_path, parse_template

FORMS = ("json", "csv", "syslog", "linux-audit")
"""How records can be found in a file."""

MAX_MAPPING_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds if there is a value at the path whose text the whole pattern matches."""

    path: Path
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Fills a field with the first template that gives text which fits, if all conditions hold.

    `moves` names members of the record that the field then says exactly, so that they leave the attributes;
    True: the member that the template is, if it is one.
    """

    to: str
    templates: tuple[Template, ...]
    when: tuple[Condition, ...] = ()
    moves: bool | tuple[str, ...] = False
    required: bool = False
    time: TimeForm = field(default_factory=TimeForm)


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """Adds a resource, or with `each` one for every item of a list, if it gets an id or a name."""

    each: Path | None
    templates: AnyMapping[str, tuple[Template, ...]]
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How the records of a format are found: one of FORMS, and what that wants to know.

    `array` is the member that holds the records of a JSON document, `spread` the member whose own members
    become attributes, `same` members with the shape of the event's field of that name, which leave the attributes
    if both say the same; `files` and `excluded` are patterns for the files of a folder.
    """

    form: str
    array: str = ""
    spread: str = ""
    same: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    delimiter: str = ","
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """A format: its name, how its records are found, and the rules for its events."""

    name: str
    reading: Reading
    rules: tuple[Rule, ...]
    resources: tuple[ResourceRule, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()

    def with_constants(self, constants: Iterable[tuple[str, str]]) -> Mapping:
        """Return the mapping with fields that have the same text in every event.

        Raises MappingError for a field that does not exist, is set twice, or cannot hold the text.
        """
        given = tuple(constants)
        for position, (name, text) in enumerate(given):
            if name not in FIELDS or name in ("id", "time"):
                known = ", ".join(name for name in FIELDS if name not in ("id", "time"))
                raise MappingError(f"{name[:80]!r} is no field that can be set; known are {known}")
            if not FIELDS[name].fits(text):
                raise MappingError(f"{name}: {text[:80]!r} is no {FIELDS[name].expected}")
            if any(name == other for other, _ in given[:position]):
                raise MappingError(f"{name}: set twice")
        fixed = tuple(Rule(name, (Template(text, (text,)),)) for name, text in given)
        return replace(self, rules=fixed + self.rules, constants=given)


def built_in_text(name: str) -> str:
    """Return the mapping file of a format that comes with the client."""
    return files("auditd_client.importers").joinpath("mappings", f"{name}.toml").read_text(encoding="utf-8")


def parse_mapping(text: str) -> Mapping:
    """Return the mapping that a TOML text describes.

    Raises MappingError naming the table at fault.
    """
    try:
        table = _Table("", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MappingError(f"no TOML: {error}") from error
    name = table.text("name", "mapping")
    reading = _reading(table.table("read"))
    rules = tuple(_rule(item) for item in table.tables("field"))
    resources = tuple(_resource(item) for item in table.tables("resource"))
    table.end()
    for needed in ("time", "action"):
        if not any(rule.to == needed for rule in rules):
            raise MappingError(f"field: none fills {needed!r}, which every event needs")
    return Mapping(name, reading, rules, resources)


class _Table:
    """A table of the file, and which of its keys were used."""

    def __init__(self, place: str, values: dict[str, Any]) -> None:
        self.place = place
        self._values = dict(values)

    def fail(self, message: str) -> MappingError:
        return MappingError(f"{self.place}: {message}" if self.place else message)

    def take(self, key: str, kinds: type | tuple[type, ...], expected: str, default: Any = None) -> Any:  # noqa: ANN401
        value = self._values.pop(key, default)
        if value is not default and not isinstance(value, kinds):
            raise self.fail(f"{key}: expected {expected}")
        return value

    def text(self, key: str, default: str = "") -> str:
        return str(self.take(key, str, "text", default))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, (str, list), "text or a list of texts", ())
        items = [value] if isinstance(value, str) else value
        if not all(isinstance(item, str) and item for item in items):
            raise self.fail(f"{key}: expected text or a list of texts")
        return tuple(items)

    def table(self, key: str) -> _Table:
        return _Table(f"{self.place}.{key}".lstrip("."), self.take(key, dict, "a table", {}))

    def tables(self, key: str) -> Sequence[_Table]:
        items = self.take(key, list, f"tables [[{key}]]", [])
        if not all(isinstance(item, dict) for item in items):
            raise self.fail(f"{key}: expected tables [[{key}]]")
        return [_Table(f"{key}[{position}]", item) for position, item in enumerate(items)]

    def items(self) -> Iterable[tuple[str, Any]]:
        items, self._values = self._values.items(), {}
        return items

    def end(self) -> None:
        if self._values:
            raise self.fail(f"unknown key {next(iter(self._values))!r}")


def _reading(table: _Table) -> Reading:
    form, delimiter = table.text("as"), table.text("delimiter", ",")
    if form not in FORMS:
        raise table.fail(f"as: {form!r}, expected one of {', '.join(FORMS)}")
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise table.fail(f"delimiter: {delimiter!r}, expected one character")
    reading = Reading(
        form,
        array=table.text("array"),
        spread=table.text("spread"),
        same=table.texts("same"),
        files=table.texts("files"),
        excluded=table.texts("excluded"),
        delimiter=delimiter,
        columns=table.texts("columns"),
    )
    table.end()
    return reading


def _rule(table: _Table) -> Rule:
    to = table.text("to")
    if to not in FIELDS:
        raise table.fail(f"to: {to[:80]!r} is no field; known are {', '.join(FIELDS)}")
    table.place += f" ({to})"
    templates = _templates(table, "from")
    if not templates:
        raise table.fail("from: missing")
    when = _conditions(table)
    form, zone = table.text("as", RFC_3339), table.text("zone")
    if to != "time" and (form, zone) != (RFC_3339, ""):
        raise table.fail("as: only the field `time` can be read in other ways")
    if to == "time" and any(template.plain is None for template in templates):
        raise table.fail("from: a time must be one value, such as {when}")
    try:
        time = TimeForm(form, zone)
    except MappingError as error:
        raise table.fail(str(error)) from error
    rule = Rule(
        to, templates, when, _moves(table, templates, when), table.take("required", bool, "a truth value", False), time
    )
    table.end()
    return rule


def _moves(table: _Table, templates: Sequence[Template], when: Sequence[Condition]) -> bool | tuple[str, ...]:
    moves = table.take("moves", (bool, list), "a truth value or a list of members", False)
    if isinstance(moves, bool):
        return moves
    conditions = {condition.path.steps for condition in when}
    for name in moves:
        # What leaves the attributes must be found again in the field; through a filter only a condition assures that.
        parts = [next((part for part in template.parts if part.path.steps == (name,)), None) for template in templates]
        if any(part is None or (part.filters and part.path.steps not in conditions) for part in parts):
            raise table.fail(f"moves: {name!r} does not stand whole in every template")
    return tuple(moves)


def _resource(table: _Table) -> ResourceRule:
    each = table.text("each")
    templates = {name: found for name in RESOURCE_FIELDS if (found := _templates(table, name))}
    if not templates.keys() & {"id", "name"}:
        raise table.fail("a resource needs an id or a name")
    try:
        path = parse_path(each) if each else None
    except MappingError as error:
        raise table.fail(f"each: {error}") from error
    rule = ResourceRule(path, templates, _conditions(table))
    table.end()
    return rule


def _templates(table: _Table, key: str) -> tuple[Template, ...]:
    try:
        return tuple(parse_template(text) for text in table.texts(key))
    except MappingError as error:
        raise table.fail(f"{key}: {error}") from error


def _conditions(table: _Table) -> tuple[Condition, ...]:
    found = []
    for path, pattern in table.table("when").items():
        try:
            found.append(Condition(parse_path(path), re.compile(pattern, re.DOTALL)))
        except (MappingError, re.error, TypeError) as error:
            raise table.fail(f"when: {path}: {error}") from error
    return tuple(found)
