"""The schema takes every leaf that is written, sealed values in place of any, and nothing else."""

import copy
from collections.abc import Iterator
from typing import Any

import jsonschema
import orjson
import pytest

from auditd.entry import (
    Event,
    LeafTemplate,
    encode_caller,
    encode_event,
    leaf_schema,
    parse_leaf,
    recorded_at_text,
)
from auditd.entry import _fields as rules
from auditd.entry import _limits as limit

SCHEMA = leaf_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SEALED = {"sealed": "0123456789abcdef" * 4}
Path = tuple[str | int, ...]


@pytest.fixture
def entry(full: Event) -> dict[str, Any]:
    caller = encode_caller("token", "https://idp.example.com", "svc", "j-1", bytes(32))
    template = LeafTemplate("audit.example.com/main", clock_suspect=True)
    leaf = template.leaf(0, recorded_at_text(1), bytes(16), caller, encode_event(full).json)
    entry = parse_leaf(leaf)
    entry["event"]["actor"]["credential"] = "0" * 64
    return entry


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        if name != "attributes":
            yield from paths(inner, (*path, name))


def changed(entry: dict[str, Any], path: Path, value: object) -> dict[str, Any]:
    entry = copy.deepcopy(entry)
    holder: Any = entry
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return entry


def test_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_takes_a_leaf_with_every_member(entry: dict[str, Any]) -> None:
    VALIDATOR.validate(entry)


def test_is_closed_everywhere_but_in_attributes(entry: dict[str, Any]) -> None:
    for path in [(), *paths(entry)]:
        holder: Any = entry
        for name in path:
            holder = holder[name]
        if isinstance(holder, dict):
            extended = changed(entry, (*path, "more"), 1)
            assert VALIDATOR.is_valid(extended) == (path == ("event", "attributes")), path


def test_takes_a_sealed_value_for_any_value_of_an_event(entry: dict[str, Any]) -> None:
    added = {("event", "actor", "identity"), ("event", "actor", "credential")}
    for path in paths(entry["event"], ("event",)):
        sealed = changed(entry, path, SEALED)
        assert VALIDATOR.is_valid(sealed) == (path not in added), path
        assert parse_leaf(orjson.dumps(sealed)) == sealed


def test_takes_no_sealed_value_elsewhere(entry: dict[str, Any]) -> None:
    for name in entry:
        assert not VALIDATOR.is_valid(entry | {name: SEALED}), name


@pytest.mark.parametrize("sealed", ["0" * 63, "0" * 65, "0" * 64 + "\n", "A" * 64, 1])
def test_a_sealed_value_is_a_hash(entry: dict[str, Any], sealed: object) -> None:
    assert not VALIDATOR.is_valid(changed(entry, ("event", "tenant"), {"sealed": sealed}))


def test_refuses_values_of_another_type(entry: dict[str, Any]) -> None:
    for path in paths(entry):
        for value in (None, "", True, 1.5, [], {}):
            if path == ("event", "attributes") and value == {}:
                continue
            assert not VALIDATOR.is_valid(changed(entry, path, value)), (path, value)


def test_requires_what_every_leaf_has(entry: dict[str, Any]) -> None:
    for name in ("v", "log", "index", "recorded_at", "salt", "caller", "event"):
        assert not VALIDATOR.is_valid({key: value for key, value in entry.items() if key != name}), name
    for name in ("id", "time", "action"):
        event = {key: value for key, value in entry["event"].items() if key != name}
        assert not VALIDATOR.is_valid(entry | {"event": event}), name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("v",), 2),
        (("index",), -1),
        (("index",), 2**63),
        (("recorded_at",), "2026-11-24T00:26:13Z"),
        (("recorded_at",), "2026-11-24T00:26:13.12345Z\n"),
        (("salt",), "0" * 30),
        (("caller", "kind"), "god"),
        (("event", "time"), "2026-11-24T00:26:13Z\n"),
        (("event", "time"), "2026-11-24T00:26:13.1Z"),
        (("event", "time"), "2026-11-24T00:26:13+00:00"),
        (("event", "outcome"), "OUTCOME_UNSPECIFIED"),
        (("event", "actor", "identity"), "guessed"),
        (("event", "actor", "roles"), ["a"] * 65),
        (("event", "resources"), [{"id": "a"}] * 65),
        (("event", "producer", "seq"), 0),
        (("event", "producer", "seq"), 2**63),
        (("event", "origin", "ip"), "localhost"),
        (("event", "tenant"), "a\nb"),
        (("event", "reason"), "a\0b"),
        (("log",), "a\nb"),
        (("event", "tenant"), "a\x9bb"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_refuses_values_out_of_bounds(entry: dict[str, Any], path: Path, value: object) -> None:
    assert not VALIDATOR.is_valid(changed(entry, path, value))


def test_every_member_has_a_description() -> None:
    for name, definition in [("leaf", SCHEMA), *SCHEMA["$defs"].items()]:
        for member, schema in definition.get("properties", {}).items():
            if name != "sealed":
                assert schema["description"], (name, member)


@pytest.mark.parametrize(
    ("definition", "fields"),
    [
        ("event", rules.EVENT_TEXTS),
        ("actor", rules.ACTOR_TEXTS),
        ("resource", rules.RESOURCE_TEXTS),
        ("origin", rules.ORIGIN_TEXTS),
        ("producer", rules.PRODUCER_TEXTS),
    ],
)
def test_text_limits_are_those_of_the_code(definition: str, fields: tuple[rules.TextField, ...]) -> None:
    for field in fields:
        member = SCHEMA["$defs"][definition]["properties"][field.name]
        text, sealed = member["anyOf"]
        assert sealed == {"$ref": "#/$defs/sealed"}
        assert text["maxLength"] == field.max_bytes
        assert f"{field.max_bytes:,} bytes" in member["description"]
        assert (text.get("$ref") == "#/$defs/prose") == field.prose


def test_counts_are_those_of_the_code() -> None:
    properties = {name: schema.get("properties", {}) for name, schema in SCHEMA["$defs"].items()}
    assert properties["actor"]["roles"]["anyOf"][0]["maxItems"] == limit.MAX_ROLES
    assert properties["actor"]["roles"]["anyOf"][0]["items"]["anyOf"][0]["maxLength"] == limit.MAX_ROLE_BYTES
    assert properties["event"]["resources"]["anyOf"][0]["maxItems"] == limit.MAX_RESOURCES
    assert properties["producer"]["seq"]["anyOf"][0]["maximum"] == limit.MAX_SEQ
    assert (
        f"{limit.MAX_ATTRIBUTES_BYTES:,} bytes, depth at most {limit.MAX_ATTRIBUTES_DEPTH}"
        in (properties["event"]["attributes"]["description"])
    )
    assert f"{limit.MAX_LEAF_BYTES:,} bytes" in SCHEMA["description"]
