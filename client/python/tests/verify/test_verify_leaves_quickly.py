"""A leaf as servers write it is read in one pass, with the verdict of the careful reading, whatever is done to it."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditd_client.verify import Leaf, MalformedError, _leaf

EVENT = {"id": "e-1", "time": "2026-11-24T00:26:13.1Z", "action": "a", "actor": {"id": "x", "roles": ["r"]}}
ATTRIBUTES = [
    None,
    "{}",
    '{"amount":1.10,"list":[{"attributes":{"x":[]}}],"text":"\\u00e9,\\"attributes\\":{}}"}',
    '{"event":{"attributes":{},"id":"y"},"caller":{"kind":"z"},"n":-0.0e5}',
]
PIECES = [
    ',"attributes":', '"attributes":{}', ',"attributes":{},', '"event":{', "}}", "}", "{", "[", "]", '"', ",", ":", " ",
    "\\", "\\u0061", "\\ud800", "\\ude00\\ud83d", "\\u0000", "1.5", "1e400", "NaN", "-Infinity", "null", "9" * 50,
    '"id":"z",', '"v":1,', '"v":2,', '"caller":{"kind":"k","attributes":{}},', '"x":{"y":1,"y":2},', "é", "\u2028",
    "\ufeff", "true", "\t", "\n", "\0", "[" * 600, "{" * 600, '{"a":' * 200,
]  # fmt: skip


def leaf(attributes, **changes):
    members = {
        "v": 1,
        "log": "audit.example.com/main",
        "index": 3,
        "recorded_at": "2026-11-24T00:26:13.123456Z",
        "salt": "00112233445566778899aabbccddeeff",
        "caller": {"kind": "token", "sub": "svc"},
        "event": EVENT,
    } | changes
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    return text if attributes is None else text[:-2] + f',"attributes":{attributes}}}}}'


def outcome(data):
    try:
        return Leaf.parse(data)
    except MalformedError as error:
        return error.what, str(error)


def carefully(data):
    with mock.patch.object(_leaf, "_usual_members", return_value=None):
        return outcome(data)


def mutations():
    """Yield leaves to which a few things were done: pieces put in, put in another's place, taken out or moved."""

    @st.composite
    def mutated(draw):
        text = leaf(draw(st.sampled_from(ATTRIBUTES)))
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(text)))
            end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 9, 40])))
            put = draw(st.sampled_from(PIECES) | st.just("") | st.just(text[end : end + 12]))
            text = text[:start] + put + text[end:]
        return text

    return mutated()


@settings(max_examples=250)
@given(mutations())
@example(leaf("{}").replace('"event":{', '"event":{"attributes":{},'))
@example(leaf("{}").replace('"event":{', '"event":{"\\u0061ttributes":{},'))
@example(leaf(None).replace('"event":{', '"event":{"\\u0061ttributes":[1.0],'))
@example(leaf(None, event={"attributes": {}}))
@example(leaf("{}", event={}))
@example(leaf(None, event={}) + ',"attributes":{}}}')
@example(leaf(None, event={"actor": {"id": "x", "attributes": {"a": 1}}}))
@example(leaf(None, caller={"kind": "token", "attributes": {}}))
@example(leaf("{}", actor={"attributes": {}}))
@example(leaf('{"a":1},"id":"again"'))
@example(leaf(' {"a":1}'))
@example(leaf('{"a":1} '))
@example(leaf('{"a":"\\ud800"}'))
@example(leaf('{"a":"\\ud83d\\ude00"}'))
@example(leaf("1.5"))
@example(leaf('"}}"'))
@example(leaf('{"a":' * 250 + "1" + "}" * 250))
@example(leaf("[" * 5_000 + "]" * 5_000))
@example(leaf('{"a":1,"a":2}'))
@example(leaf("{}").replace('"v":1', '"v":true'))
@example(leaf("{}").replace('"v":1', '"v":1.0'))
def test_the_verdict_is_that_of_the_careful_reading(text):
    data = text.encode("utf-8", "surrogatepass")
    assert outcome(data) == carefully(data)


@given(st.binary(max_size=40))
def test_so_it_is_for_any_bytes(data):
    assert outcome(data) == carefully(data)
    spoilt = bytearray(leaf("{}").encode())
    spoilt[len(data) * 7 % len(spoilt)] ^= sum(data) % 256
    assert outcome(bytes(spoilt)) == carefully(bytes(spoilt))


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_a_leaf_as_servers_write_it_is_read_in_one_pass(attributes):
    usual = leaf(attributes)
    with mock.patch.object(_leaf, "_members", side_effect=AssertionError):
        assert Leaf.parse(usual.encode()).attributes_text == attributes
