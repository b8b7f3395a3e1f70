"""Attributes are checked once and kept as written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.entry import AttributesError, encode_attributes

HASH = "ab" * 32


def nested(depth: int) -> str:
    """An attributes object of exactly `depth` levels, objects and arrays in turn."""
    inner = '{"a":1}' if depth % 2 else "[1]"
    for level in range(depth - 1, 0, -1):
        inner = f'{{"a":{inner}}}' if level % 2 else f"[{inner}]"
    return inner


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="empty object"),
        pytest.param('{"amount":1.10}', id="trailing zero"),
        pytest.param('{"n":-0,"m":1E5,"big":123456789012345678901234567890}', id="numbers written otherwise"),
        pytest.param('{"n":' + "9" * 300 + "}", id="300 digits"),
        pytest.param('{"a":"\\u0041\\/"}', id="needless escapes"),
        pytest.param('{"a":"\\u0000"}', id="escaped NUL"),
        pytest.param('{"a":"\\ud83d\\ude00"}', id="escaped surrogate pair"),
        pytest.param('{"a":"日本 \u2028 \x7f"}', id="beyond ASCII"),
        pytest.param('{ "a" : [ 1 , 2 ] }', id="spaces"),
        pytest.param('{"b":1,"a":2}', id="unsorted"),
        pytest.param('{"a":{"a":1},"b":[{"a":1},{"a":2}]}', id="same name in different objects"),
        pytest.param('{"A":1,"a":1}', id="names that differ in case"),
        pytest.param('{"sealed":"no hash"}', id="a member called sealed"),
        pytest.param(f'{{"sealed":"{HASH}","by":"me"}}', id="a hash beside another member"),
        pytest.param(f'{{"sealed":"{HASH.upper()}"}}', id="an upper-case hash"),
        pytest.param(f'{{"sealed":"{HASH}0"}}', id="a hash of 65 digits"),
        pytest.param(nested(16), id="depth 16"),
        pytest.param('{"a":[' + ",".join(["{}"] * 500) + "]}", id="many brackets, none deep"),
        pytest.param('{"a":"' + "[{" * 40 + '"}', id="brackets in a text"),
        pytest.param('{"a":"' + "x" * (60_000 - 8) + '"}', id="60,000 bytes"),
    ],
)
def test_keeps_text_as_written(text: str) -> None:
    assert encode_attributes(text) == text.encode()


def test_turns_breaks_between_tokens_into_spaces() -> None:
    assert encode_attributes('\n{\r\n\t"a": 1\t}\n') == b' {   "a": 1 } '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not JSON", id="nothing"),
        pytest.param("{", "not JSON", id="unfinished"),
        pytest.param("{} {}", "not JSON", id="two objects"),
        pytest.param("{'a':1}", "not JSON", id="single quotes"),
        pytest.param('{"a":1,}', "not JSON", id="trailing comma"),
        pytest.param('{"a":01}', "not JSON", id="leading zero"),
        pytest.param('{"a":NaN}', "not JSON", id="NaN"),
        pytest.param('{"a":-Infinity}', "not JSON", id="Infinity"),
        pytest.param('{"a":1e400}', "not JSON", id="beyond a double"),
        pytest.param('{"a":"\n"}', "not JSON", id="raw line break in a text"),
        pytest.param('{"a":"\0"}', "not JSON", id="raw NUL in a text"),
        pytest.param('{"a":"\\ud800"}', "not JSON", id="escaped lone high surrogate"),
        pytest.param('{"\\udc00":1}', "not JSON", id="escaped lone low surrogate as name"),
        pytest.param('{"a":"\udc00"}', "lone surrogate", id="raw lone surrogate"),
        pytest.param("\ufeff{}", "not JSON", id="byte order mark"),
        pytest.param("[]", "must be a JSON object, not '\\[\\]'", id="array"),
        pytest.param("null", "must be a JSON object, not 'null'", id="null"),
        pytest.param('"{}"', "must be a JSON object", id="text"),
        pytest.param('{"a":1,"a":1}', "'a' is used twice", id="duplicate name"),
        pytest.param('{"a":1,"\\u0061":2}', "'a' is used twice", id="duplicate after unescaping"),
        pytest.param('{"x":[{"b":{"a":1,"b":0,"a":3}}]}', "'a' is used twice", id="duplicate deep inside"),
        pytest.param('{"":1,"":2}', "'' is used twice", id="duplicate empty name"),
        pytest.param('{"a":{"b":1,"b":2},"a":3}', "used twice", id="duplicate inside a member that another shadows"),
        pytest.param(nested(17), "nested deeper than allowed, limit 16", id="depth 17"),
        pytest.param("[" * 1000 + "]" * 1000, "must be a JSON object", id="depth 1,000 in an array"),
        pytest.param('{"a":' * 900 + "1" + "}" * 900, "nested deeper than allowed, limit 16", id="depth 900"),
        pytest.param('{"a":' + "[" * 5_000 + "]" * 5_000 + "}", "depth limit", id="depth 5,000"),
        pytest.param(
            '{"a":' + "[" * 1_000 + "]" * 1_000 + ',"a":1}',
            "nested deeper|twice",
            id="deep and then shadowed",
        ),
        pytest.param('{"a":"' + "x" * 70_000 + '"}', "70008 bytes, limit 60000", id="70 kB"),
        pytest.param('{"a":"' + "é" * 30_000 + '"}', "60008 bytes, limit 60000", id="60,008 bytes"),
        pytest.param(f'{{"sealed":"{HASH}"}}', "kept for values", id="looks sealed"),
        pytest.param(f'{{"a":[{{"sealed":"{HASH}"}}]}}', "kept for values", id="looks sealed inside"),
        pytest.param(f'{{"a":{{"\\u0073ealed":"{HASH}"}}}}', "kept for values", id="looks sealed, escaped"),
        pytest.param(f'{{"a":{{ "sealed" : "{HASH}"}}}}', "kept for values", id="looks sealed, spaced"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(AttributesError, match=message):
        encode_attributes(text)


def test_answers_hostile_input_of_the_largest_size_without_delay() -> None:
    many_names = "{" + ",".join(f'"{i}":1' for i in range(5_000)) + ',"0":1}'
    many_digits = '{"a":' + "1" * 300 + "," * 1 + '"b":-0.' + "1" * 59_000 + "}"
    with pytest.raises(AttributesError, match="'0' is used twice"):
        encode_attributes(many_names)
    assert encode_attributes(many_digits) == many_digits.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.booleans(), st.sampled_from([None, 0, 1]))
def test_every_object_of_small_depth_is_kept_in_any_spelling(
    value: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    raw = encode_attributes(text)
    assert raw == text.replace("\n", " ").encode()
    assert json.loads(raw) == value


@given(st.text(alphabet='{}[]":,\\u0019aeE.+- \n\tntrufls', max_size=24))
def test_takes_only_what_another_parser_takes_without_duplicates(text: str) -> None:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        raw = encode_attributes(text)
    except AttributesError:
        return
    assert isinstance(json.loads(raw, object_pairs_hook=unique), dict)
    assert b"\n" not in raw
