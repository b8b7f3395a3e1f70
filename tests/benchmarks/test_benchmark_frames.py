"""Requests made for a load: well-formed, all alike in length, no two events alike in name."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd_client import Event, event_from_dict
from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._events import CLOUDTRAIL_FOLDER, cloudtrail_events, small_events
from benchmarks._frames import EventMaker, five_byte_varint, make_template, make_templates, varint

START_NS = 1_795_480_000_999_000_000
EVENT = {
    "id": "01a20b9a-daf4-7965-88be-ab134da98f1d",
    "time": "2026-11-24T00:26:13.100Z",
    "action": "user.login",
    "actor": {"type": "user", "id": "alice", "session_id": "s-96c8da1964b2d2bc", "auth_method": "password"},
    "resources": [{"type": "order", "id": "8f14e45f-ceea-467f-a8d8-5d4c1b1f9c5a"}],
    "origin": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    "attributes": {"card": "deadbeef", "request": "9ad5794ec94345c4873c4e591788743a"},
}


def made(events: list[Event], number: int, *, proofs: bool = False) -> pb.AppendRequest:
    maker = EventMaker(make_templates(events), START_NS)
    return pb.AppendRequest.FromString(next(maker.requests(number, 1, proofs=proofs)))


def without_random(event: Event) -> Event:
    kept = Event()
    kept.CopyFrom(event)
    kept.id, kept.actor.session_id, kept.origin.traceparent = "", "", ""
    kept.resources[0].id = ""
    kept.attributes_json = ""
    kept.ClearField("time")
    return kept


def test_an_event_keeps_everything_but_its_name_and_its_identifiers():
    template = event_from_dict(EVENT)
    first, second = made([template], 2).events
    assert without_random(first) == without_random(second) == without_random(template)
    for event in (first, second):
        assert event.actor.session_id.startswith("s-")
        assert event.origin.traceparent[:3] == "00-"
        assert '"card":"deadbeef"' in event.attributes_json
    for read in (
        lambda event: event.id,
        lambda event: event.actor.session_id,
        lambda event: event.resources[0].id,
        lambda event: event.origin.traceparent,
        lambda event: event.attributes_json,
    ):
        values = {read(template), read(first), read(second)}
        assert len(values) == 3
        assert len({len(value) for value in values}) == 1


def test_times_rise_across_the_end_of_a_second():
    times = [event.time.ToNanoseconds() for event in made([event_from_dict(EVENT)], 3_000).events]
    assert times[0] == START_NS
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[-1] // 10**9 > START_NS // 10**9


def test_requests_of_one_template_have_one_length():
    maker = EventMaker([make_template(event_from_dict(EVENT))], START_NS)
    assert len({len(request) for request in maker.requests(7, 20)}) == 1


def test_a_template_knows_the_length_of_its_message():
    template = make_template(event_from_dict(EVENT))
    (event,) = EventMaker([template], START_NS).events(1)
    tag, prefix = event[:1], varint(template.event_bytes)
    assert tag + prefix == event[: 1 + len(prefix)]
    assert len(event) == 1 + len(prefix) + template.event_bytes


@pytest.mark.parametrize("proofs", [False, True])
def test_proofs_are_asked_for_only_if_wanted(proofs):
    assert made([event_from_dict(EVENT)], 1, proofs=proofs).include_proofs is proofs


def test_no_two_identifiers_of_many_events_are_alike():
    events = made([event_from_dict(EVENT)], 5_000).events
    beginnings = [
        identifier[:16]
        for event in events
        for identifier in (event.id.replace("-", ""), event.actor.session_id[2:], event.origin.traceparent[3:])
    ]
    assert len(set(beginnings)) == 3 * 5_000


def test_small_events_are_messages_of_500_bytes():
    kind = small_events()
    assert kind.event_bytes == pytest.approx(500, abs=10)


def test_cloudtrail_sized_events_need_no_files(tmp_path):
    kind = cloudtrail_events(tmp_path / "nowhere")
    assert kind.name == "CloudTrail-sized"
    assert kind.event_bytes > 1_000


def test_real_cloudtrail_events_are_taken_where_there_are_files():
    if not CLOUDTRAIL_FOLDER.is_dir():
        pytest.skip("no CloudTrail files beside the repository")
    assert cloudtrail_events(CLOUDTRAIL_FOLDER).name == "CloudTrail"


@given(st.integers(0, 2**35 - 1))
def test_five_byte_varints_are_what_protobuf_reads(value):
    encoded = five_byte_varint(value)
    assert len(encoded) == 5
    assert pb.GetRequest.FromString(b"\x10" + encoded).index == value


@given(st.integers(0, 2**63 - 1))
def test_varints_are_those_that_protobuf_writes(value):
    assert b"\x10" + varint(value) == (pb.GetRequest(index=value).SerializeToString() or b"\x10\x00")
