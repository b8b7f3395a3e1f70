"""Whatever is sent: fast path and definition agree, and every leaf is what the schema says."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd.entry import (
    Actor,
    Event,
    EventLike,
    LeafTemplate,
    Origin,
    Producer,
    Resource,
    Time,
    attributes_text,
    difference,
    encode_caller,
    encode_event,
    encode_events,
    leaf_schema,
    parse_leaf,
    recorded_at_text,
)
from auditd.entry._fields import violations_of
from auditd.errors import InvalidRequestError
from auditd_proto.v1 import event_pb2

TEMPLATE = LeafTemplate("audit.example.com/main")
CALLER = encode_caller("token", "https://idp.example.com", "svc", "j-1", bytes(32))
VALIDATOR = jsonschema.Draft202012Validator(leaf_schema())

good_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=16)
good_prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=16)
any_text = st.one_of(
    good_text,
    st.text(st.sampled_from('a"\\\0\n\x1b\x7f\x85é日😀'), max_size=40),
    st.sampled_from(["a" * 64, "a" * 65, "é" * 32, "é" * 33, "a" * 257, "é" * 129, "日" * 400, "a" * 1_025]),
)
ips = st.one_of(st.just(""), st.ip_addresses().map(str))
traces = st.sampled_from(["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
attributes = st.one_of(
    st.just(""),
    st.dictionaries(good_text, st.none() | st.integers() | good_prose | st.lists(st.booleans()), max_size=4).map(
        json.dumps
    ),
)


def events(text: st.SearchStrategy[str], prose: st.SearchStrategy[str], required: st.SearchStrategy[str], **more: Any):
    return st.builds(
        Event,
        id=required,
        time=more.get("time", st.builds(Time, st.integers(0, 253_402_300_799), st.integers(1, 999_999_999))),
        tenant=text,
        action=required,
        outcome=more.get("outcome", st.integers(0, 3)),
        reason=prose,
        actor=st.builds(
            Actor,
            text,
            text,
            prose,
            st.lists(required, max_size=3).map(tuple),
            session_id=text,
            auth_method=text,
        ),
        resources=st.lists(st.builds(Resource, more.get("resource_type", required), text, prose), max_size=3).map(
            tuple
        ),
        origin=st.builds(Origin, more.get("ip", ips), prose, text, text, prose, text, more.get("traceparent", traces)),
        producer=st.builds(Producer, text, st.integers(0, 2**63 - 1)),
        attributes_json=more.get("attributes", attributes),
    )


good_events = events(good_text, good_prose, good_text.filter(bool))
any_events = events(
    any_text,
    any_text,
    any_text,
    time=st.builds(Time, st.integers(-1, 2) | st.just(253_402_300_800), st.integers(-1, 10**9)),
    outcome=st.integers(-1, 4),
    resource_type=any_text,
    ip=ips | any_text,
    traceparent=traces | any_text,
    attributes=attributes | any_text,
)


def to_message(event: Event) -> EventLike:
    return event_pb2.Event(
        id=event.id,
        time={"seconds": event.time.seconds, "nanos": event.time.nanos},
        tenant=event.tenant,
        action=event.action,
        outcome=event.outcome,
        reason=event.reason,
        actor={name: getattr(event.actor, name) for name in Actor.__slots__},
        resources=[{name: getattr(r, name) for name in Resource.__slots__} for r in event.resources],
        origin={name: getattr(event.origin, name) for name in Origin.__slots__},
        producer={"id": event.producer.id, "seq": event.producer.seq},
        attributes_json=event.attributes_json,
    )


def refused(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except InvalidRequestError as error:
        return [f"{violation.field}: {violation.description}" for violation in error.violations]
    return []


@settings(max_examples=60)
@given(good_events)
def test_every_good_event_makes_a_leaf_of_the_schema(event: Event) -> None:
    encoded = encode_event(to_message(event))
    assert encoded == encode_event(event)
    leaf = TEMPLATE.leaf(3, recorded_at_text(5), bytes(16), CALLER, encoded.json)
    entry = parse_leaf(leaf)
    VALIDATOR.validate(entry)
    assert b"\n" not in leaf
    assert attributes_text(leaf) == encoded.attributes == event.attributes_json.encode()
    entry["event"].pop("attributes", None)
    assert entry["event"] == encoded.fields
    assert difference(leaf, encoded) is None


@settings(max_examples=2 * settings.default.max_examples)
@given(any_events)
def test_fast_path_refuses_exactly_what_breaks_a_rule(event: Event) -> None:
    expected = [f"{v.field}: {v.description}" for v in violations_of(event, "events[0]")]
    assert refused(lambda: encode_event(event)) == expected[:20]
    message = to_message(event)
    assert [f"{v.field}: {v.description}" for v in violations_of(message, "events[0]")] == expected
    assert refused(lambda: encode_event(message)) == expected[:20]


@settings(max_examples=30)
@given(st.lists(good_events, min_size=1, max_size=5))
def test_a_batch_is_its_events(batch: list[Event]) -> None:
    assert encode_events(batch) == [encode_event(event) for event in batch]
