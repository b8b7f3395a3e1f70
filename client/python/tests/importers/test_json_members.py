"""JSON text taken apart member by member, nothing of it rewritten."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditd_client.importers._members import JsonTextError, NumberText, _compact_object, _walked_object, object_at

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.text(), values, max_size=6)


@quick
@given(objects, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_finds_every_member_however_it_is_written(members, indent, ascii_only):
    text = json.dumps(members, indent=indent, ensure_ascii=ascii_only)
    found = object_at(text, 0)
    assert found.end == len(text)
    assert list(found.texts) == list(members)
    for name, written in found.texts.items():
        assert written in text
        assert json.loads("{" + written + "}") == {name: members[name]}


@quick
@given(objects, st.booleans(), st.data())
def test_the_quick_way_finds_what_the_slow_one_finds_or_nothing(members, ascii_only, data):
    text = json.dumps(members, ensure_ascii=ascii_only, separators=(",", ":"))
    position = data.draw(st.integers(0, len(text) - 1))
    mutated = (
        text[:position]
        + data.draw(st.sampled_from(['"', "\\", " ", ",", "{", "}", "\ud800", "é", ""]))
        + text[position + 1 :]
    )
    for written in (text, text + ',{"a":1}', mutated, " " + text):
        found = _compact_object(written, 0)
        assert found is None or found == _walked_object(written, 0)
    plain = members and all(name.isascii() and name.isprintable() and "\\" not in json.dumps(name) for name in members)
    assert _compact_object(text, 0) is not None or not plain


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', '{"a":1,"b":{},"a":{"a":1}}', '{"a":1,"\\u0061":1}', '{"a":"\ud800"}', '{"a": 1}', "{}"]
)
def test_the_quick_way_leaves_what_needs_a_look_to_the_slow_one(text):
    assert _compact_object(text, 0) is None


@pytest.mark.parametrize("number", ["1.10", "-0", "1e400", "1E+2", "9" * 5000, "0.1000000000000000000001"])
def test_keeps_a_number_as_written(number):
    found = object_at(f'{{"a":{number}}}', 0)
    assert found.values == {"a": number}
    assert isinstance(found.values["a"], NumberText)
    assert found.texts["a"] == f'"a":{number}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON object at character 0"),
        ("[]", "no JSON object at character 0"),
        ("{", "no member name at character 1"),
        ('{"a"', "no colon at character 4"),
        ('{"a":', "no JSON value at character 5"),
        ('{"a":1', "neither comma nor closing brace at character 6"),
        ('{"a":1]', "neither comma nor closing brace at character 6"),
        ('{"a":1,}', "no member name at character 7"),
        ('{"a":1 "b":2}', "neither comma nor closing brace at character 7"),
        ('{"a":1{"b":2}', "neither comma nor closing brace at character 6"),
        ('{,"a":1}', "no member name at character 1"),
        ("{a:1}", "no member name at character 1"),
        ('{"a":NaN}', "not JSON: NaN is no JSON value"),
        ('{"a":-Infinity}', "not JSON: -Infinity is no JSON value"),
        ('{"a":"\n"}', "not JSON: Invalid control character"),
        ('{"a\n":1}', "not JSON: Invalid control character"),
        ('{"a":"\\x"}', "not JSON: Invalid \\escape"),
        ('{"a":01}', "neither comma nor closing brace at character 6"),
        ('{"a":1,"\\u0061":2}', "member 'a' stands twice, again at character 7"),
        ('{"a":' + "[" * 200_000, "nested too deeply at character 5"),
    ],
)  # fmt: skip
def test_refuses_what_is_no_object_and_says_where(text, message):
    with pytest.raises(JsonTextError) as caught:
        object_at(text, 0)
    assert message in str(caught.value)
