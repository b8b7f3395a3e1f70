"""Peers that do not keep to the rules: slow, huge, compressed, too many. No other waits for them."""

from __future__ import annotations

import concurrent.futures
import gzip
import socket
import threading
import time
import uuid
from contextlib import closing

import apsw
import grpc
import pytest
from google.rpc import error_details_pb2 as details

from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub
from tests.system.conftest import detail_of

EXHAUSTED, INVALID = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT
LIMITS = """
max_batch_events = 20
max_request_bytes = 200_000
max_response_bytes = 65_536
max_queries_per_caller = 2
max_queries_at_once = 1
max_calls_at_once_per_caller = 2
max_queued_calls_per_caller = 3
max_refused_per_s_per_peer = 4
max_tails_per_caller = 1
"""


@pytest.fixture(scope="module")
def limited(serve_folder):
    return serve_folder(f'format = 1\norigin = "audit.example.com"\n[limits]{LIMITS}')


@pytest.fixture(scope="module")
def metadata(limited):
    return (("authorization", f"Bearer {limited.token('admin')}"),)


def append_of(count: int = 1, attributes: str = "{}") -> pb.AppendRequest:
    request = pb.AppendRequest()
    for _ in range(count):
        event = request.events.add(id=str(uuid.uuid4()), action="user.login", attributes_json=attributes)
        event.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
    return request


def refusal(call) -> tuple[grpc.StatusCode, str, dict[str, str], bool]:
    """Return code, reason, facts, and whether it is said when to come again."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    info = detail_of(caught.value, details.ErrorInfo)
    again = detail_of(caught.value, details.RetryInfo).HasField("retry_delay")
    return caught.value.code(), info.reason, dict(info.metadata), again


class TestALimitNamesItselfItsValueAndWhetherWaitingHelps:
    def test_on_events(self, limited, metadata):
        code, reason, facts, again = refusal(lambda: limited.stub().Append(append_of(21), metadata=metadata))
        assert (code, reason, again) == (INVALID, "INVALID_BATCH", False)
        assert (facts["limit"], facts["value"]) == ("max_batch_events", "20")

    def test_on_the_request(self, limited, metadata):
        huge = append_of(10, '{"a":"' + "x" * 30_000 + '"}')
        code, reason, facts, again = refusal(lambda: limited.stub().Append(huge, metadata=metadata))
        assert (code, reason, again) == (INVALID, "REQUEST_TOO_LARGE", False)
        assert (facts["limit"], facts["value"]) == ("max_request_bytes", "200000")

    def test_on_the_answer(self, limited, metadata):
        request = append_of(20, '{"a":"' + "x" * 4_000 + '"}')
        request.return_leaves = True
        code, reason, facts, again = refusal(lambda: limited.stub().Append(request, metadata=metadata))
        assert (code, reason, again) == (INVALID, "RESPONSE_TOO_LARGE", False)
        assert (facts["limit"], facts["value"]) == ("max_response_bytes", "65536")
        assert int(facts["max_events"]) < 20

    def test_on_tails(self, limited, metadata):
        first = limited.stub().Tail(pb.TailRequest(), metadata=metadata)
        next(first)
        code, reason, facts, again = refusal(lambda: next(limited.stub().Tail(pb.TailRequest(), metadata=metadata)))
        first.cancel()
        assert (code, reason, again) == (EXHAUSTED, "TOO_MANY_TAILS", True)
        assert (facts["limit"], facts["value"]) == ("max_tails_per_caller", "1")

    def test_on_calls_without_a_good_token_while_known_callers_are_not_concerned(self, limited, metadata):
        def call():
            limited.stub().Get(pb.GetRequest(), metadata=(("authorization", "Bearer no.good.token"),), timeout=30)

        with concurrent.futures.ThreadPoolExecutor(40) as threads:
            found = list(threads.map(lambda _: refusal(call), range(40)))
        reasons = {(code, reason) for code, reason, _, _ in found}
        assert reasons == {
            (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MALFORMED"),
            (EXHAUSTED, "PEER_TOO_FAST"),
        }
        _, _, facts, again = next(one for one in found if one[0] is EXHAUSTED)
        assert ((facts["limit"], facts["value"]), again) == (("max_refused_per_s_per_peer", "4"), True)
        assert limited.stub().Append(append_of(), metadata=metadata, timeout=2).receipts
        fresh = (("authorization", f"Bearer {limited.token('writer', subject='svc-fresh')}"),)
        while True:  # tokens never seen before wait until the address is quiet, so that later tests need not
            try:
                assert limited.stub().Append(append_of(), metadata=fresh, timeout=20).receipts
                break
            except grpc.RpcError as error:
                assert error.code() is EXHAUSTED  # noqa: PT017 -- it is tried again

    def test_on_calls_of_one_caller(self, limited):
        """Another holds the write lock, so that two appends are under way and three wait; the sixth is refused."""
        token = (("authorization", f"Bearer {limited.token('writer', subject='svc-busy')}"),)
        limited.stub().Append(append_of(), metadata=token)
        stub, refused, stop = limited.stub(), [], threading.Event()

        def call_again():
            while not stop.is_set():
                problem = stub.Append.future(append_of(), metadata=token, timeout=12).exception()
                if problem is not None and problem.code() is EXHAUSTED:
                    refused.append(problem)
                    stop.set()

        with (
            concurrent.futures.ThreadPoolExecutor(7) as threads,
            closing(apsw.Connection(str(limited.folder / "logs/main/evidence.db"))) as db,
        ):
            db.execute("BEGIN IMMEDIATE")
            calls = [threads.submit(call_again) for _ in range(7)]
            assert stop.wait(60)
            other = (("authorization", f"Bearer {limited.token('reader', subject='svc-other')}"),)
            assert stub.Query(pb.QueryRequest(), metadata=other, timeout=20).tree_size
        assert [call.result() for call in calls] == [None] * 7

        def raise_first():
            raise refused[0]

        code, reason, facts, again = refusal(raise_first)
        assert (code, reason, again) == (EXHAUSTED, "CALLER_BUSY", True)
        assert (facts["limit"], facts["value"]) == ("max_queued_calls_per_caller", "3")


def test_streams_that_ended_leave_their_caller_no_more_room_than_it_had(limited):
    token = (("authorization", f"Bearer {limited.token('admin', subject='svc-streams')}"),)
    for _ in range(8):
        stream = limited.stub().Export(pb.ExportRequest(), metadata=token, timeout=20)
        assert list(stream)
    ended, until = threading.Event(), time.monotonic() + 20
    with limited.channel() as channel:
        silent = channel.stream_unary("/auditd.v1.AuditLogService/GetCheckpoint")
        # Two are under way and three wait, for requests that never come.
        held = [silent.future(iter(lambda: ended.wait() and None, None), metadata=token) for _ in range(5)]
        stub = AuditLogServiceStub(channel)
        reason = ""
        while reason != "CALLER_BUSY" and time.monotonic() < until:
            try:
                stub.GetCheckpoint(pb.GetCheckpointRequest(), metadata=token, timeout=12)
            except grpc.RpcError as error:
                reason = detail_of(error, details.ErrorInfo).reason
        assert not any(call.done() for call in held)
        ended.set()
    assert reason == "CALLER_BUSY"


def raw(server, data: bytes) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5) + data)
    return connection


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(
    literal(*pair)
    for pair in [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/auditd.v1.AuditLogService/Append"),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
)


def headers(stream: int, block: bytes = CALL) -> bytes:
    return len(block).to_bytes(3, "big") + b"\1\4" + stream.to_bytes(4, "big") + block


def test_calls_that_never_send_their_request_cost_next_to_nothing(limited, metadata):
    """Without a token they are answered before they send anything; a slow loris has nothing to hold on to."""
    limited.stub().Append(append_of(), metadata=metadata, timeout=20)
    with raw(limited, b"".join(headers(2 * n + 1) for n in range(100))) as slow:
        received = b""
        while b"authorization: missing" not in received and b"too many calls" not in received:
            received += slow.recv(65_536)
        assert limited.stub().Append(append_of(), metadata=metadata, timeout=20).receipts
        assert limited.memory_kb() < 300_000


def test_a_request_that_comes_byte_by_byte_holds_up_nobody(limited, metadata):
    token = limited.token("writer", subject="svc-slow").encode()
    name = b"authorization"
    value = b"Bearer " + token
    length = bytearray([127])
    rest = len(value) - 127
    while rest > 127:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    block = CALL + b"\0" + bytes([len(name)]) + name + bytes(length) + value
    data = b"\0" + (1_000).to_bytes(4, "big")
    frame = len(data).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + data
    with raw(limited, headers(1, block) + frame):
        for _ in range(10):
            assert limited.stub().Append(append_of(), metadata=metadata, timeout=20).receipts


@pytest.mark.parametrize("value", [b"x" * 20_000, b"x" * 100_000], ids=["20 KB", "100 KB"])
def test_oversized_metadata_is_refused_with_a_reason(limited, value):
    call = limited.channel().unary_unary("/auditd.v1.AuditLogService/Get")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=(("authorization", "Bearer " + value.decode()),), timeout=20)
    assert caught.value.code() in (grpc.StatusCode.UNAUTHENTICATED, EXHAUSTED)


def test_metadata_beyond_what_is_read_ends_the_call_and_not_the_server(limited, metadata):
    call = limited.channel().unary_unary("/auditd.v1.AuditLogService/Get")
    with pytest.raises(grpc.RpcError):
        call(b"", metadata=(("more", "x" * 4_000_000),), timeout=20)
    assert limited.stub().Append(append_of(), metadata=metadata, timeout=20).receipts


def test_a_compressed_bomb_is_refused_unopened(limited, metadata):
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)
    before = limited.memory_kb("VmHWM")
    call = limited.channel().unary_unary("/auditd.v1.AuditLogService/Append")
    for how in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(180 * 1024), metadata=metadata, timeout=20, compression=how)
        reason = detail_of(caught.value, details.ErrorInfo).reason
        assert (caught.value.code(), reason) == (grpc.StatusCode.UNIMPLEMENTED, "COMPRESSED_REQUEST")
    gzipped = CALL + literal(b"grpc-encoding", b"gzip")
    data = b"\1" + len(bomb).to_bytes(4, "big") + bomb[:10_000]
    frame = len(data).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + data
    with raw(limited, headers(1, gzipped) + frame) as connection:
        connection.recv(65_536)
        assert limited.stub().Append(append_of(), metadata=metadata, timeout=20).receipts
    assert limited.memory_kb("VmHWM") - before < 50_000


NESTED = '{"k\\u0061":[' * 7 + "1.10" + "]}" * 7


@pytest.fixture(scope="module")
def ample(serve_folder):
    return serve_folder('format = 1\norigin = "audit.example.com"\n')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda event: None, "", id="nothing wrong"),
        pytest.param(
            lambda event: setattr(event, "attributes_json", event.attributes_json[:-1] + ',"n0":1}'),
            "events[59].attributes_json: member name 'n0' is used twice in one object",
            id="a name twice in the last event",
        ),
        pytest.param(
            lambda event: event.MergeFromString(b"\x42\0" * 200_000),
            "events[59]: 4",
            id="an event of 200,000 parts",
        ),
        pytest.param(
            lambda event: event.MergeFromString(b"\x42\0" * 90_000),
            "events[59].resources: 90000 resources, limit 64",
            id="an event of 90,000 parts",
        ),
    ],
)
def test_the_largest_batches_of_what_is_hard_to_read_leave_nothing_behind(ample, spoil, said):
    """Whatever is refused goes at once: 40 requests of 4 MiB would take 160 MB at the least."""
    metadata = (("authorization", f"Bearer {ample.token('writer', subject='svc-nested')}"),)
    text = "{" + ",".join(f'"n{number}":{NESTED}' for number in range(540)) + "}"
    request = append_of(60, text)
    spoil(request.events[59])
    stub, before = ample.stub(), ample.memory_kb("VmHWM")
    for _ in range(40 if said else 2):
        call = stub.Append.future(request, metadata=metadata, timeout=30)
        problem = call.exception()
        assert (problem.details() if problem else "").startswith(said)
        assert bool(problem) == bool(said)
    assert ample.memory_kb("VmHWM") - before < 120_000


def test_mistakes_are_told_of_the_first_events_that_have_some(ample):
    metadata = (("authorization", f"Bearer {ample.token('writer')}"),)
    request = append_of(1_000)
    for at in (3, 5, 150, 999):
        request.events[at].action = ""
        request.events[at].attributes_json = "[]"
    with pytest.raises(grpc.RpcError) as caught:
        ample.stub().Append(request, metadata=metadata, timeout=20)
    bad = detail_of(caught.value, details.BadRequest)
    fields = [violation.field for violation in bad.field_violations]
    assert fields == [f"events[{at}].{name}" for at in (3, 5, 150, 999) for name in ("action", "attributes_json")]


def test_lists_in_requests_are_no_longer_than_what_is_read_at_once(ample):
    metadata = (("authorization", f"Bearer {ample.token('admin')}"),)
    request = pb.AggregateRequest()
    request.MergeFromString(b"\x1a\0" * 40_000)
    assert len(request.by) == 40_000
    with pytest.raises(grpc.RpcError) as caught:
        ample.stub().Aggregate(request, metadata=metadata, timeout=20)
    assert (caught.value.code(), caught.value.details()) == (INVALID, "the request has 80000 bytes, limit 65536")


def test_a_port_that_is_spoken_to_in_another_language_goes_on(limited, metadata):
    host, _, port = limited.address.rpartition(":")
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(200), b"\xff" * 4_096):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(nonsense)
            while connection.recv(4_096):
                pass
    assert limited.stub().Append(append_of(), metadata=metadata, timeout=20).receipts
