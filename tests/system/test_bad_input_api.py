"""Bad input is answered (promise 10): the right code, a stable reason, the path of the field, and nothing written."""

from __future__ import annotations

import time
import uuid

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import event_pb2
from tests.system.conftest import detail_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Refusal:
    """What a refused call says."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code = error.code()
        self.message = error.details()
        info, bad = detail_of(error, ErrorInfo), detail_of(error, BadRequest)
        self.reason, self.domain, self.facts = info.reason, info.domain, dict(info.metadata)
        self.fields = [violation.field for violation in bad.field_violations]


@pytest.fixture(scope="module")
def call(shared_server):
    """Return a function that makes a call expected to be refused."""
    channel = shared_server.channel()
    metadata = (("authorization", f"Bearer {shared_server.token('admin')}"),)

    def refused(method: str, request: object, metadata: object = metadata) -> Refusal:
        raw = channel.unary_unary(f"/auditd.v1.AuditLogService/{method}")
        data = request if isinstance(request, bytes) else request.SerializeToString()
        before = _size(channel)
        with pytest.raises(grpc.RpcError) as caught:
            raw(data, metadata=metadata, timeout=20)
        assert _size(channel) == before, "a refused call has written something"
        return Refusal(caught.value)

    def _size(channel: grpc.Channel) -> int:
        raw = channel.unary_unary("/auditd.v1.AuditLogService/ListLogs")
        logs = pb.ListLogsResponse.FromString(raw(b"", metadata=metadata, timeout=20)).logs
        return next(log.tree_size for log in logs if log.name == "main")

    return refused


def event(**members: object) -> event_pb2.Event:
    made = event_pb2.Event(id=str(uuid.uuid4()), action="user.login")
    made.time.FromSeconds(int(time.time()))
    for name, value in members.items():
        target, *path = reversed(name.split("__"))
        part = made
        for step in reversed(path):
            part = getattr(part, step)
        setattr(part, target, value)
    return made


def raw_event(data: bytes) -> bytes:
    """An AppendRequest of one event given by its wire bytes."""
    return b"\x12" + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def nested(depth: int) -> str:
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


LATER = int(time.time()) + 86_400

BAD_EVENTS = {
    "missing time": (event(time__seconds=0), "events[0].time"),
    "time with too many nanoseconds": (event(time__nanos=1_000_000_000), "events[0].time"),
    "negative nanoseconds": (event(time__nanos=-1), "events[0].time"),
    "time in year 1": (event(time__seconds=-62_135_596_800), "events[0].time"),
    "time in year 9999": (event(time__seconds=253_402_300_799), "events[0].time"),
    "time tomorrow": (event(time__seconds=LATER), "events[0].time"),
    "missing id": (event(id=""), "events[0].id"),
    "missing action": (event(action=""), "events[0].action"),
    "action of 10 kB": (event(action="a" * 10_000), "events[0].action"),
    "actor with NUL": (event(actor__id="a\0b"), "events[0].actor.id"),
    "outcome that is none": (event(outcome=99), "events[0].outcome"),
    "attributes that are a list": (event(attributes_json="[1]"), "events[0].attributes"),
    "attributes that are no JSON": (event(attributes_json="{"), "events[0].attributes"),
    "attributes with a duplicate key": (event(attributes_json='{"a":1,"\\u0061":2}'), "events[0].attributes"),
    "attributes with NaN": (event(attributes_json='{"a":NaN}'), "events[0].attributes"),
    "attributes with a lone surrogate": (event(attributes_json='{"a":"\\ud800"}'), "events[0].attributes"),
    "attributes of depth 17": (event(attributes_json=nested(17)), "events[0].attributes"),
    "attributes of 70 kB": (event(attributes_json='{"a":"' + "x" * 70_000 + '"}'), "events[0].attributes"),
    "address that is none": (event(origin__ip="localhost"), "events[0].origin.ip"),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_refuses_a_bad_event_naming_the_field(call, case):
    bad, field = BAD_EVENTS[case]
    refusal = call("Append", pb.AppendRequest(events=[bad]))
    assert refusal.code == INVALID
    assert refusal.domain == "auditd"
    assert refusal.fields[0].startswith(field), refusal.fields


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_one_bad_event_refuses_its_whole_batch(call, case):
    bad, field = BAD_EVENTS[case]
    refusal = call("Append", pb.AppendRequest(events=[event(), event(), event(), bad]))
    assert refusal.code == INVALID
    assert refusal.fields[0].startswith(field.replace("[0]", "[3]")), refusal.fields


def test_accepts_attributes_of_depth_16(shared_server):
    stub = shared_server.stub()
    metadata = (("authorization", f"Bearer {shared_server.token('writer')}"),)
    request = pb.AppendRequest(events=[event(attributes_json=nested(16))])
    assert len(stub.Append(request, metadata=metadata).receipts) == 1


BAD_REQUESTS = {
    "an empty batch": ("Append", pb.AppendRequest(), INVALID, "events"),
    "1,001 events": ("Append", pb.AppendRequest(events=[event() for _ in range(1_001)]), INVALID, "events"),
    "a batch over 4 MiB": (
        "Append",
        pb.AppendRequest(events=[event(attributes_json='{"a":"' + "x" * 50_000 + '"}') for _ in range(90)]),
        INVALID,
        "events",
    ),
    "bytes that are no protobuf": ("Append", b"\xff\xff\xff", INVALID, None),
    "text that is no UTF-8": ("Append", raw_event(b"\x0a\x02\xff\xfe"), INVALID, None),
    "text with a lone surrogate": ("Append", raw_event(b"\x0a\x03\xed\xa0\x80"), INVALID, None),
    "an unknown log": ("Append", pb.AppendRequest(log="nowhere", events=[event()]), grpc.StatusCode.NOT_FOUND, None),
    "control as target": (
        "Append",
        pb.AppendRequest(log="control", events=[event()]),
        grpc.StatusCode.PERMISSION_DENIED,
        None,
    ),
    "access as target": (
        "Append",
        pb.AppendRequest(log="access", events=[event()]),
        grpc.StatusCode.PERMISSION_DENIED,
        None,
    ),
    "a known size beyond the tree": (
        "Append",
        pb.AppendRequest(events=[event()], known_size=10**9),
        grpc.StatusCode.FAILED_PRECONDITION,
        None,
    ),
    "a known size of 2^63": ("Append", pb.AppendRequest(events=[event()], known_size=2**63), INVALID, "known_size"),
    "an index beyond the tree": ("Get", pb.GetRequest(index=10**9), grpc.StatusCode.NOT_FOUND, None),
    "an index of 2^63": ("Get", pb.GetRequest(index=2**63), INVALID, "index"),
    "an index of 2^64-1": ("Get", pb.GetRequest(index=2**64 - 1), INVALID, "index"),
    "a proof of nothing": ("Prove", pb.ProveRequest(), INVALID, "target"),
    "a proof in a tree too large": (
        "Prove",
        pb.ProveRequest(inclusion=pb.InclusionTarget(index=0, tree_size=10**9)),
        INVALID,
        None,
    ),
    "a proof of consistency with sizes out of order": (
        "Prove",
        pb.ProveRequest(consistency=pb.ConsistencyTarget(from_size=2, to_size=1)),
        INVALID,
        None,
    ),
    "a proof of consistency from 0": (
        "Prove",
        pb.ProveRequest(consistency=pb.ConsistencyTarget(from_size=0)),
        INVALID,
        "consistency.from_size",
    ),
    "a proof of an event that is not there": (
        "Prove",
        pb.ProveRequest(event_name=pb.EventNameTarget(id="nobody")),
        grpc.StatusCode.NOT_FOUND,
        None,
    ),
    "a filter with a syntax error": ("Query", pb.QueryRequest(filter="action = "), INVALID, "filter"),
    "a filter with an unknown field": ("Query", pb.QueryRequest(filter='acton = "x"'), INVALID, "filter"),
    "a filter that mixes AND and OR": (
        "Query",
        pb.QueryRequest(filter='action = "a" AND action = "b" OR action = "c"'),
        INVALID,
        "filter",
    ),
    "a filter of 20 kB": ("Query", pb.QueryRequest(filter="(" * 20_000), INVALID, "filter"),
    "a negative page size": ("Query", pb.QueryRequest(page_size=-1), INVALID, "page_size"),
    "an order that is none": ("Query", pb.QueryRequest(order=7), INVALID, "order"),
    "a page token that was made up": ("Query", pb.QueryRequest(page_token="x" * 64), INVALID, "page_token"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_refuses_a_bad_request(call, shared_server, case):
    method, request, code, field = BAD_REQUESTS[case]
    refusal = call(method, request)
    assert refusal.code == code, refusal.message
    assert refusal.reason
    assert refusal.domain == "auditd"
    if field is not None:
        assert refusal.fields == [field]
    assert "Traceback" not in refusal.message


@pytest.mark.parametrize(
    ("method", "request_", "limit", "value"),
    [
        ("Append", pb.AppendRequest(events=[BAD_EVENTS["action of 10 kB"][0]]), "events.action", "256"),
        ("Append", pb.AppendRequest(events=[BAD_EVENTS["attributes of 70 kB"][0]]), "events.attributes_json", "60000"),
        ("Append", pb.AppendRequest(events=[BAD_EVENTS["attributes of depth 17"][0]]), "events.attributes_json", "16"),
        ("Query", pb.QueryRequest(filter="a" * 10_001), "filter.max_bytes", "10000"),
        ("Query", pb.QueryRequest(filter="(" * 33 + "a" + ")" * 33), "filter.max_depth", "32"),
        ("Query", pb.QueryRequest(filter=" ".join("a" * 201)), "filter.max_terms", "200"),
        ("Get", pb.GetRequest(index=2**63), "index", "2^63-1"),
    ],
    ids=["action", "attributes", "depth", "filter", "parentheses", "terms", "index"],
)
def test_a_limit_that_no_setting_moves_is_named_with_its_value(call, method, request_, limit, value):
    refusal = call(method, request_)
    assert (refusal.code, refusal.facts["limit"], refusal.facts["value"]) == (INVALID, limit, value)


def test_refuses_a_leaf_over_65535_bytes(call):
    big = event(attributes_json='{"a":"' + "x" * 59_900 + '"}')
    for number in range(64):
        big.resources.add(type="t" * 100, id=f"{number}" * 20)
    refusal = call("Append", pb.AppendRequest(events=[big]))
    assert (refusal.code, refusal.reason) == (INVALID, "LEAF_TOO_LARGE")
    assert refusal.fields == ["events[0]"]


def test_malformed_protobuf_has_its_own_reason(call):
    assert call("Append", b"\xff\xff\xff").reason == "MALFORMED_REQUEST"


def test_a_response_too_large_says_how_many_events_fit(call):
    events = [event(attributes_json='{"a":"' + "x" * 3_900 + '"}') for _ in range(1_000)]
    refusal = call("Append", pb.AppendRequest(events=events, return_leaves=True))
    assert (refusal.code, refusal.reason) == (INVALID, "RESPONSE_TOO_LARGE")
    assert 900 < int(refusal.facts["max_events"]) < 1_000


BAD_METADATA = {
    "no token": (),
    "another scheme": (("authorization", "Basic abc"),),
    "an empty token": (("authorization", "Bearer "),),
    "no JWT": (("authorization", "Bearer abc"),),
    "two tokens": (("authorization", "Bearer abc"), ("authorization", "Bearer def")),
    "alg none": (("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),),
}


@pytest.mark.parametrize("case", BAD_METADATA)
@pytest.mark.parametrize("method", ["Append", "Get", "Query", "Prove", "GetCheckpoint", "ListLogs"])
def test_refuses_a_call_without_a_good_token(call, case, method):
    refusal = call(method, b"\xff\xff", metadata=BAD_METADATA[case])
    assert refusal.code == grpc.StatusCode.UNAUTHENTICATED
    assert refusal.reason.startswith("TOKEN_")
    assert "abc" not in refusal.message
