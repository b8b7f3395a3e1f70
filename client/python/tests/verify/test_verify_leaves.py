"""Reading leaves: strict, and with attributes exactly as written (promise 4)."""

import json
import re

import pytest

from auditd_client.verify import Leaf, MalformedError


def test_a_leaf_gives_its_members(make):
    leaf = Leaf.parse(make.leaf(3))
    assert leaf.raw == make.leaf(3)
    assert (leaf.log, leaf.index, leaf.recorded_at) == (make.origin, 3, "2026-11-24T00:26:03.123456Z")
    assert leaf.clock is None
    assert leaf.salt == "00112233445566778899aabbccddeeff"
    assert leaf.caller == {"kind": "token", "iss": "https://idp.example.com", "sub": "svc-billing"}
    assert leaf.event["id"] == "e-3"
    assert leaf.event["producer"] == {"id": "billing-7f", "seq": 1041}


@pytest.mark.parametrize(
    "attributes",
    [
        "{}",
        '{"amount":1.10,"exponent":1E+400,"digits":' + "7" * 10_000 + "}",
        '{ "spaces" :  [ 1 , 2 ] }',
        r'{"braces":"}}{\"attributes\":{","escapes":"\u00e9\/\\"}',
        '{"event":{"attributes":{"attributes":"ü\u2028"}}}',
        '{"sealed":"' + "0" * 64 + '"}',
    ],
    ids=["empty", "numbers", "spaces", "braces in strings", "the same names inside", "sealed"],
)
@pytest.mark.parametrize("room", ["", "  "], ids=["compact", "with spaces around"])
def test_attributes_are_given_exactly_as_they_stand(make, attributes, room):
    leaf = Leaf.parse(make.leaf(0, f"{room}{attributes}{room}"))
    assert leaf.attributes_text == attributes
    assert "attributes" not in leaf.event


def test_attributes_are_found_wherever_they_stand_in_the_event(make):
    leaf = make.leaf(0, None).replace(b'"event":{', b'"event":{"attributes":{"a":[]},')
    assert Leaf.parse(leaf).attributes_text == '{"a":[]}'


def test_a_leaf_may_have_no_attributes(make):
    assert Leaf.parse(make.leaf(0, None)).attributes_text is None


def test_a_suspect_clock_is_reported(make):
    assert Leaf.parse(make.leaf(clock="SUSPECT")).clock == "SUSPECT"


def replaced(old, new):
    def change(leaf):
        assert old in leaf
        return leaf.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda leaf: b"", "not JSON", id="nothing"),
        pytest.param(lambda leaf: leaf + b"\n", "more than one line", id="line feed at the end"),
        pytest.param(lambda leaf: leaf + b" ", "more after the object: ' '", id="space at the end"),
        pytest.param(lambda leaf: b" " + leaf, "not JSON", id="space at the start"),
        pytest.param(lambda leaf: leaf + b"{}", "more after the object: '{}'", id="second object"),
        pytest.param(lambda leaf: leaf[:-1], "not JSON", id="last brace missing"),
        pytest.param(lambda leaf: b"[1]", "not an object: '[1]'", id="array"),
        pytest.param(lambda leaf: b"\xef\xbb\xbf" + leaf, "not JSON", id="byte order mark"),
        pytest.param(lambda leaf: leaf + b"\xff", "not UTF-8", id="bytes beyond UTF-8"),
        pytest.param(lambda leaf: leaf + b" " * 65_535, "bytes, limit 65535", id="65,535 bytes and more"),
        pytest.param(lambda leaf: b"[" * 60_000, "nested too deeply", id="deep nesting"),
        pytest.param(replaced(b'{"v"', b'{\t"v"'), "control character 0x09", id="tab"),
        pytest.param(replaced(b'"v":1', b'"v":2'), "v is 2, this verifier knows 1", id="unknown version"),
        pytest.param(replaced(b'"v":1', b'"v":"1"'), "v is '1', this verifier knows 1", id="version as text"),
        pytest.param(replaced(b'"v":1', b'"v":true'), "v is True, this verifier", id="boolean version"),
        pytest.param(replaced(b'"v":1,', b""), "v is None, this verifier knows 1", id="no version"),
        pytest.param(replaced(b'"v":1', b'"v":1,"v":1'), "member 'v' twice in one object", id="v twice"),
        pytest.param(replaced(b'"id":', b'"\\u0069d":"x","id":'), "member 'id' twice", id="id twice, once escaped"),
        pytest.param(replaced(b'"amount"', b'"a":{"y":1,"x":1,"x":1},"b"'), "member 'x' twice", id="attribute twice"),
        pytest.param(replaced(b'"salt"', b'"pepper":1,"salt"'), "unknown member 'pepper'", id="unknown member"),
        pytest.param(replaced(b'"tenant"', b'"owner"'), "leaf: event: unknown member 'owner'", id="unknown in event"),
        pytest.param(replaced(b'"index":0', b'"index":0.0'), "number not allowed here: '0.0'", id="fractional index"),
        pytest.param(replaced(b'"index":0', b'"index":-1'), "not an integer from 0 to 2^63-1: -1", id="negative index"),
        pytest.param(replaced(b'"index":0', b'"index":9223372036854775808'), "2^63-1", id="index of 2^63"),
        pytest.param(replaced(b'"index":0', b'"index":' + b"9" * 5_000), "not JSON as a leaf has it", id="long index"),
        pytest.param(replaced(b'"index":0', b'"index":false'), "not an integer from 0", id="boolean index"),
        pytest.param(replaced(b"1041", b"NaN"), "number not allowed here: 'NaN'", id="NaN"),
        pytest.param(replaced(b"1.10", b"-Infinity"), "number not allowed here: '-Infinity'", id="infinity"),
        pytest.param(replaced(b"acme", b"\\ud800"), "surrogates not allowed", id="lone surrogate"),
        pytest.param(replaced(b"\\u00e9", b"\\udfff"), "surrogates not allowed", id="lone surrogate in attributes"),
        pytest.param(replaced(b"03.1", b"3.1"), "not an RFC 3339 time: '2026-11-24T00:26:3.1", id="malformed time"),
        pytest.param(replaced(b"-24T00:26:03", b"-31T00:26:03"), "not a time of the calendar", id="no such day"),
        pytest.param(replaced(b"123456Z", b"123456+00:00"), "recorded_at is not in UTC", id="time with offset"),
    ],
)
def test_refuses_leaf_with(make, change, message):
    leaf = make.leaf(0, recorded_at="2026-11-24T00:26:03.123456Z")
    with pytest.raises(MalformedError, match=re.escape(message)) as caught:
        Leaf.parse(change(leaf))
    assert caught.value.what.startswith("leaf")


@pytest.mark.parametrize("name", ["log", "index", "recorded_at", "salt", "caller", "event"])
def test_refuses_leaf_without(make, name):
    members = json.loads(make.leaf(0, None))
    del members[name]
    with pytest.raises(MalformedError, match=f"no member '{name}'"):
        Leaf.parse(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log", "", "log is not a string of some length: ''"),
        ("salt", 7, "salt is not a string of some length: 7"),
        ("recorded_at", None, "recorded_at is not a string of some length: None"),
        ("caller", {"iss": "x"}, "caller is not an object with a kind"),
        ("caller", [], "caller is not an object with a kind"),
        ("event", [], "leaf: event: not an object"),
        ("clock", None, "clock is None, expected 'SUSPECT'"),
        ("clock", "FINE", "clock is 'FINE', expected 'SUSPECT'"),
    ],
)
def test_refuses_leaf_whose_member_is_of_another_kind(make, name, value, message):
    with pytest.raises(MalformedError, match=re.escape(message)):
        Leaf.parse(make.leaf(0, None, **{name: value}))
