"""The reference of filters says what the program does."""

import json
import re
from pathlib import Path

import pytest

from auditd.errors import InvalidRequestError
from auditd.filter import DEFAULT_LIMITS, FIELDS, parse
from auditd.filter._fields import OPERATORS

TEXT = (Path(__file__).parents[2] / "docs/reference/filter.md").read_text("utf-8")
EXAMPLES = re.findall(r"^    (\w.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("text", [example for example in EXAMPLES if not example.startswith("filter:")])
def test_examples_are_filters(text):
    parse(text)


def test_the_refusal_is_shown_as_it_is():
    with pytest.raises(InvalidRequestError) as caught:
        parse("a AND b OR c")
    assert "".join(f"    {line}\n" for line in caught.value.message.split("\n")) in TEXT


def test_every_field_is_listed():
    cells = re.findall(r"^\| (`.*?) \|", TEXT.partition("## Fields")[2].partition("### Attributes")[0], re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}
    assert listed == {field.name for field in FIELDS.values()} - {"attributes"}


def test_limits_are_those_of_the_program():
    for figure in (DEFAULT_LIMITS.max_bytes, DEFAULT_LIMITS.max_depth, DEFAULT_LIMITS.max_terms):
        assert f" {figure:,}" in TEXT.partition("## Limits")[2]


def test_the_grammar_is_shown_as_it_is_parsed():
    grammar = (Path(__file__).parents[2] / "auditd/filter/grammar.lark").read_text("utf-8")
    shown = TEXT.partition("```lark\n")[2].partition("\n```")[0]
    assert shown == grammar[grammar.index("start:") :].rstrip()


def test_every_operator_and_every_word_of_an_enum_is_shown():
    table = TEXT.partition("## Operators")[2].partition("\n- ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\S+)`", cell)} == set().union(*OPERATORS.values())
    for field in FIELDS.values():
        for word in field.words:
            parse(f"{field.name} = {word}")
            assert f"`{word}`" in TEXT.partition("## Fields")[2]


def test_every_field_of_a_leaf_can_be_named():
    schema = json.loads((Path(__file__).parents[2] / "auditd/entry/leaf.schema.json").read_text("utf-8"))
    assert {field.name for field in FIELDS.values()} == set(_members(schema, schema, "")) - {"v", "salt"}


def _members(schema, node, prefix):
    for name, value in node["properties"].items():
        path = "" if name == "event" else f"{prefix}{name}"
        if path:
            yield path
        for kind in _kinds(value):
            if kind in {"caller", "event", "actor", "resource", "origin", "producer"}:
                yield from _members(schema, schema["$defs"][kind], path and f"{path}.")


def _kinds(value):
    for option in (value, *value.get("anyOf", ())):
        yield option.get("$ref", "").rpartition("/")[2]
        if "items" in option:
            yield from _kinds(option["items"])
