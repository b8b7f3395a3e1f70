"""The native code against its Python reference: whatever it takes, it makes the same bytes of."""

import asyncio
import contextlib
import json
import resource
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditd.entry import (
    MAX_EVENT_BYTES,
    AttributesError,
    ContradictionError,
    KeyMaker,
    LeafTemplate,
    Limits,
    NativeBatch,
    TokenActor,
    encode_attributes,
    encode_events,
    judge_events,
    recorded_at_text,
)
from auditd.entry import _limits as limits
from auditd.errors import InvalidRequestError
from auditd.merkle import leaf_hash
from auditd.query import caller_terms, member_terms
from auditd.query._terms import terms_of
from auditd.server._judging import EventJudge, Unjudged, read_envelope
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.event_pb2 import Event

CALLER = {"kind": "token", "sub": "svc-\u00fc", "jti": "0123456789"}
TEMPLATE = LeafTemplate("audit.example.com/main")


@pytest.fixture(scope="module", autouse=True)
def _python_is_the_reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditd.entry._attributes.native", None)
        yield


texts = st.one_of(
    st.text(max_size=12),
    st.text(st.sampled_from('a"\\\0\n\x08\x0c\x1b\x7f\x80\x85\xa0é日😀/'), max_size=50),
    st.sampled_from(["a" * 40, "é" * 41, "a" * 128, "a" * 129, "é" * 64, "x" * 256, "x" * 257, "日" * 400]),
)
good = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=45)
ips = st.one_of(
    st.just(""),
    st.ip_addresses().map(str),
    st.sampled_from(
        ["::ffff:203.0.113.9", "::", "1::", "fe80::1%eth0", "01.2.3.4", "1.2.3", "1:2:3:4:5:6:7::", "::1:2:3:4:5:6:7:8"]
    ),
    st.text(st.sampled_from("0123456789abcdef:.%"), max_size=20),
)
traces = st.sampled_from(
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_texts = st.one_of(
    st.just(""),
    st.builds(
        json.dumps,
        st.dictionaries(texts, values, max_size=15),
        ensure_ascii=st.booleans(),
        separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")]),
    ),
    st.text(st.sampled_from('{}[]",:\\ud8 0123456789.eE+-tfn\n'), max_size=30).map(lambda text: '{"a":' + text + "}"),
    st.sampled_from(
        [
            "[]",
            "{",
            '{"a":1}x',
            '{"a":1,"a":2}',
            '{"a":1,"\\u0061":2}',
            '{"a":"\\ud83d\\ude00"}',
            '{"a":"\\ud83d"}',
            '{"a":1e400}',
            '{"a":1e99,"b":-0,"c":1.10,"d":00}',
            '{"a":1e308,"b":1e-400,"c":-1E+0002}',
            '{"a":' + "9" * 300 + "}",
            '{"a":' + "9" * 400 + "}",
            '{"a":"\\uD83D\\ude00","\\ud83d\\ude00":1,"😀":2}',
            '{"a":"\\udc00\\ud800"}',
            '{"\\n":1,"\\u000A":2}',
            '{"\\/\\b\\f\\r\\t":1,"/\\u0008\\u000c\\u000d\\u0009":2}',
            '\n{\r"a"\t: [ 1 , {} ]\n}\t ',
            '{"a":01}',
            '{"a":NaN}',
            '{"sealed":"' + "0" * 64 + '"}',
            '{"a":{"sealed":"' + "0" * 64 + '"}}',
            '{"a":{"\\u0073ealed":"\\u0030' + "0" * 63 + '"}}',
            '{"sealed":"' + "0" * 64 + '","b":1}',
            '{"sealed":"' + "A" * 64 + '"}',
            '{"sealed":{"sealed":1}}',
            '{"a":' * 16 + "1" + "}" * 16,
            '{"a":' * 17 + "1" + "}" * 17,
            '{"a":' * 15 + "[[]]" + "}" * 15,
            '{"a":"' + "x" * 59_992 + '"}',
            '{"a":"' + "x" * 59_993 + '"}',
            json.dumps({f"name-{number}": number for number in range(40)}),
            json.dumps({f"name-{number}": number for number in range(40)})[:-1] + ',"name-3":1}',
        ]
    ),
)
good_json_texts = st.one_of(
    st.just(""),
    st.dictionaries(
        good, st.none() | st.integers(-(10**20), 10**20) | good | st.lists(good, max_size=2), max_size=15
    ).map(lambda members: json.dumps(members, ensure_ascii=False)),
)
numbers = st.one_of(st.just(0), st.integers(0, 2**63 - 1), st.sampled_from([2**63 - 1]))


TEXTS = {
    "": ("id", "action", "tenant", "reason"),
    "actor": ("type", "id", "name", "session_id", "auth_method"),
    "origin": ("user_agent", "device_id", "method", "endpoint", "request_id"),
    "producer": ("id",),
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    """A good event, but for at most one member, of which anything may be said."""
    event = Event(id=draw(good), action=draw(good), outcome=draw(st.integers(0, 3)))
    event.time.seconds = draw(st.integers(1, 2_000_000_000))
    event.time.nanos = draw(st.sampled_from([0, 1, 1_000, 120_000_000, 999_999_999]))
    for message, fields in TEXTS.items():
        for field in draw(st.lists(st.sampled_from(fields), unique=True)):
            setattr(getattr(event, message, event), field, draw(good))
    event.actor.roles.extend(draw(st.lists(good, max_size=3)))
    for _ in range(draw(st.integers(0, 2))):
        event.resources.add(type=draw(good), id=draw(good))
    event.origin.ip = draw(st.ip_addresses().map(str))
    event.producer.seq = draw(numbers)
    event.attributes_json = draw(good_json_texts)
    draw(st.sampled_from(ODDITIES))(draw, event)
    return event


def odd_text(draw: st.DrawFn, event: Event) -> None:
    message = draw(st.sampled_from(list(TEXTS)))
    setattr(getattr(event, message, event), draw(st.sampled_from(TEXTS[message])), draw(texts))


def odd_list(draw: st.DrawFn, event: Event) -> None:
    event.actor.roles.append(draw(texts))
    event.resources.add(type=draw(texts), id=draw(texts), name=draw(texts))


def odd_origin(draw: st.DrawFn, event: Event) -> None:
    event.origin.ip, event.origin.traceparent = draw(ips), draw(traces)


def odd_number(draw: st.DrawFn, event: Event) -> None:
    event.time.seconds = draw(st.integers(-1, 300_000_000_000))
    event.time.nanos = draw(st.sampled_from([0, 1_000_000_000, -1]))
    event.outcome = draw(st.integers(-1, 4))
    event.producer.seq = draw(st.integers(0, 2**64 - 1))


def odd_attributes(draw: st.DrawFn, event: Event) -> None:
    event.attributes_json = draw(json_texts)


ODDITIES = (odd_text, odd_text, odd_list, odd_origin, odd_number, odd_attributes, odd_attributes)


def taken(native: Any, request: bytes) -> Any:
    return native.read_append(request, "iss", CALLER["sub"], caller_terms(CALLER), 1_000)


def require_same(native: Any, request: bytes) -> None:
    """What native code takes, Python takes too, and makes the same of it; what it calls good breaks no rule."""
    batch = taken(native, request)
    if isinstance(batch, int):
        with contextlib.suppress(InvalidRequestError):
            events = read_envelope(request).events
            assert judge_events([Event.FromString(event) for event in events[:batch]])[1] == []
        return
    message = pb.AppendRequest.FromString(request)
    expected = encode_events(message.events)
    make_key = KeyMaker("iss", CALLER["sub"])
    assert [NativeBatch(batch)[position] for position in range(len(batch))] == expected
    assert batch.keys() == [make_key(event.id, event.time, event.time_ns) for event in expected]
    assert batch.terms((0, len(batch))) == [terms_of({"event": event.fields, "caller": CALLER}) for event in expected]
    assert batch.lengths() == [len(event.json) for event in expected]
    assert batch.event_bytes == sum(batch.lengths())
    times = [event.time_ns for event in expected]
    assert batch.time_range_ns == (min(times), max(times))
    known_size = message.known_size if message.HasField("known_size") else None
    assert (batch.log, batch.return_leaves, batch.include_proofs, batch.known_size) == (
        message.log,
        message.return_leaves,
        message.include_proofs,
        known_size,
    )


@settings(max_examples=4 * settings.default.max_examples)
@given(items=st.lists(events(), min_size=1, max_size=2), log=st.text(max_size=5), known_size=st.none() | numbers)
def test_makes_the_same_of_whatever_it_takes(native, items, log, known_size):
    request = pb.AppendRequest(log=log, events=items, known_size=known_size, return_leaves=True)
    require_same(native, request.SerializeToString())


@settings(max_examples=3 * settings.default.max_examples)
@given(items=st.lists(events(), min_size=1, max_size=2), at=st.floats(0, 1), change=st.binary(max_size=3))
@example(items=[Event(id="a", action="b")], at=0.5, change=b"\xff")
def test_takes_no_malformed_bytes(native, items, at, change):
    data = pb.AppendRequest(events=items).SerializeToString()
    cut = int(at * len(data))
    for damaged in (data[:cut] + change + data[cut + len(change) :], data[:cut] + change + data[cut:], data[:cut]):
        require_same(native, damaged)


@settings(max_examples=2 * settings.default.max_examples)
@given(
    items=st.lists(events(), min_size=1, max_size=3),
    bring=st.lists(st.booleans(), min_size=3, max_size=3),
    token=st.builds(TokenActor, st.just("ab" * 32), good, st.lists(good, max_size=2).map(tuple), good, good, good),
    agree=st.booleans(),
)
def test_puts_in_the_same_actors(native, items, bring, token, agree):
    for event, brings in zip(items, bring, strict=False):
        if brings:
            event.actor_token = "a.b.c"
            if agree:
                event.actor.ClearField("roles")
                event.actor.id, event.actor.session_id, event.actor.auth_method = token.id, "", token.auth_method
    request = pb.AppendRequest(events=items).SerializeToString()
    require_same(native, request)
    encoded = taken(native, request)
    if isinstance(encoded, int):
        return
    batch = NativeBatch(encoded)
    bringing = [position for position, event in enumerate(items) if event.actor_token]
    assert batch.actor_tokens == [(position, "a.b.c") for position in bringing]
    acts = batch.acts()
    assert sorted(position for act in acts for position in act.positions) == bringing
    for act in acts:
        times = [batch[position].time_ns for position in act.positions]
        assert (act.token, act.earliest_ns, act.latest_ns) == ("a.b.c", min(times), max(times))
    try:
        said = [(act.positions, *token.members(act.actor, act.tenant)) for act in acts]
    except ContradictionError:
        return
    terms = [member_terms(json.loads("{" + (tenant + actor)[1:].decode() + "}")) for _, actor, tenant in said]
    edited = batch.with_actors([(*members, text) for members, text in zip(said, terms, strict=True)])
    expected = [token.splice(event) if item.actor_token else event for event, item in zip(batch, items, strict=True)]
    assert list(edited) == expected
    for found, event in zip(edited.terms(range(len(items))), expected, strict=True):
        assert sorted(found.split("\n")) == sorted(terms_of({"event": event.fields, "caller": CALLER}).split("\n"))
    assert encoded.keys() == edited._encoded.keys()


@pytest.mark.parametrize(
    "positions",
    [[], [[0]], [[0, 1]], [[0, 2], [2]], [[0, 2, 2]], [[0, 2, 9]]],
    ids=["none", "too few", "another", "twice", "twice at once", "beyond"],
)
def test_wants_one_actor_for_each_token(native, positions):
    events = [Event(id="a", action="b", time={"seconds": 1}, actor_token=token) for token in ("a.b.c", "", "a.b.c")]
    encoded = taken(native, pb.AppendRequest(events=events).SerializeToString())
    with pytest.raises((ValueError, IndexError)):
        encoded.with_actors([(some, b"", b"", "") for some in positions])


def requests() -> Iterator[pytest.param]:
    """Plain requests, each with everything that Python would take."""
    event = Event(
        id="e-1", action="user.login", outcome=2, tenant="acme", reason='bad "password"\n', producer={"seq": 3}
    )
    event.time.FromJsonString("2026-11-24T00:26:13.123456789Z")
    event.actor.MergeFrom(type(event.actor)(type="user", id="älice", roles=["a", "b"]))
    event.resources.add(type="account", id="42")
    event.origin.MergeFrom(type(event.origin)(ip="2001:db8::1", user_agent="Mozilla/5.0\t(X11)", endpoint="/login"))
    event.attributes_json = '{"mfa":false,"amount":1.10,"tags":["a","b"],"nested":{"x":null}, "e":1.5e-7}'
    yield pytest.param(pb.AppendRequest(events=[event]), id="an event with every kind of member")
    yield pytest.param(pb.AppendRequest(events=[event] * 1_000, include_proofs=True), id="a full batch")
    yield pytest.param(pb.AppendRequest(log="main", events=[event], known_size=0), id="a known size of zero")


@pytest.mark.parametrize("request_", list(requests()))
def test_takes_plain_requests(native, request_):
    data = request_.SerializeToString()
    assert not isinstance(taken(native, data), int)
    require_same(native, data)


@pytest.mark.parametrize("count", [0, 1_001])
def test_leaves_batches_of_a_wrong_length_to_python(native, count):
    event = Event(id="a", action="b", time={"seconds": 1})
    assert taken(native, pb.AppendRequest(events=[event] * count).SerializeToString()) == min(count, 1_000)


def test_leaves_events_that_are_too_large_to_python(native):
    event = Event(id="a", action="b", time={"seconds": 1}, actor_token="t" * MAX_EVENT_BYTES)
    assert taken(native, pb.AppendRequest(events=[event]).SerializeToString()) == 0


def test_says_how_many_events_are_good_before_one_that_is_not(native):
    events = [Event(id="a", action="b", time={"seconds": 1}) for _ in range(5)]
    events[3].attributes_json = '{"a":1,"a":2}'
    assert taken(native, pb.AppendRequest(events=events).SerializeToString()) == 3


def judged(request: bytes, *, good: int) -> Any:
    try:
        return asyncio.run(EventJudge(Limits()).judge(Unjudged(read_envelope(request).events, good)))
    except InvalidRequestError as refused:
        return refused.reason, str(refused), refused.violations


@given(items=st.lists(events(), min_size=1, max_size=6))
def test_what_it_calls_good_is_not_looked_at_for_mistakes_and_all_are_answered_alike(native, items):
    request = pb.AppendRequest(events=items).SerializeToString()
    good = taken(native, request)
    if isinstance(good, int):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("auditd.server._judging._PART_EVENTS", 2)
            patch.setattr("auditd.server._judging._MORE_BYTES", 200)
            assert judged(request, good=good) == judged(request, good=0)


def test_leaves_fields_of_later_versions_to_python(native):
    known = Event(id="a", action="b", time={"seconds": 1}).SerializeToString()
    later = known + b"\xfa\x01\x01x"
    assert Event.FromString(later).id == "a"
    assert not isinstance(taken(native, b"\x12" + bytes([len(known)]) + known), int)
    assert taken(native, b"\x12" + bytes([len(later)]) + later) == 0


def test_puts_the_same_leaves_together(native):
    request = pb.AppendRequest(events=[Event(id=f"e-{n}", action="a", time={"seconds": n + 1}) for n in range(5)])
    batch = NativeBatch(taken(native, request.SerializeToString()))
    recorded_at, salts, caller = recorded_at_text(1_795_000_000_123_456), bytes(range(48)), b'{"kind":"token"}'
    for positions in (range(1, 4), [0, 2, 4]):
        expected = [
            TEMPLATE.leaf(98 + count, recorded_at, salts[16 * count : 16 * count + 16], caller, batch[position].json)
            for count, position in enumerate(positions)
        ]
        assert batch.leaves(positions, 98, TEMPLATE, recorded_at, salts, caller) == expected


def test_has_the_limits_of_the_format(native):
    assert {name: getattr(limits, name) for name in native.LIMITS} == native.LIMITS


@given(leaves=st.lists(st.binary(max_size=300), max_size=5))
def test_hashes_leaves_alike(native, leaves):
    assert native.leaf_hashes(leaves) == [leaf_hash(leaf) for leaf in leaves]


@given(row=st.lists(st.binary(min_size=64, max_size=64), max_size=9).map(b"".join))
def test_hashes_rows_alike(native, row):
    expected = [sha256(b"\1" + row[at : at + 64]).digest() for at in range(0, len(row), 64)]
    assert native.parent_row(row) == native.parent_row(bytearray(row)) == b"".join(expected)


def test_refuses_a_row_of_an_odd_number_of_hashes(native):
    with pytest.raises(ValueError, match="96 bytes are no pairs of hashes"):
        native.parent_row(bytes(96))


@pytest.mark.parametrize("first_index", [0, 127, 2**62])
def test_writes_the_same_response(native, first_index):
    hashes = [bytes([number]) * 32 for number in range(3)]
    leaves = [b"{}", b"", b"x" * 300]
    paths = [b"", b"a" * 64, b"b" * 32 * 40]
    expected = pb.AppendResponse(checkpoint="a checkpoint\n", consistency_proof=hashes[:2])
    for count, (digest, leaf, path) in enumerate(zip(hashes, leaves, paths, strict=True)):
        receipt = expected.receipts.add(index=first_index + count, leaf_hash=digest, leaf=leaf)
        receipt.recorded_at.FromMicroseconds(1_795_000_000_000_007)
        receipt.inclusion_proof.extend(path[at : at + 32] for at in range(0, len(path), 32))
    made = native.append_response(
        "a checkpoint\n", hashes[:2], first_index, 1_795_000_000_000_007, hashes, leaves, paths
    )
    assert pb.AppendResponse.FromString(made) == expected


def test_writes_the_same_entries(native):
    entries = [(0, b"{}"), (1, b""), (300, b"x" * 300), (2**62, b"y" * 20_000)]
    expected = pb.ExportResponse(entries=[pb.Entry(index=index, leaf=leaf) for index, leaf in entries])
    assert native.entry_fields(2, entries) == expected.SerializeToString(deterministic=True)
    assert native.entry_fields(2, []) == b""


pieces = st.sampled_from(
    ['"a"', '"\\u0061"', '"sealed"', f'"{"ab" * 32}"', "1e308", "1e309", "-0", "1.", "nul", "null", "\n", '"\\ud83d"']
)
odd_json_texts = st.recursive(
    pieces,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(pieces, inner), max_size=3).map(
            lambda items: "{" + ",".join(f"{name}:{value}" for name, value in items) + "}"
        ),
    ),
    max_leaves=8,
)


@given(json_texts | odd_json_texts | odd_json_texts.map(lambda value: f'{{"a":{value}}}'))
def test_takes_exactly_the_attributes_that_are_lawful(native, text):
    try:
        encode_attributes(text)
    except AttributesError:
        assert not native.are_attributes(text)
    else:
        assert native.are_attributes(text)


def test_an_event_of_too_many_parts_is_not_read_to_its_end(native):
    """2,000,000 resources of two bytes each would take 96 MB."""
    event = b"\x42\0" * 2_000_000
    request = (
        b"\x12"
        + bytes([0x80 | len(event) & 0x7F, 0x80 | len(event) >> 7 & 0x7F])
        + bytes([0x80 | len(event) >> 14 & 0x7F, len(event) >> 21])
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert taken(native, request + event) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_python_refuses_what_native_code_left_to_it(native):
    bad = Event(id="a", action="b\0", time={"seconds": 1})
    assert taken(native, pb.AppendRequest(events=[bad]).SerializeToString()) == 0
    with pytest.raises(InvalidRequestError, match=r"events\[0\].action: holds the control character U\+0000"):
        encode_events([bad])
