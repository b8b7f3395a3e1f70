"""A tail believes nothing: what does not follow, or does not verify, ends it; what was lost, it asks for again."""

from __future__ import annotations

import itertools
import threading

import grpc
import pytest

from auditd_client import (
    DamagedLogError,
    HistoryRewrittenError,
    InvalidRequestError,
    LogBehindCallerError,
    PreconditionError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)
from auditd_client.verify import VerificationError
from auditd_proto.v1 import audit_log_service_pb2 as pb


@pytest.fixture
def filled(double, connect):
    """A client that knows the key of a log of 10 entries."""
    client = connect(key=double.tree.vkey)
    connect().append([{"id": f"e-{number}", "time": "2026-11-24T00:00:00Z", "action": "a"} for number in range(10)])
    double.calls.clear()
    return client


@pytest.fixture
def away(service):
    return service.Failure(grpc.StatusCode.UNAVAILABLE, reason="TAIL_ENDED")


def indexes(tail, count):
    return [entry.index for entry in itertools.islice(tail, count)]


def test_asks_for_proofs_with_a_key_and_for_none_without(double, filled, connect):
    for client in (filled, connect()):
        double.tails.append(lambda _: [double.message(3, 10)])
        assert indexes(client.tail("", from_index=3), 7) == list(range(3, 10))
    with_key, without = double.sent("Tail")
    assert with_key == pb.TailRequest(log="main", from_index=3, known_size=0, include_proofs=True, heartbeat_s=5)
    assert without == pb.TailRequest(log="main", from_index=3, heartbeat_s=5)


def test_nothing_is_asked_before_it_is_iterated(double, filled):
    filled.tail()
    assert double.calls == []


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"])
def test_resumes_where_it_stood_from_the_checkpoint_it_had(double, filled, service, pauses, code):
    details = [service.retry_info(0.5)] if code == "RESOURCE_EXHAUSTED" else []
    reason = None if code == "CANCELLED" else "TAIL_ENDED"
    lost = service.Failure(getattr(grpc.StatusCode, code), reason=reason, details=details)
    double.tails.append(lambda _: [double.message(0, 4), lost])
    double.tails.append(lambda request: [double.message(4, 7, known_size=request.known_size), lost])
    double.tails.append(lambda request: [double.message(7, 10, known_size=request.known_size)])
    tail = filled.tail(from_index=0)
    assert indexes(tail, 10) == list(range(10))
    assert [request.from_index for request in double.sent("Tail")] == [0, 4, 7]
    assert [request.known_size for request in double.sent("Tail")] == [0, 10, 10]
    assert len(pauses) == 2
    assert tail.next_index == 10
    assert tail.checkpoint == double.tree.note()


def test_a_stream_that_just_ends_is_resumed(double, filled):
    for first in (0, 5):
        double.tails.append(lambda _, first=first: [double.message(first, first + 5)])
    assert indexes(filled.tail(from_index=0), 10) == list(range(10))


def test_what_is_recorded_from_now_on_is_resumed_by_index_too(double, filled, away):
    double.tails.append(lambda _: [double.message(8, 8), away])
    double.tails.append(lambda _: [double.message(8, 10)])
    assert indexes(filled.tail(), 2) == [8, 9]
    assert [request.HasField("from_index") for request in double.sent("Tail")] == [False, True]


def test_a_filter_may_leave_entries_out_and_heartbeats_move_it_on(double, filled, away):
    double.tails.append(lambda _: [double.message(0, 4, [1]), double.message(4, 9, []), away])
    double.tails.append(lambda _: [double.message(9, 10, [])])
    batches = filled.tail("action = b", from_index=0).batches()
    assert [entry.index for entry in next(batches)] == [1]
    assert (next(batches), next(batches)) == ([], [])
    assert [request.from_index for request in double.sent("Tail")] == [0, 9]


def test_says_where_to_go_on_after_each_entry(double, filled):
    double.tails.append(lambda _: [double.message(0, 10, [2, 5])])
    tail = filled.tail("x", from_index=0)
    assert tail.next_index == 0
    assert (next(tail).index, tail.next_index) == (2, 3)
    assert (next(tail).index, tail.next_index) == (5, 6)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        pytest.param([(0, 4, None), (5, 7, None)], "goes on at 5, where 4", id="a gap"),
        pytest.param([(0, 4, None), (3, 7, None)], "goes on at 3, where 4", id="a repeat"),
        pytest.param([(1, 4, None)], "goes on at 1, where 0", id="another beginning"),
        pytest.param([(0, 4, [0, 2, 1, 3])], "do not ascend", id="entries out of order"),
        pytest.param([(0, 4, [0, 1, 1, 2])], "do not ascend", id="an entry twice"),
        pytest.param([(0, 4, [0, 1, 2, 4])], "do not ascend", id="an entry beyond the message"),
        pytest.param([(0, 4, [0, 1, 3])], "leaves out entries", id="an entry left out"),
    ],
)
@pytest.mark.parametrize("has_key", [True, False])
def test_refuses_messages_that_do_not_follow_one_another(double, filled, connect, messages, said, has_key):
    double.tails.append(lambda _: [double.message(*message) for message in messages])
    with pytest.raises(ServerError, match=said) as caught:
        indexes((filled if has_key else connect()).tail(from_index=0), 10)
    assert caught.value.reason == "MALFORMED_RESPONSE"
    assert len(double.calls) == 1


def test_refuses_a_message_that_goes_back(double, connect):
    message = pb.TailResponse(first_index=0, next_index=0, checkpoint=double.tree.note(0))
    back = pb.TailResponse(first_index=0, next_index=5, checkpoint=double.tree.note(0))
    double.tails.append(lambda _: [message, back])
    with pytest.raises(ServerError, match="does not reach to 5"):
        indexes(connect().tail("x", from_index=0), 1)


def test_refuses_an_entry_that_is_not_the_one_in_the_tree(double, filled):
    message = double.message(0, 4)
    message.entries[2].leaf = message.entries[2].leaf.replace(b'"action":"a"', b'"action":"b"')
    double.tails.append(lambda _: [message])
    with pytest.raises(VerificationError):
        indexes(filled.tail(from_index=0), 4)


def test_refuses_a_history_that_was_rewritten_in_between(double, filled, away):
    double.tails.append(lambda _: [double.message(0, 10), away])
    tail = filled.tail(from_index=0)
    assert len(indexes(tail, 10)) == 10
    known = double.tree.note()

    def rewritten(request):
        double.tree.hashes[3] = bytes(32)
        double.tree.known.clear()
        return [double.message(10, 10, known_size=request.known_size)]

    double.tails.append(rewritten)
    with pytest.raises(HistoryRewrittenError) as caught:
        next(tail)
    assert (caught.value.known, caught.value.offered) == (known, double.tree.note())


def test_a_log_that_is_behind_on_resuming_is_evidence(double, connect, filled, service, away):
    double.tails.append(lambda _: [double.message(0, 10), away])
    beyond = service.Failure(grpc.StatusCode.FAILED_PRECONDITION, "too far", "BEYOND_HEAD")
    double.tails.append(lambda _: [beyond])
    with pytest.raises(LogBehindCallerError, match="too far"):
        indexes(connect().tail(from_index=0), 11)
    double.tails.append(lambda _: [beyond])
    with pytest.raises(PreconditionError, match="too far"):
        next(connect().tail(from_index=11))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", InvalidRequestError),
        ("UNAUTHENTICATED", UnauthenticatedError),
        ("DATA_LOSS", DamagedLogError),
        ("INTERNAL", ServerError),
    ],
)
def test_what_does_not_pass_by_itself_is_raised(double, filled, service, code, kind):
    double.tails.append(lambda _: [double.message(0, 2), service.Failure(getattr(grpc.StatusCode, code))])
    with pytest.raises(kind):
        indexes(filled.tail(from_index=0), 3)
    assert len(double.calls) == 1


def test_a_token_that_can_be_asked_for_anew_is(double, connect, service, pauses):
    expired = service.Failure(grpc.StatusCode.UNAUTHENTICATED, reason="TOKEN_EXPIRED")
    connect().append([{"action": "a"}, {"action": "a"}])
    tokens = map("token-{}".format, itertools.count())
    double.tails.append(lambda _: [double.message(0, 1), expired])
    double.tails.append(lambda _: [double.message(1, 2), expired])
    double.tails.append(lambda _: [expired])
    tail = connect(lambda: next(tokens)).tail(from_index=0)
    assert indexes(tail, 2) == [0, 1]
    with pytest.raises(UnauthenticatedError):
        next(tail)
    sent = [call.metadata["authorization"] for call in double.calls if call.method == "Tail"]
    assert sent == ["Bearer token-0", "Bearer token-1", "Bearer token-2"]
    assert set(pauses) == {0.0}


def test_before_its_first_message_a_tail_gives_up_when_its_time_is_up(double, connect, away):
    double.tails.extend([lambda _: [away]] * 50)
    with pytest.raises(UnavailableError) as caught:
        next(connect().tail(timeout_s=0.5))
    assert caught.value.code == "UNAVAILABLE"
    assert len(double.calls) < 50


def test_after_it_a_tail_waits_for_as_long_as_it_takes(double, filled, away, pauses):
    double.tails.append(lambda _: [double.message(0, 2), away])
    double.tails.extend([lambda _: [away]] * 40)
    double.tails.append(lambda request: [double.message(2, 10, known_size=request.known_size)])
    assert indexes(filled.tail(from_index=0, timeout_s=0.5), 10) == list(range(10))
    assert (len(pauses), max(pauses)) == (41, 5.0)


def test_silence_is_a_lost_connection(double, filled, monkeypatch):
    monkeypatch.setattr("auditd_client._follower.Follower.silence_s", 0.1)

    blocked = threading.Event()

    def silent(_):
        yield double.message(0, 5)
        blocked.wait(20)

    double.tails.append(silent)
    double.tails.append(lambda request: [double.message(5, 10, known_size=request.known_size)])
    assert indexes(filled.tail(from_index=0), 10) == list(range(10))
    blocked.set()


async def test_the_asynchronous_one_is_the_same(double, filled, connect_async, away, monkeypatch):
    monkeypatch.setattr("auditd_client._follower.Follower.silence_s", 0.5)
    double.tails.append(lambda _: [double.message(0, 4), away])
    double.tails.append(lambda request: [double.message(4, 10, known_size=request.known_size)])
    double.tails.append(lambda _: [double.message(11, 12, [])])
    tail = connect_async(key=double.tree.vkey).tail(from_index=0)
    seen = [(await anext(tail)).index for _ in range(10)]
    assert seen == list(range(10))
    with pytest.raises(ServerError, match="goes on at 11, where 10"):
        await anext(tail)
