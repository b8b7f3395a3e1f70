"""Events as JSON text and as mappings: what is taken, what is kept as written, what is refused."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd_client import (
    Event,
    InvalidRequestError,
    event_from_dict,
    event_from_json,
    event_to_dict,
    name_event,
)

WHOLE = """ {"id": "e-1", "time": "2026-11-24T00:26:13.100Z", "tenant": "acme", "action": "user.login",
  "outcome": "FAILURE", "reason": "bad password",
  "actor": {"type": "user", "id": "alice", "name": "Alice", "roles": ["clerk", "approver"],
            "session_id": "s", "auth_method": "password"},
  "resources": [{"type": "account", "id": "42", "name": "Zo\\u00eb"}, {}],
  "origin": {"ip": "203.0.113.9", "user_agent": "curl", "device_id": "d", "method": "POST",
             "endpoint": "/login", "request_id": "r", "traceparent": "t"},
  "producer": {"id": "billing-7f", "seq": 9223372036854775807},
  "actor_token": "e30.e30.AA", "attributes": {"mfa":false,  "amount":1.10}}\r\n"""


def test_takes_every_member_of_an_event():
    event = event_from_json(WHOLE)
    assert event == Event(
        id="e-1",
        time=datetime(2026, 11, 24, 0, 26, 13, 100_000, UTC),
        tenant="acme",
        action="user.login",
        outcome="FAILURE",
        reason="bad password",
        actor={
            "type": "user",
            "id": "alice",
            "name": "Alice",
            "roles": ["clerk", "approver"],
            "session_id": "s",
            "auth_method": "password",
        },
        resources=[{"type": "account", "id": "42", "name": "Zoë"}, {}],
        origin={
            "ip": "203.0.113.9",
            "user_agent": "curl",
            "device_id": "d",
            "method": "POST",
            "endpoint": "/login",
            "request_id": "r",
            "traceparent": "t",
        },
        producer={"id": "billing-7f", "seq": (1 << 63) - 1},
        actor_token="e30.e30.AA",
        attributes_json='{"mfa":false,  "amount":1.10}',
    )
    assert event_from_json(WHOLE.encode()) == event


def test_knows_every_field_of_the_message():
    messages = [Event.DESCRIPTOR]
    for message in messages:
        messages += [field.message_type for field in message.fields if field.message_type and field.name != "time"]
    paths = {field.name for message in messages for field in message.fields}
    assert paths - {"attributes_json"} <= set(re.findall(r'"([a-z_]+)":', WHOLE))


space = st.text(" \t\n\r", max_size=3)
scalar_text = st.one_of(
    st.sampled_from(["1.10", "-0", "1e400", "1E-7", "0.000", "9" * 5_000, "true", "false", "null", '"\\u0041\\/"']),
    st.text().map(json.dumps),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: json.dumps(text, ensure_ascii=False)),
)


def object_text(values):
    member = st.tuples(space, st.text(max_size=5).map(json.dumps), space, space, values, space).map(
        lambda parts: f"{parts[0]}{parts[1]}{parts[2]}:{parts[3]}{parts[4]}{parts[5]}"
    )
    return st.one_of(st.lists(member, min_size=1, max_size=4).map(",".join), space).map(lambda text: f"{{{text}}}")


def array_text(values):
    item = st.tuples(space, values, space).map("".join)
    return st.one_of(st.lists(item, min_size=1, max_size=3).map(",".join), space).map(lambda text: f"[{text}]")


json_text = st.recursive(scalar_text, lambda inner: st.one_of(object_text(inner), array_text(inner)), max_leaves=8)


@given(attributes=object_text(json_text), before=space, after=space, last=st.booleans())
def test_keeps_attributes_exactly_as_they_are_written(attributes, before, after, last):
    member = f'"attributes"{after}:{before}{attributes}{after}'
    action = f'{before}"action":{after}"a"'
    text = "{" + (f"{action},{member}" if last else f"{member},{action}") + "}"
    event = event_from_json(text)
    assert (event.action, event.attributes_json) == ("a", attributes)
    assert event_from_json(text.encode("utf-8")).attributes_json == attributes


@pytest.mark.parametrize("name", ['"attributes"', r'"\u0061ttributes"', r'"attribute\u0073"'])
def test_knows_attributes_by_their_name_however_it_is_escaped(name):
    assert event_from_json(f'{{{name}: {{"a" :1}} }}').attributes_json == '{"a" :1}'


REFUSED = [
    ("nothing", "", "event", "not a JSON object"),
    ("an array", "[]", "event", "not a JSON object"),
    ("a text that names an object", '"{}"', "event", "not a JSON object"),
    ("an object cut short", '{"action":"a"', "event", "Expecting ',' or '}' at character 13"),
    ("a value cut short", '{"action":', "event", "Expecting value at character 10"),
    ("an open text", '{"action":"a', "event", "Unterminated string"),
    ("a missing colon", '{"action" "a"}', "event", "Expecting a member name and a colon at character 1"),
    ("a missing comma", '{"action":"a" "id":"b"}', "event", "Expecting ',' or '}' at character 13"),
    ("a trailing comma", '{"action":"a",}', "event", "Expecting a member name and a colon at character 14"),
    ("a name that is no text", "{1:2}", "event", "Expecting a member name"),
    ("two objects", '{"action":"a"}{}', "event", "more text after the object at character 14"),
    ("a raw line break in a text", '{"action":"a\nb"}', "event", "Invalid control character"),
    ("a no-break space between tokens", '{\u00a0"action":"a"}', "event", "Expecting a member name"),
    ("a byte order mark", '\ufeff{"action":"a"}', "event", "not a JSON object"),
    ("NaN", '{"producer":{"seq":NaN}}', "event", "NaN is no JSON number"),
    ("NaN in attributes", '{"attributes":{"a":[-Infinity]}}', "event", "-Infinity is no JSON number"),
    ("a member twice", '{"action":"a","action":"a"}', "event", "'action' is named twice"),
    ("a member twice, once escaped", r'{"action":"a","\u0061ction":"a"}', "event", "'action' is named twice"),
    ("attributes twice", '{"attributes":{},"attributes":{}}', "event", "'attributes' is named twice"),
    ("a member twice within", '{"actor":{"id":"a","id":"b"}}', "event", "'id' is named twice"),
    ("an unknown member", '{"verb":"a"}', "verb", "unknown member; known are id, time, tenant, action"),
    ("attributes_json", '{"attributes_json":"{}"}', "attributes_json", "unknown member"),
    ("an unknown member within", '{"actor":{"identity":"x"}}', "actor.identity", "unknown member; known are type"),
    ("an unknown member in a list", '{"resources":[{},{"x":1}]}', "resources[1].x", "unknown member; known are type"),
    ("a number for a text", '{"action":1}', "action", "a int, expected text"),
    ("an object for a text", '{"reason":{"sealed":"x"}}', "reason", "an object, expected text"),
    ("a text for an object", '{"actor":"alice"}', "actor", "text, expected an object"),
    ("an object for a list", '{"resources":{}}', "resources", "an object, expected a list"),
    ("a text in a list of objects", '{"resources":["x"]}', "resources[0]", "text, expected an object"),
    ("null in a list", '{"actor":{"roles":["a",null]}}', "actor.roles[1]", "null, expected text"),
    ("a fraction as sequence number", '{"producer":{"seq":1.0}}', "producer.seq", "a float, expected a whole number"),
    ("a truth value as number", '{"producer":{"seq":true}}', "producer.seq", "a truth value, expected a whole"),
    ("a negative sequence number", '{"producer":{"seq":-1}}', "producer.seq", "-1, expected a whole number from 0"),
    ("a sequence number of 2^63", '{"producer":{"seq":9223372036854775808}}', "producer.seq", "from 0 to 2^63-1"),
    ("a number of 5,000 digits", '{"producer":{"seq":' + "9" * 5_000 + "}}", "producer.seq", "a whole number"),
    ("an unknown outcome", '{"outcome":"failure"}', "outcome", "'failure', expected one of SUCCESS, FAILURE, DENIED"),
    ("the outcome that says nothing", '{"outcome":"OUTCOME_UNSPECIFIED"}', "outcome", "expected one of"),
    ("a lone surrogate", r'{"actor":{"id":"ab\ud800"}}', "actor.id", "a lone surrogate at character 2"),
    ("a lone surrogate in a list", r'{"actor":{"roles":["\ud800"]}}', "actor.roles[0]", "a lone surrogate"),
    ("a time without offset", '{"time":"2026-11-24T00:26:13"}', "time", "no RFC 3339 time with an offset"),
    ("a time as number", '{"time":1}', "time", "a int, expected RFC 3339 text"),
    ("ten decimals", '{"time":"2026-11-24T00:26:13.1234567890Z"}', "time", "10 decimals, limit 9"),
    ("no decimals after the dot", '{"time":"2026-11-24T00:26:13.Z"}', "time", "no RFC 3339 time"),
    ("the 30th of February", '{"time":"2026-02-30T00:00:00Z"}', "time", "no such day"),
    ("24 o'clock", '{"time":"2026-11-24T24:00:00Z"}', "time", "no such time of day"),
    ("a leap second", '{"time":"2016-12-31T23:59:60Z"}', "time", "no such time of day"),
    ("an offset of a day", '{"time":"2026-11-24T00:00:00+24:00"}', "time", "no such offset"),
    ("digits that are not ASCII", '{"time":"\uff12026-11-24T00:00:00Z"}', "time", "no RFC 3339 time"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "rule"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refuses_what_is_no_event_and_says_where(text, path, rule):
    with pytest.raises(InvalidRequestError) as caught:
        event_from_json(text)
    (violation,) = caught.value.violations
    assert violation.field == path
    assert rule in violation.description
    assert caught.value.message == f"{path}: {violation.description}"
    assert (caught.value.reason, caught.value.code) == ("INVALID_EVENT", "")


def test_refuses_bytes_that_are_not_utf_8():
    with pytest.raises(InvalidRequestError, match="not UTF-8 at byte 11"):
        event_from_json(b'{"action":"\xff"}')


@pytest.mark.parametrize("member", ["attributes", "actor"])
def test_refuses_what_is_nested_too_deeply_to_be_read(member):
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        event_from_json(f'{{"{member}":{"[" * 200_000}')


def test_leaves_it_to_the_server_to_judge_attributes():
    for attributes in ('{"a":1,"a":2}', "[1]", '"x"', r'{"a":"\ud800"}'):
        assert event_from_json(f'{{"attributes":{attributes}}}').attributes_json == attributes


def test_takes_null_for_absent():
    event = event_from_json('{"id":"x","time":"2026-11-24T00:00:00Z","actor":null,"attributes":null,"reason":null}')
    assert event_to_dict(event) == {"id": "x", "time": "2026-11-24T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-24T00:26:13Z", "2026-11-24T00:26:13Z"),
        ("2026-11-24t00:26:13.123456789z", "2026-11-24T00:26:13.123456789Z"),
        ("2026-11-24T00:26:13.1+05:30", "2026-11-23T18:56:13.100Z"),
        ("2026-11-24T00:26:13-00:01", "2026-11-24T00:27:13Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_reads_times_to_the_nanosecond(text, utc):
    assert event_from_json(json.dumps({"time": text})).time.ToJsonString() == utc


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))))
def test_takes_a_datetime_for_the_instant_that_its_text_names(moment):
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return
    from_datetime = event_from_dict({"time": moment}).time
    assert from_datetime == event_from_dict({"time": moment.isoformat()}).time
    assert from_datetime.nanos == moment.microsecond * 1_000


def test_refuses_a_datetime_without_offset():
    with pytest.raises(InvalidRequestError, match=r"time: .* has no offset"):
        event_from_dict({"time": datetime(2026, 11, 24)})  # noqa: DTZ001


def test_writes_attributes_of_a_mapping_as_compact_json():
    event = event_from_dict({"attributes": {"name": "Zoë", "n": [1, 1.5, None, True]}})
    assert event.attributes_json == '{"name":"Zoë","n":[1,1.5,null,true]}'


def test_takes_attributes_as_text():
    assert event_from_dict({"attributes_json": '{ "a":1.10}'}).attributes_json == '{ "a":1.10}'


@pytest.mark.parametrize(
    ("members", "path", "rule"),
    [
        pytest.param({"attributes": {"a": 1}, "attributes_json": "{}"}, "attributes_json", "given twice", id="twice"),
        pytest.param({"attributes_json": "{}", "attributes": {"a": 1}}, "attributes", "given twice", id="twice, too"),
        pytest.param({"attributes": '{"a":1}'}, "attributes", "text, expected a mapping", id="text"),
        pytest.param({"attributes": {"a": float("nan")}}, "attributes", "not JSON compliant", id="NaN"),
        pytest.param({"attributes": {"a": {1}}}, "attributes", "not JSON serializable", id="a set"),
        pytest.param({"attributes": {"a": "\ud800"}}, "attributes", "a lone surrogate", id="lone surrogate"),
        pytest.param({7: "x"}, "7", "unknown member", id="a name that is no text"),
        pytest.param({"actor": {"roles": "admin"}}, "actor.roles", "text, expected a list", id="text for a list"),
    ],
)
def test_refuses_mappings_that_are_no_event(members, path, rule):
    with pytest.raises(InvalidRequestError) as caught:
        event_from_dict(members)
    (violation,) = caught.value.violations
    assert violation.field == path
    assert rule in violation.description


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
complete_events = st.builds(
    Event,
    id=names.filter(bool),
    time=st.datetimes(timezones=st.just(UTC)),
    action=names,
    outcome=st.sampled_from([0, 1, 2, 3]),
    actor=st.fixed_dictionaries({"id": names, "roles": st.lists(names, max_size=3)}),
    resources=st.lists(st.fixed_dictionaries({"type": names, "name": names}), max_size=3),
    origin=st.fixed_dictionaries({}, optional={"ip": names}),
    producer=st.fixed_dictionaries({"id": names, "seq": st.integers(0, (1 << 63) - 1)}),
    attributes_json=names,
)


@given(complete_events)
def test_writes_an_event_as_a_mapping_that_gives_it_back(event):
    assert event_from_dict(event_to_dict(event)) == event


def test_gives_an_unnamed_event_an_id_and_a_time_once():
    event = Event(action="a")
    assert name_event(event) is event
    named = event.SerializeToString()
    assert name_event(event).SerializeToString() == named
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", event.id)
    assert event.time.nanos % 1_000 == 0
    assert int(event.id.replace("-", "")[:12], 16) == event.time.ToMilliseconds()


def test_keeps_the_name_that_an_event_has():
    event = event_from_dict({"id": "x", "time": "1970-01-01T00:00:00Z"})
    assert (event.id, event.time.ToNanoseconds(), event.HasField("time")) == ("x", 0, True)


def test_gives_every_event_a_name_of_its_own():
    assert len({event_from_json('{"action":"a"}').id for _ in range(1_000)}) == 1_000
