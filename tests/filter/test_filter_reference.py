"""The reference of filters says what the program does."""

import re
from pathlib import Path

import pytest

from auditd.errors import InvalidRequestError
from auditd.filter import DEFAULT_LIMITS, FIELDS, parse

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
