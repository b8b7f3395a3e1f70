"""Applies a mapping: from the members of a record to an event.

A member leaves the attributes only when a field of the event says exactly the same; every other member stays there
under its own name, its text as it was written, in the record's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as AnyMapping
from typing import Any, TypeAlias

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from auditd_client.importers._errors import RecordError
from auditd_client.importers._fields import FIELDS, MAX_RESOURCES, MAX_ROLES, RESOURCE_FIELDS, Field
from auditd_client.importers._mapping import Condition, Mapping, ResourceRule, Rule
from auditd_client.importers._members import JsonObject, object_at
from auditd_client.importers._templates import Path, Template, Values, text_of
from auditd_proto.v1.event_pb2 import Actor, Event, Origin, Outcome, Producer, Resource

_Texts: TypeAlias = dict[str, str]
_Filler: TypeAlias = Callable[[Values, _Texts], Any]
"""Takes the values of a record and the texts of its members; takes out those that the field says exactly."""

_MAX_CACHED = 4096
_MAX_CACHED_TEXT = 4096


class Mapper:
    """Makes events of records as a mapping says; holds small caches, so use it from one thread."""

    def __init__(self, mapping: Mapping) -> None:
        own = [rule for rule in mapping.rules if "." not in rule.to]
        self._event = _Section("", own)
        self._parts = [
            (name, message, section)
            for name, message in (("actor", Actor), ("origin", Origin), ("producer", Producer))
            if (section := _Section(name + ".", [rule for rule in mapping.rules if rule.to.startswith(name + ".")]))
        ]
        self._resources = _Resources(mapping.resources)
        self._needed = tuple((rule, FIELDS[rule.to]) for rule in own if rule.required or rule.to in ("time", "action"))
        self._spread, self._same = mapping.reading.spread, mapping.reading.same

    def event(self, record: JsonObject, derived_id: Callable[[], str]) -> Event:
        """Return the event that a record maps to; `derived_id` names one that the mapping gives no id.

        Raises RecordError if a field that an event needs cannot be filled.
        """
        values, rest = record.values, record.texts.copy()
        found = self._event.fill(values, rest)
        for rule, expected in self._needed:
            if rule.to not in found:
                raise _missing(rule, expected, values)
        if "id" not in found:
            found["id"] = derived_id()
        for name, message, section in self._parts:
            members = section.cached(record, message) if section.source else section.made(values, rest, message)
            if members is not None:
                found[name] = members
        if resources := self._resources.make(record):
            found["resources"] = resources
        for name in self._same:
            if name in rest and name in found and _written(found[name]) == values[name]:
                del rest[name]
        if self._spread in rest:
            rest = _spread(self._spread, values, rest)
        event = Event(**found)
        if rest:
            event.attributes_json = "{" + ",".join(rest.values()) + "}"
        return event


class _Section:
    """The rules for the fields of one message, in the order in which they are tried."""

    def __init__(self, prefix: str, rules: Sequence[Rule]) -> None:
        by_name: dict[str, list[Rule]] = {}
        for rule in rules:
            by_name.setdefault(rule.to.removeprefix(prefix), []).append(rule)
        self._fields = [
            (name, tuple(_filler(rule, FIELDS[rule.to]) for rule in each)) for name, each in by_name.items()
        ]
        self.source = _only_source(rules)
        self._cache: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._fields)

    def fill(self, values: Values, rest: _Texts) -> dict[str, Any]:
        """Return the fields that the record fills; what they say exactly is taken out of `rest`."""
        found = {}
        for name, fillers in self._fields:
            for fill in fillers:
                if value := fill(values, rest):
                    found[name] = value
                    break
        return found

    def made(self, values: Values, rest: _Texts, message: Callable[..., Any]) -> Any:  # noqa: ANN401 - the message
        found = self.fill(values, rest)
        return message(**found) if found else None

    def cached(self, record: JsonObject, message: Callable[..., Any]) -> Any:  # noqa: ANN401 - the message
        """Return the message for a section that reads one member only: most records are of few identities."""
        text = record.texts.get(self.source, "")
        if text in self._cache:
            return self._cache[text]
        made = self.made(record.values, {}, message)
        if len(text) <= _MAX_CACHED_TEXT:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[text] = made
        return made


class _Resources:
    """The rules that make resources."""

    def __init__(self, rules: Sequence[ResourceRule]) -> None:
        self._rules = [(rule.each, _test(rule.when), _resource_readers(rule)) for rule in rules]

    def make(self, record: JsonObject) -> list[Resource]:
        found: list[Resource] = []
        for each, holds, readers in self._rules:
            if not holds(record.values):
                continue
            for item in _items(each, record.values):
                fields: dict[str, str] = {}
                for name, fits, read in readers:
                    if (text := read(item)) and fits(text):
                        fields.setdefault(name, text)
                if fields.keys() & {"id", "name"} and len(found) < MAX_RESOURCES:
                    found.append(Resource(**fields))
        return found


def _resource_readers(rule: ResourceRule) -> list[tuple[str, Callable[[str], bool], Callable[[Values], str]]]:
    """Return for each template of a resource the field that it fills, in the order in which they are tried."""
    return [
        (name, RESOURCE_FIELDS[name].fits, template.reader())
        for name, templates in rule.templates.items()
        for template in templates
    ]


def _items(each: Path | None, values: Values) -> Sequence[Values]:
    if each is None:
        return (values,)
    items = each.find(values)
    return [item for item in items if type(item) is dict] if type(items) is list else ()


def _only_source(rules: Sequence[Rule]) -> str:
    """Return the one member that all rules read and leave where it is, empty if there is none."""
    if any(rule.moves for rule in rules):
        return ""
    paths = [part.path for rule in rules for template in rule.templates for part in template.parts]
    tops = {path.top for path in (*paths, *(condition.path for rule in rules for condition in rule.when))}
    return tops.pop() if len(tops) == 1 else ""


def _test(when: Sequence[Condition]) -> Callable[[Values], bool]:
    """Return the question whether all conditions hold of a record."""
    tests = tuple((condition.path.reader(), condition.pattern.fullmatch) for condition in when)
    if len(tests) == 1:
        ((read, matches),) = tests
        return lambda values: bool(text := read(values)) and matches(text) is not None

    def holds(values: Values) -> bool:
        return all((text := read(values)) and matches(text) is not None for read, matches in tests)

    return holds


def _filler(rule: Rule, field: Field) -> _Filler:
    """Return what fills a field as a rule says: it gives None or something empty if it does not.

    Rules are taken apart once, not for every record.
    """
    if rule.to == "actor.roles":
        fill = _roles(rule, field)
    elif rule.to == "time":
        fill = _time(rule, field)
    else:
        fill = _text(rule, field)
    if not rule.when:
        return fill
    holds = _test(rule.when)
    return lambda values, rest: fill(values, rest) if holds(values) else None


def _text(rule: Rule, field: Field) -> _Filler:
    fits = field.fits
    convert = Outcome.Value if rule.to == "outcome" else field.value
    readers = tuple((template.reader(), _moved(rule, template)) for template in rule.templates)

    def fill(values: Values, rest: _Texts) -> Any:  # noqa: ANN401 - as the field has it
        for read, moved in readers:
            if (text := read(values)) and fits(text):
                if moved:
                    _take_out(moved, values, rest)
                return text if convert is str else convert(text)
        return None

    return fill


def _moved(rule: Rule, template: Template) -> tuple[str, ...]:
    """Return the members that leave the attributes when a template of a rule gives the field its text."""
    if rule.moves is True:
        plain = template.plain
        return plain.steps if plain is not None and len(plain.steps) == 1 else ()
    return rule.moves or ()


def _take_out(names: Sequence[str], values: Values, rest: _Texts) -> None:
    for name in names:
        if type(values.get(name)) is not str:  # a number that became text is not said exactly
            return
    for name in names:
        rest.pop(name, None)


def _time(rule: Rule, field: Field) -> _Filler:
    readers = tuple((template.reader(), _moved(rule, template), template) for template in rule.templates)
    parse, keeps = rule.time.read, rule.time.keeps

    def fill(values: Values, rest: _Texts) -> Timestamp | None:
        for read, moved, template in readers:
            if (text := read(values)) and field.fits(text):
                try:
                    time = parse(text)
                except RecordError as error:
                    raise RecordError(f"{template.plain}: {error}") from None
                if moved and keeps(text):
                    _take_out(moved, values, rest)
                return time
        return None

    return fill


def _roles(rule: Rule, field: Field) -> _Filler:
    readers = tuple((template, template.reader()) for template in rule.templates)

    def fill(values: Values, _rest: _Texts) -> list[str]:
        for template, read in readers:
            value = None if template.plain is None else template.plain.find(values)
            texts = map(text_of, value) if type(value) is list else [read(values)]
            if roles := [text for text in texts if field.fits(text)][:MAX_ROLES]:
                return roles
        return []

    return fill


def _written(value: Any) -> Any:  # noqa: ANN401 - of a message
    """Return a message or a list of them as the members of a record would be that says the same."""
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, Message):
        return {descriptor.name: _written(found) for descriptor, found in value.ListFields()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _spread(name: str, values: AnyMapping[str, Any], rest: _Texts) -> _Texts:
    """Return `rest` with the members of its member `name` in its place, if that is an object.

    Raises RecordError if one of these names stands in the record as well.
    """
    if type(values.get(name)) is not dict:
        return rest
    inner = object_at(rest[name], rest[name].index("{")).texts
    spread: _Texts = {}
    for key, text in rest.items():
        members = inner if key == name else {key: text}
        if both := spread.keys() & members.keys():
            raise RecordError(f"{next(iter(both))}: stands in the record and in its {name!r}")
        spread.update(members)
    return spread


def _missing(rule: Rule, expected: Field, values: Values) -> RecordError:
    """Say why a field that an event needs is not filled."""
    names = {str(part.path): part.path for template in rule.templates for part in template.parts}
    for name, path in names.items():
        value = path.find(values)
        if value is None and len(rule.templates) == 1:
            return RecordError(f"{name}: missing")
        if value is not None and not (isinstance(value, str) and expected.fits(value)):
            return RecordError(f"{name}: {value!r:.80} is no {expected.expected}")
    return RecordError(f"{' or '.join(names) or rule.to}: missing")
