"""Leaves are spliced from texts encoded once, bounded, and read strictly."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from auditd.entry import (
    MAX_LEAF_BYTES,
    Event,
    LeafTemplate,
    attributes_text,
    encode_caller,
    encode_event,
    event_text,
    parse_leaf,
    recorded_at_text,
)
from auditd.errors import DamagedError, InvalidRequestError

RECORDED_AT = recorded_at_text(1_795_479_973_123_456)
SALT = bytes(range(16))
CALLER = encode_caller("token", "https://idp.example.com", "svc-billing", "j-1", b"\xab" * 32)
TEMPLATE = LeafTemplate("audit.example.com/main")


def leaf_of(event: Event) -> bytes:
    return TEMPLATE.leaf(41, RECORDED_AT, SALT, CALLER, encode_event(event).json)


def test_writes_the_members_in_order(full: Event) -> None:
    assert leaf_of(full) == (
        b'{"v":1,"log":"audit.example.com/main","index":41,"recorded_at":"2026-11-24T00:26:13.123456Z",'
        b'"salt":"000102030405060708090a0b0c0d0e0f",'
        b'"caller":{"kind":"token","iss":"https://idp.example.com","sub":"svc-billing","jti":"j-1",'
        b'"credential":"' + b"ab" * 32 + b'"},"event":' + encode_event(full).json + b"}"
    )


def test_says_that_the_clock_was_suspect(full: Event) -> None:
    template = LeafTemplate("audit.example.com/control", clock_suspect=True)
    leaf = template.leaf(0, RECORDED_AT, SALT, encode_caller("server"), encode_event(full).json)
    assert parse_leaf(leaf)["clock"] == "SUSPECT"
    assert list(parse_leaf(leaf))[3:5] == ["recorded_at", "clock"]


@pytest.mark.parametrize("origin", ['100%d.example/"\\', "日本.example/main", "%b%b"])
def test_takes_any_origin(origin: str, full: Event) -> None:
    leaf = LeafTemplate(origin).leaf(0, RECORDED_AT, SALT, CALLER, encode_event(full).json)
    assert parse_leaf(leaf)["log"] == origin


def test_leaves_out_what_a_caller_lacks() -> None:
    assert encode_caller("server") == b'{"kind":"server"}'
    assert encode_caller("unauthenticated", subject='"') == b'{"kind":"unauthenticated","sub":"\\""}'


def test_refuses_a_caller_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="credential: 31 bytes, must be 32"):
        encode_caller("token", credential=bytes(31))
    with pytest.raises(ValueError, match="lone surrogate"):
        encode_caller("token", issuer="\ud800")


class TestLimit:
    def test_knows_the_longest_leaf_in_advance(self, full: Event) -> None:
        json = encode_event(full).json
        at_largest_index = TEMPLATE.leaf(2**63 - 1, RECORDED_AT, SALT, CALLER, json)
        assert len(at_largest_index) == TEMPLATE.longest(CALLER, json)

    def test_refuses_the_first_byte_too_many(self, full: Event) -> None:
        encoded = encode_event(full)
        room = MAX_LEAF_BYTES - TEMPLATE.longest(CALLER, encoded.json)
        fits = encoded._replace(json=encoded.json + b" " * room)
        TEMPLATE.check_sizes(CALLER, [len(fits.json)])
        assert TEMPLATE.longest(CALLER, fits.json) == 65_535
        over = fits._replace(json=fits.json + b" ")
        with pytest.raises(InvalidRequestError) as caught:
            TEMPLATE.check_sizes(CALLER, [len(fits.json), len(over.json)])
        assert caught.value.reason == "LEAF_TOO_LARGE"
        assert [violation.field for violation in caught.value.violations] == ["events[1]"]

    def test_lists_at_most_twenty_leaves(self) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            TEMPLATE.check_sizes(CALLER, [70_000] * 30)
        assert len(caught.value.violations) == 20


class TestReading:
    def test_gives_back_the_entry(self, full: Event) -> None:
        assert parse_leaf(leaf_of(full)) == orjson.loads(leaf_of(full))

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda leaf: leaf.replace(b'"v":1,', b'"v":2,', 1), id="version 2"),
            pytest.param(lambda leaf: leaf.replace(b'"v":1,', b'"v":10,', 1), id="version 10"),
            pytest.param(lambda leaf: leaf.replace(b'"v":1,', b"", 1), id="no version"),
            pytest.param(lambda leaf: b"[]", id="array"),
            pytest.param(lambda leaf: b"", id="nothing"),
        ],
    )
    def test_refuses_an_unknown_version(self, full: Event, change: Callable[[bytes], bytes]) -> None:
        with pytest.raises(DamagedError) as caught:
            parse_leaf(change(leaf_of(full)))
        assert caught.value.reason == "UNKNOWN_LEAF_VERSION"

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda leaf: leaf[:-1], id="cut"),
            pytest.param(lambda leaf: leaf + b"x", id="something after it"),
            pytest.param(lambda leaf: leaf.replace(b'"index":41', b'"index":true'), id="index is a boolean"),
            pytest.param(lambda leaf: leaf.replace(b'"index":41,', b""), id="no index"),
            pytest.param(lambda leaf: leaf.replace(b'"salt":', b'"pepper":'), id="unknown member"),
            pytest.param(lambda leaf: leaf[:-1] + b',"more":1}', id="one more member"),
            pytest.param(lambda leaf: leaf[: leaf.find(b',"event"')] + b',"event":[]}', id="event is an array"),
            pytest.param(lambda leaf: b'{"v":1,"event":{"id":"\xff"}}', id="no UTF-8"),
        ],
    )
    def test_refuses_another_shape(self, full: Event, change: Callable[[bytes], bytes]) -> None:
        with pytest.raises(DamagedError) as caught:
            parse_leaf(change(leaf_of(full)))
        assert caught.value.reason == "LEAF_MALFORMED"


class TestTexts:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param('{"mfa":false}', id="plain"),
            pytest.param(' { "a": 1.10 } ', id="spaced"),
            pytest.param('{"attributes":{"a":1},"event":{"attributes":{}}}', id="the same names inside"),
            pytest.param("", id="absent"),
        ],
    )
    @pytest.mark.parametrize(
        "reason",
        [
            'x","attributes":{}',
            ',"event":{',
            '\\","attributes":{',
            "attributes",
            'a\\\\","event":{"attributes":{',
        ],
    )
    def test_are_found_whatever_stands_before_them(self, full: Event, text: str, reason: str) -> None:
        event = replace(full, reason=reason, attributes_json=text)
        leaf = leaf_of(event)
        assert attributes_text(leaf) == text.encode()
        assert event_text(leaf) == encode_event(event).json

    def test_are_missed_in_what_is_no_leaf(self) -> None:
        with pytest.raises(DamagedError, match="no event"):
            event_text(b'{"v":1}}')
