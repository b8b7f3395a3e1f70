"""Appending through the synchronous client: batches, order, duplicates, paths of refused fields."""

import threading

import grpc
import pytest
from google.rpc import error_details_pb2

from auditd_client import (
    ConflictError,
    Event,
    ExhaustedError,
    InvalidRequestError,
    RetryPolicy,
    ServerError,
    UnavailableError,
    event_from_dict,
)


def events(count, size=0):
    return [Event(id=f"e-{number}", action="a", reason="r" * size) for number in range(count)]


def test_appends_one_event_and_returns_its_receipt(double, connect):
    result = connect().append({"action": "user.login", "outcome": "FAILURE"})
    (receipt,) = result.receipts
    assert (receipt.index, receipt.duplicate, receipt.tree_size) == (0, False, 1)
    assert receipt.leaf_hash == double.tree.hashes[0]
    assert receipt.recorded_at.isoformat() == "2026-11-24T00:26:13.123456+00:00"
    assert receipt.checkpoint == result.checkpoint == double.tree.note()
    assert (receipt.leaf, receipt.inclusion_proof) == (b"", ())


def test_records_an_event_from_keyword_arguments(double, connect):
    receipt = connect().record("user.login", actor={"id": "alice"}, attributes={"mfa": False})
    assert receipt.index == 0
    (event,) = double.sent("Append")[0].events
    assert (event.action, event.actor.id, event.attributes_json) == ("user.login", "alice", '{"mfa":false}')


def test_brings_leaf_and_proof_on_request(double, connect):
    client = connect()
    client.append(events(5))
    receipt = client.append(Event(id="x", action="a"), return_leaves=True, include_proofs=True).receipts[0]
    assert receipt.leaf == double.leaves[5]
    assert list(receipt.inclusion_proof) == double.tree.path(5, 0, 6)


def test_brings_the_consistency_proof_from_a_known_size(double, connect):
    client = connect()
    client.append(events(3))
    result = client.append(Event(id="x", action="a"), known_size=3)
    assert list(result.consistency_proof) == double.tree.consistency(3, 0, 4)


def test_splits_by_count_and_keeps_the_order(double, connect):
    receipts = connect().append(events(2_345)).receipts
    assert [len(request.events) for request in double.sent("Append")] == [1_000, 1_000, 345]
    assert [receipt.index for receipt in receipts] == list(range(2_345))
    assert [receipt.leaf_hash for receipt in receipts] == double.tree.hashes


def test_receipts_of_a_split_append_carry_the_checkpoint_that_covers_them(double, connect):
    result = connect().append(events(1_500), include_proofs=True)
    assert {(r.tree_size, r.checkpoint) for r in result.receipts} == {
        (1_000, double.tree.note(1_000)),
        (1_500, double.tree.note(1_500)),
    }
    assert result.checkpoint == double.tree.note(1_500)


def test_splits_by_bytes(double, connect):
    receipts = connect().append(events(90, size=60_000)).receipts
    sizes = [request.ByteSize() for request in double.sent("Append")]
    assert len(sizes) == 2
    assert max(sizes) < 4 * 1024 * 1024
    assert [receipt.index for receipt in receipts] == list(range(90))


def test_splits_to_what_the_server_has_room_for_in_its_response(double, connect):
    double.room = 30
    receipts = connect().append(events(100), return_leaves=True).receipts
    assert [len(request.events) for request in double.sent("Append")] == [100, 30, 30, 30, 10]
    assert [receipt.leaf for receipt in receipts] == double.leaves


def test_gives_up_when_the_server_has_no_room_for_one_event(double, connect):
    double.room = 0
    with pytest.raises(Exception, match="refused") as caught:
        connect().append(events(3))
    assert caught.value.reason == "RESPONSE_TOO_LARGE"
    assert [len(request.events) for request in double.sent("Append")] == [3, 1]


def test_sends_ever_fewer_events_even_to_a_server_that_claims_room_for_all(double, connect, service):
    claim = {"max_events": "1000"}
    refusal = service.Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "RESPONSE_TOO_LARGE", claim)
    double.fail(*[refusal] * 3)
    with pytest.raises(ExhaustedError):
        connect().append(events(3))
    assert [len(request.events) for request in double.sent("Append")] == [3, 2, 1]


def test_lets_the_server_refuse_an_empty_append(double, connect):
    with pytest.raises(InvalidRequestError):
        connect().append([])
    assert len(double.calls) == 1


def test_names_events_before_the_first_try_so_that_retries_are_recorded_once(double, connect, service):
    double.stored_but.append(service.Failure(grpc.StatusCode.UNAVAILABLE, reason="COMMIT_FAILED"))
    result = connect().append([{"action": "a"}, {"action": "b"}])
    first, second = double.sent("Append")
    assert first == second
    assert [receipt.duplicate for receipt in result.receipts] == [True, True]
    assert len(double.leaves) == 2


def test_names_an_event_message_in_place_so_that_appending_it_again_is_recorded_once(double, connect):
    client, event = connect(), Event(action="a")
    client.append(event)
    assert event.id
    assert client.append(event).receipts[0].duplicate
    assert len(double.leaves) == 1


def test_counts_field_paths_from_the_callers_first_event(double, connect, service):
    violation = error_details_pb2.BadRequest.FieldViolation(field="events[7].time", description="missing")
    refusal = service.Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "events[7].time: missing",
        "INVALID_EVENT",
        {"field": "events[7].time"},
        [error_details_pb2.BadRequest(field_violations=[violation])],
    )
    double.fail(None, refusal)
    with pytest.raises(InvalidRequestError) as caught:
        connect().append(events(1_500))
    assert caught.value.message == "events[1007].time: missing"
    assert caught.value.metadata == {"field": "events[1007].time"}
    assert [violation.field for violation in caught.value.violations] == ["events[1007].time"]
    assert str(caught.value) == "events[1007].time: missing"


def test_says_which_event_is_malformed_before_anything_is_sent(double, connect):
    with pytest.raises(InvalidRequestError, match=r"^events\[1\]\.actor\.id: "):
        connect().append([{"action": "a"}, {"action": "b", "actor": {"id": 7}}])
    assert double.calls == []


def test_reports_a_conflict_and_does_not_try_again(double, connect, service):
    double.fail(service.Failure(grpc.StatusCode.ALREADY_EXISTS, "taken", "EVENT_CONFLICT", {"index": "4"}))
    with pytest.raises(ConflictError) as caught:
        connect().append({"action": "a"})
    assert (caught.value.reason, caught.value.metadata) == ("EVENT_CONFLICT", {"index": "4"})
    assert len(double.calls) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda response: response.receipts.pop(), id="a receipt short"),
        pytest.param(lambda response: response.ClearField("checkpoint"), id="without checkpoint"),
        pytest.param(lambda response: setattr(response, "checkpoint", "log\n+1\n"), id="size not decimal"),
    ],
)
def test_refuses_a_malformed_response(double, connect, monkeypatch, spoil):
    respond = double._response

    def respond_spoiled(request, recorded):
        response = respond(request, recorded)
        spoil(response)
        return response

    monkeypatch.setattr(double, "_response", respond_spoiled)
    with pytest.raises(ServerError) as caught:
        connect().append({"action": "a"})
    assert caught.value.reason == "MALFORMED_RESPONSE"


def test_uses_the_log_of_the_client_unless_told_otherwise(double, connect):
    client = connect(log="billing")
    client.append({"action": "a"})
    client.append({"action": "a"}, log="other")
    assert [request.log for request in double.sent("Append")] == ["billing", "other"]


class TestStream:
    def test_yields_receipts_in_the_order_of_the_events(self, double, connect):
        sent = events(5_500)
        receipts = list(connect().append_stream(sent, return_leaves=True))
        assert len(receipts) == len(double.leaves) == 5_500
        assert [f'"id":"{event.id}"'.encode() in r.leaf for event, r in zip(sent, receipts, strict=True)] == [
            True
        ] * 5_500

    def test_has_several_batches_under_way_but_no_more_than_asked_for(self, double, connect):
        arrived, go_on, most = [], threading.Barrier(3, timeout=10), []

        def wait_for_two_more(_):
            arrived.append(1)
            most.append(len(arrived))
            go_on.wait()
            arrived.pop()

        double.fail(*[wait_for_two_more] * 6)
        assert len(list(connect().append_stream(events(6_000), max_in_flight=3))) == 6_000
        assert max(most) == 3

    def test_sends_nothing_before_it_is_iterated(self, double, connect):
        connect().append_stream(events(3))
        assert double.calls == []

    def test_yields_nothing_for_nothing(self, double, connect):
        assert list(connect().append_stream([])) == []
        assert double.calls == []

    def test_hands_over_what_is_gathered_when_the_source_says_that_it_pauses(self, double, connect):
        receipts = []

        def source():
            yield from events(2)
            yield None
            assert [receipt.index for receipt in receipts] == [0, 1]
            yield {"action": "later"}

        receipts.extend(connect().append_stream(source()))
        assert [receipt.index for receipt in receipts] == [0, 1, 2]

    def test_yields_the_receipts_before_a_refused_batch_and_raises_in_its_place(self, double, connect, service):
        refusal = service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "events[5].time: missing", "INVALID")
        double.fail(None, refusal)
        receipts = []
        with pytest.raises(InvalidRequestError, match=r"events\[1005\]\.time"):
            receipts.extend(connect().append_stream(events(3_000), max_in_flight=1))
        assert len(receipts) == 1_000
        assert len(double.sent("Append")) == 2

    def test_learns_the_size_that_the_server_has_room_for(self, double, connect):
        double.room = 400
        receipts = list(connect().append_stream(events(2_000), max_in_flight=1))
        assert [receipt.index for receipt in receipts] == list(range(2_000))
        assert [len(request.events) for request in double.sent("Append")] == [
            1_000,
            400,
            400,
            200,
            400,
            400,
            200,
        ]

    def test_says_which_event_of_the_stream_is_malformed(self, connect):
        with pytest.raises(InvalidRequestError, match=r"^events\[1002\]\.verb: unknown member"):
            list(connect().append_stream([*events(1_002), {"verb": "x"}]))

    def test_can_be_sent_again_after_a_failure(self, double, connect, service):
        named = [event_from_dict({"action": "a"}) for _ in range(1_500)]
        double.stored_but.extend([None, service.Failure(grpc.StatusCode.UNAVAILABLE, reason="STOPPING")])
        client = connect(retry=RetryPolicy(max_attempts=1))
        with pytest.raises(UnavailableError):
            list(client.append_stream(named, max_in_flight=1))
        assert [r.duplicate for r in client.append_stream(named)] == [True] * 1_500
        assert len(double.leaves) == 1_500
