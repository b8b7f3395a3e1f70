"""Which events are refused, with which path and reason (promise 10), and how the others are written."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from auditd.entry import (
    Actor,
    Event,
    EventLike,
    Origin,
    Producer,
    Resource,
    Time,
    encode_event,
    encode_events,
)
from auditd.entry import _fields as rules
from auditd.errors import InvalidRequestError, Violation

Form = Callable[[Event], EventLike]
GOOD = Event(id="e-1", time=Time(1_795_479_973), action="user.login")


def violations(*events: EventLike) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as caught:
        encode_events(events)
    assert caught.value.reason == "INVALID_EVENT"
    return [(violation.field, violation.description) for violation in caught.value.violations]


def test_writes_every_field_in_the_order_of_the_format(full: Event, form: Form) -> None:
    assert encode_event(form(full)).json == (
        b'{"id":"01936f5e-0000-7000-8000-000000000001","time":"2026-11-24T00:26:13.100Z","tenant":"acme",'
        b'"action":"user.login","outcome":"FAILURE","reason":"bad password",'
        b'"actor":{"type":"user","id":"alice","name":"Alice","roles":["admin","staff"],"session_id":"s-1",'
        b'"auth_method":"password","identity":"asserted"},'
        b'"resources":[{"type":"account","id":"42","name":"Main"},{"id":"43"}],'
        b'"origin":{"ip":"203.0.113.9","user_agent":"curl/8.0","device_id":"d-1","method":"POST",'
        b'"endpoint":"/login","request_id":"r-1",'
        b'"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},'
        b'"producer":{"id":"billing-7f","seq":1041},"attributes":{"mfa":false}}'
    )


def test_leaves_out_what_is_absent(form: Form) -> None:
    encoded = encode_event(form(GOOD))
    assert encoded.json == b'{"id":"e-1","time":"2026-11-24T00:26:13Z","action":"user.login"}'
    assert encoded.attributes == b""


def test_gives_the_fields_that_the_leaf_holds(full: Event, form: Form) -> None:
    encoded = encode_event(form(full))
    members = orjson.loads(encoded.json)
    assert orjson.loads(encoded.attributes) == members.pop("attributes")
    assert encoded.fields == members
    assert (encoded.id, encoded.time) == (full.id, "2026-11-24T00:26:13.100Z")
    assert encoded.time_ns == 1_795_479_973_100_000_000


@pytest.mark.parametrize(
    ("event", "path", "description"),
    [
        pytest.param(replace(GOOD, id=""), "id", "required", id="no id"),
        pytest.param(replace(GOOD, action=""), "action", "required", id="no action"),
        pytest.param(replace(GOOD, time=Time()), "time", "required", id="no time"),
        pytest.param(
            replace(GOOD, time=Time(1, 10**9)),
            "time",
            "malformed: 1000000000 nanos, must be 0 to 999999999",
            id="a whole second of nanos",
        ),
        pytest.param(
            replace(GOOD, time=Time(1, -1)),
            "time",
            "malformed: -1 nanos, must be 0 to 999999999",
            id="negative nanos",
        ),
        pytest.param(
            replace(GOOD, time=Time(-62_135_596_800)),
            "time",
            "-62135596800 seconds, must lie between 1970-01-01T00:00:00Z and the end of 9999",
            id="year 0001",
        ),
        pytest.param(
            replace(GOOD, time=Time(-1, 999_999_999)),
            "time",
            "-1 seconds, must lie between 1970-01-01T00:00:00Z and the end of 9999",
            id="a nanosecond before 1970",
        ),
        pytest.param(
            replace(GOOD, time=Time(253_402_300_800)),
            "time",
            "253402300800 seconds, must lie between 1970-01-01T00:00:00Z and the end of 9999",
            id="year 10000",
        ),
        pytest.param(replace(GOOD, action="a" * 10_000), "action", "10000 bytes, limit 256", id="10 kB action"),
        pytest.param(replace(GOOD, outcome=4), "outcome", "4 is no known outcome", id="unknown outcome"),
        pytest.param(replace(GOOD, outcome=-1), "outcome", "-1 is no known outcome", id="negative outcome"),
        pytest.param(
            replace(GOOD, actor=Actor(id="a\0b")),
            "actor.id",
            "holds the control character U+0000",
            id="NUL in actor",
        ),
        pytest.param(
            replace(GOOD, tenant="a\x7fb"), "tenant", "holds the control character U+007F", id="DEL in tenant"
        ),
        pytest.param(replace(GOOD, tenant="a\x9bb"), "tenant", "holds the control character U+009B", id="C1 in tenant"),
        pytest.param(replace(GOOD, reason="a\0b"), "reason", "holds the control character U+0000", id="NUL in prose"),
        pytest.param(replace(GOOD, actor=Actor(roles=("a",) * 65)), "actor.roles", "65 roles, limit 64", id="65 roles"),
        pytest.param(replace(GOOD, actor=Actor(roles=("a", ""))), "actor.roles[1]", "required", id="empty role"),
        pytest.param(
            replace(GOOD, actor=Actor(roles=("a" * 128, "a" * 129))),
            "actor.roles[1]",
            "129 bytes, limit 128",
            id="role of 129 characters",
        ),
        pytest.param(
            replace(GOOD, actor=Actor(roles=("a", "é" * 65))),
            "actor.roles[1]",
            "130 bytes, limit 128",
            id="role of 65 two-byte characters",
        ),
        pytest.param(
            replace(GOOD, resources=(Resource(id="a"),) * 65),
            "resources",
            "65 resources, limit 64",
            id="65 resources",
        ),
        pytest.param(
            replace(GOOD, resources=(Resource(id="a"), Resource())),
            "resources[1]",
            "empty: a resource needs a type, an id or a name",
            id="empty resource",
        ),
        pytest.param(
            replace(GOOD, origin=Origin(traceparent="00-" + "0" * 52)),
            "origin.traceparent",
            f"'00-{'0' * 52}' is no W3C traceparent",
            id="traceparent without dashes",
        ),
        pytest.param(
            replace(GOOD, producer=Producer(seq=2**63)),
            "producer.seq",
            "9223372036854775808, limit 9223372036854775807",
            id="seq 2^63",
        ),
        pytest.param(
            replace(GOOD, attributes_json="[]"),
            "attributes_json",
            "must be a JSON object, not '[]'",
            id="attributes are an array",
        ),
    ],
)
def test_refuses_with_path_rule_and_value(form: Form, event: Event, path: str, description: str) -> None:
    assert violations(form(GOOD), form(event)) == [(f"events[1].{path}", description)]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(replace(GOOD, id="\ud800"), id="id"),
        pytest.param(replace(GOOD, reason="\udfff"), id="reason"),
        pytest.param(replace(GOOD, actor=Actor(id="\ud800")), id="actor"),
        pytest.param(replace(GOOD, attributes_json='{"a":"\ud800"}'), id="attributes"),
    ],
)
def test_refuses_lone_surrogates(event: Event) -> None:
    [(_, description)] = violations(event)
    assert description == "holds a lone surrogate, so it is no UTF-8"


def test_refuses_a_negative_sequence_number() -> None:
    assert violations(replace(GOOD, producer=Producer(seq=-1))) == [
        ("events[0].producer.seq", "-1, limit 9223372036854775807")
    ]


TEXT_FIELDS = [
    pytest.param(holder, field, id=f"{holder}.{field.name}".lstrip("."))
    for holder, fields in (
        ("", rules.EVENT_TEXTS),
        ("actor", rules.ACTOR_TEXTS),
        ("resources", rules.RESOURCE_TEXTS),
        ("origin", [field for field in rules.ORIGIN_TEXTS if field.name not in ("ip", "traceparent")]),
        ("producer", rules.PRODUCER_TEXTS),
    )
    for field in fields
]


def with_text(holder: str, name: str, text: str) -> tuple[Event, str]:
    if not holder:
        return replace(GOOD, **{name: text}), f"events[0].{name}"
    if holder == "resources":
        return replace(GOOD, resources=(Resource(**{name: text}),)), f"events[0].resources[0].{name}"
    part = {"actor": Actor, "origin": Origin, "producer": Producer}[holder](**{name: text})
    return replace(GOOD, **{holder: part}), f"events[0].{holder}.{name}"


@pytest.mark.parametrize(("holder", "field"), TEXT_FIELDS)
class TestEachTextField:
    def test_takes_as_many_bytes_as_its_limit(self, form: Form, holder: str, field: rules.TextField) -> None:
        for text in ("a" * field.max_bytes, "é" * (field.max_bytes // 2)):
            event, _ = with_text(holder, field.name, text)
            assert text.encode() in encode_event(form(event)).json

    def test_refuses_one_byte_more(self, form: Form, holder: str, field: rules.TextField) -> None:
        for text in ("a" * (field.max_bytes + 1), "é" * (field.max_bytes // 2) + "a"):
            event, path = with_text(holder, field.name, text)
            expected = f"{field.max_bytes + 1} bytes, limit {field.max_bytes}"
            assert violations(form(event)) == [(path, expected)]

    def test_holds_line_breaks_only_in_prose(self, form: Form, holder: str, field: rules.TextField) -> None:
        event, path = with_text(holder, field.name, "a\n\x1b\x85b")
        if field.prose:
            assert rb"a\n\u001b" in encode_event(form(event)).json
        else:
            assert violations(form(event)) == [(path, "holds the control character U+000A")]


@pytest.mark.parametrize(
    "ip", ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "2001:DB8:0:0::1", "::ffff:203.0.113.9"]
)
def test_takes_an_ip_address_as_written(form: Form, ip: str) -> None:
    encoded = encode_event(form(replace(GOOD, origin=Origin(ip=ip))))
    assert encoded.fields["origin"] == {"ip": ip}


@pytest.mark.parametrize(
    "ip",
    [
        "localhost",
        "256.0.0.1",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.4 ",
        "1.2.3.4/8",
        "fe80::1%eth0",
        "::g",
        "1.2.3.4\n",
    ],
)
def test_refuses_what_is_no_ip_address(form: Form, ip: str) -> None:
    assert "events[0].origin.ip" in dict(violations(form(replace(GOOD, origin=Origin(ip=ip)))))


def test_refuses_an_ip_address_that_is_too_long(form: Form) -> None:
    assert violations(form(replace(GOOD, origin=Origin(ip="1" * 46)))) == [
        ("events[0].origin.ip", "46 bytes, limit 45")
    ]


@pytest.mark.parametrize(
    "traceparent",
    [
        pytest.param("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", id="version ff"),
        pytest.param("00-" + "0" * 32 + "-00f067aa0ba902b7-01", id="zero trace id"),
        pytest.param("00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", id="zero parent id"),
        pytest.param("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", id="upper case"),
        pytest.param("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", id="line break"),
    ],
)
def test_refuses_what_is_no_traceparent(form: Form, traceparent: str) -> None:
    [(path, _), *_] = violations(form(replace(GOOD, origin=Origin(traceparent=traceparent))))
    assert path == "events[0].origin.traceparent"


def test_lists_every_violation_of_a_batch_up_to_twenty(form: Form) -> None:
    bad = form(Event(tenant="t" * 129))
    paths = [path for path, _ in violations(form(GOOD), bad, bad)]
    assert paths == [f"events[{i}].{name}" for i in (1, 2) for name in ("id", "time", "tenant", "action")]
    assert len(violations(*[bad] * 100)) == 20


def test_names_the_first_violation_in_its_message(form: Form) -> None:
    with pytest.raises(InvalidRequestError, match=r"^events\[0\]\.id: required$"):
        encode_event(form(replace(GOOD, id="")))


@pytest.mark.parametrize("count", [0, 1_001])
def test_refuses_a_batch_that_is_empty_or_too_long(form: Form, count: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_events([form(GOOD)] * count)
    assert caught.value.reason == "INVALID_BATCH"
    assert caught.value.violations == (Violation("events", f"{count} events, must be 1 to 1000 (max_batch_events)"),)


def test_takes_a_batch_of_a_thousand(form: Form) -> None:
    assert encode_events([form(GOOD)] * 1_000) == [encode_event(GOOD)] * 1_000


def test_keeps_events_apart_whatever_their_text_holds(form: Form) -> None:
    hostile = [form(replace(GOOD, reason=text)) for text in ("],[", ",\n,", '",\n,"', "\\", "日本", "},\n,{")]
    assert [encoded.fields["reason"] for encoded in encode_events(hostile)] == [
        orjson.loads(encoded.json)["reason"] for encoded in encode_events(hostile)
    ]
    assert [encode_event(event) for event in hostile] == encode_events(hostile)
