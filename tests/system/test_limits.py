"""Every limit of the settings, held by a real server: a refusal names limit and value, and says when to come again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import apsw
import grpc
import pytest
from google.rpc import error_details_pb2 as details

from auditd.server._config import LimitSettings
from auditd_client import Client
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import detail_of

EXHAUSTED, INVALID = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT
LIMITS = {
    "max_batch_events": 20,
    "max_request_bytes": 1_100_000,
    "max_response_bytes": 65_536,
    "max_queued_events": 30,
    "max_queued_bytes": 900_000,
    "max_event_age_s": 3_600,
    "max_ahead_s": 60,
    "max_queued_queries": 3,
    "max_queries_per_caller": 2,
    "max_tails": 3,
    "max_tails_per_caller": 2,
    "max_exports": 3,
    "max_exports_per_caller": 2,
    "max_calls_per_s_per_caller": 300,
    "max_queued_large_requests": 3,
    "max_queued_large_bytes": 300_000,
}
HELD_ELSEWHERE = {
    "max_idle_s": "tests/server/test_clock.py::MAX_IDLE_S",
    "min_free_bytes": "tests/faults/test_disk.py::test_room_is_kept_for_the_record_of_reads",
    "max_queries_at_once": "tests/system/test_hostile_peers.py::LIMITS",
    "max_query_s": "tests/system/test_aggregate.py::max_query_s",
    "max_cached_tokens": "tests/identity/test_token_cache.py::cache_size",
    "max_calls_at_once_per_caller": "tests/system/test_hostile_peers.py::test_on_calls_of_one_caller",
    "max_queued_calls_per_caller": "tests/system/test_hostile_peers.py::test_on_calls_of_one_caller",
    "max_refused_per_s_per_peer": "tests/system/test_hostile_peers.py::test_on_calls_without_a_good_token",
    "max_wasted_calls_per_s_per_caller": "tests/system/test_limits.py::test_who_wastes_calls_waits_and_nobody_else",
    "max_calls_per_connection": "tests/system/test_limits.py::test_calls_beyond_those_of_a_connection",
    "max_connections": "tests/system/test_limits.py::test_connections_beyond_the_limit",
    "max_slow_requests": "tests/system/test_limits.py::test_requests_that_never_come_are_counted",
    "drain_s": "tests/faults/test_shutdown.py::drain_s",
}
"""Limits with which nothing is refused, or whose refusal takes a server of its own: where that is tested."""

Provoke = Callable[..., None]
PROVOKED: dict[str, tuple[grpc.StatusCode, str, Provoke]] = {}
_numbers = itertools.count()


def provokes(limit: str, code: grpc.StatusCode, reason: str) -> Callable[[Provoke], Provoke]:
    def register(provoke: Provoke) -> Provoke:
        PROVOKED[limit] = code, reason, provoke
        return provoke

    return register


@pytest.fixture(scope="module")
def tight(serve_folder):
    written = "\n".join(f"{name} = {value}" for name, value in LIMITS.items())
    server = serve_folder(f'format = 1\norigin = "audit.example.com"\n[limits]\n{written}')
    # More than goes into a stream that nobody reads.
    for _ in range(12):
        server.stub().Append(append_of(20, 40_000), metadata=token(server, "admin"))
    return server


def token(server, role: str = "writer") -> tuple[tuple[str, str]]:
    """Return the metadata of a caller that has not called before."""
    return (("authorization", f"Bearer {server.token(role, subject=f'svc-{next(_numbers)}')}"),)


def append_of(count: int = 1, bytes_each: int = 0, ahead_s: int = 0) -> pb.AppendRequest:
    request = pb.AppendRequest()
    attributes = '{"a":"' + "x" * bytes_each + '"}'
    for _ in range(count):
        event = request.events.add(id=str(uuid.uuid4()), action="user.login", attributes_json=attributes)
        event.time.FromNanoseconds((time.time_ns() // 1_000 + ahead_s * 1_000_000) * 1_000)
    return request


@contextmanager
def stalled(server, log: str = "main") -> Iterator[None]:
    """Another process holds the write lock of a log, so that its appends wait."""
    with closing(apsw.Connection(str(server.folder / "logs" / log / "evidence.db"))) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def until_refused(call: Callable[[], object], *, at_once: int = 1) -> None:
    """Call, in so many threads, until a call is refused, and raise that; those that are not refused may wait."""
    refused: list[grpc.RpcError] = []
    stop = threading.Event()

    def again() -> None:
        while not stop.is_set():
            try:
                call()
            except grpc.RpcError as error:
                if error.code() is EXHAUSTED:
                    refused.append(error)
                    stop.set()

    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        concurrent.futures.wait([threads.submit(again) for _ in range(at_once)], timeout=60)
        stop.set()
    raise refused[0]


@provokes("max_batch_events", INVALID, "INVALID_BATCH")
def _(server):
    server.stub().Append(append_of(21), metadata=token(server))


@provokes("max_request_bytes", INVALID, "REQUEST_TOO_LARGE")
def _(server):
    server.stub().Append(append_of(20, 59_000), metadata=token(server))


@provokes("max_response_bytes", INVALID, "RESPONSE_TOO_LARGE")
def _(server):
    request = append_of(20, 4_000)
    request.return_leaves = True
    server.stub().Append(request, metadata=token(server))


@provokes("max_queued_events", EXHAUSTED, "QUEUE_FULL")
def _(server):
    with stalled(server):
        until_refused(lambda: server.stub().Append(append_of(20), metadata=token(server), timeout=2), at_once=2)


@provokes("max_queued_bytes", EXHAUSTED, "QUEUE_FULL")
def _(server):
    with stalled(server):
        call = lambda: server.stub().Append(append_of(10, 50_000), metadata=token(server), timeout=2)  # noqa: E731
        until_refused(call, at_once=2)


@provokes("max_event_age_s", INVALID, "EVENT_TOO_OLD")
def _(server):
    server.stub().Append(append_of(ahead_s=-3_700), metadata=token(server))


@provokes("max_ahead_s", INVALID, "EVENT_IN_FUTURE")
def _(server):
    server.stub().Append(append_of(ahead_s=100), metadata=token(server))


@provokes("max_queued_queries", EXHAUSTED, "TOO_MANY_QUERIES")
def _(server):
    query = pb.QueryRequest(filter='attributes.a = "y"', no_index=True)
    callers = iter([token(server, "reader") for _ in range(8)])
    mine = threading.local()

    def call() -> None:
        mine.token = getattr(mine, "token", None) or next(callers)
        server.stub().Query(query, metadata=mine.token)

    until_refused(call, at_once=8)


@provokes("max_queries_per_caller", EXHAUSTED, "TOO_MANY_QUERIES")
def _(server):
    query = pb.QueryRequest(filter='attributes.a = "y"', no_index=True)
    mine, stub = token(server, "reader"), server.stub()
    until_refused(lambda: stub.Query(query, metadata=mine), at_once=3)


@provokes("max_tails_per_caller", EXHAUSTED, "TOO_MANY_TAILS")
def _(server):
    open_streams(tail_of(server), [token(server, "reader")] * 3)


@provokes("max_tails", EXHAUSTED, "TOO_MANY_TAILS")
def _(server):
    open_streams(tail_of(server), [token(server, "reader") for _ in range(4)])


@provokes("max_exports_per_caller", EXHAUSTED, "TOO_MANY_EXPORTS")
def _(server):
    open_streams(export_of(server), [token(server, "auditor")] * 12)


@provokes("max_exports", EXHAUSTED, "TOO_MANY_EXPORTS")
def _(server):
    open_streams(export_of(server), [token(server, "auditor") for _ in range(12)])


def tail_of(server):
    return lambda metadata: server.stub().Tail(pb.TailRequest(), metadata=metadata)


def export_of(server):
    return lambda metadata: server.stub().Export(pb.ExportRequest(), metadata=metadata)


def open_streams(call, callers) -> None:
    """Open a stream for each caller; as long as no more than its first message is read, it stays open."""
    streams = []
    try:
        for metadata in callers:
            streams.append(call(metadata))
            next(streams[-1])
    finally:
        for stream in streams:
            stream.cancel()


@provokes("max_calls_per_s_per_caller", EXHAUSTED, "CALLER_TOO_FAST")
def _(server):
    mine, stub = token(server), server.stub()
    until_refused(lambda: stub.GetCheckpoint(pb.GetCheckpointRequest(), metadata=mine), at_once=2)


@provokes("max_queued_large_requests", EXHAUSTED, "TOO_MANY_LARGE_REQUESTS")
def _(server):
    large(server, 2, 35_000)


@provokes("max_queued_large_bytes", EXHAUSTED, "TOO_MANY_LARGE_REQUESTS")
def _(server):
    large(server, 2, 50_000)


def large(server, count: int, bytes_each: int) -> None:
    """Eight large requests wait for the log; the next ones wait for those, and one more is refused."""
    mine, stub = token(server), server.stub()
    with stalled(server):
        until_refused(lambda: stub.Append(append_of(count, bytes_each), metadata=mine, timeout=3), at_once=12)


def require_named(error: grpc.RpcError, code: grpc.StatusCode, reason: str, limit: str, value: int) -> None:
    """Require that a refusal names its limit and value, and says when to come again where waiting helps."""
    info = detail_of(error, details.ErrorInfo)
    again = detail_of(error, details.RetryInfo).HasField("retry_delay")
    assert (error.code(), info.reason) == (code, reason)
    assert (info.metadata["limit"], info.metadata["value"]) == (limit, str(value))
    assert again == (code is EXHAUSTED)


def test_every_limit_has_a_test():
    assert PROVOKED.keys() | HELD_ELSEWHERE.keys() == {field.name for field in fields(LimitSettings)}
    root = Path(__file__).parents[2]
    for limit, place in HELD_ELSEWHERE.items():
        path, _, name = place.partition("::")
        text = (root / path).read_text()
        assert (f"def {name}" if name.startswith("test_") else name) in text, f"{limit}: {place}"


@pytest.mark.parametrize("limit", PROVOKED)
def test_a_refusal_names_its_limit_and_value_and_whether_waiting_helps(tight, limit):
    code, reason, provoke = PROVOKED[limit]
    with pytest.raises(grpc.RpcError) as caught:
        provoke(tight)
    require_named(caught.value, code, reason, limit, LIMITS[limit])
    assert tight.stub().Append(append_of(), metadata=token(tight), timeout=30, wait_for_ready=True).receipts


def test_connections_beyond_the_limit_are_closed_and_the_others_answered(make_server):
    server = make_server(limits="max_connections = 8")
    host, _, port = server.address.rpartition(":")
    channel = server.stub()
    assert channel.ListLogs(pb.ListLogsRequest(), metadata=token(server, "reader")).logs
    made = [socket.create_connection((host, int(port)), timeout=20) for _ in range(40)]
    answered = 0
    for one in made:
        try:
            one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
            answered += bool(one.recv(9))
        except ConnectionError:
            continue
    assert answered <= 8
    for one in made:
        one.close()
    assert channel.ListLogs(pb.ListLogsRequest(), metadata=token(server, "reader")).logs


def test_calls_beyond_those_of_a_connection_have_another_one(make_server):
    """120 tails of one client: gRPC would have those beyond the limit, and all other calls, wait without a word."""
    server = make_server(limits="max_calls_per_connection = 110\nmax_tails_per_caller = 300")
    with Client(server.address, server.token("admin")) as client, contextlib.ExitStack() as opened:
        tails = [opened.enter_context(client.tail(from_index=0)) for _ in range(120)]
        client.append({"action": "user.login"}, timeout_s=20)
        assert [next(iter(tail)).index for tail in tails] == [0] * 120
        assert client.get(0, timeout_s=20)


def test_requests_that_never_come_are_counted_and_those_beyond_the_limit_refused(make_server):
    """One caller may have two of four, so of its three one is refused; nobody else notices."""
    server = make_server(limits="max_slow_requests = 4")
    never, ended = threading.Event(), queue.SimpleQueue[grpc.Future]()
    append = server.channel().stream_unary("/auditd.v1.AuditLogService/Append")
    mine, others = token(server), token(server)
    calls = [append.future(iter(never.wait, True), metadata=mine) for _ in range(3)]
    for call in calls:
        call.add_done_callback(ended.put)
    try:
        refused = ended.get(timeout=60).exception()
        require_named(refused, EXHAUSTED, "TOO_MANY_SLOW_REQUESTS", "max_slow_requests", 4)
        assert [call.done() for call in calls].count(False) == 2
        assert server.stub().Append(append_of(20, 50_000), metadata=others, timeout=30).receipts
        assert "TOO_MANY_SLOW_REQUESTS" in server.cli("status", "--output", "json").stdout
    finally:
        never.set()
    assert {ended.get(timeout=60).code() for _ in range(2)} == {INVALID}


def test_requests_for_health_and_reflection_count_as_those_of_one_caller(make_server):
    """They need no token. Two of four may be slow to come, so of three one is refused; others are answered."""
    server = make_server(limits="max_slow_requests = 4")
    never, ended, channel = threading.Event(), queue.SimpleQueue[grpc.Future](), server.channel()
    check = channel.stream_unary("/grpc.health.v1.Health/Check")
    calls = [check.future(iter(never.wait, True)) for _ in range(2)]
    calls.append(
        channel.stream_unary("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").future(iter(never.wait, True))
    )
    for call in calls:
        call.add_done_callback(ended.put)
    try:
        refused = ended.get(timeout=60).exception()
        require_named(refused, EXHAUSTED, "TOO_MANY_SLOW_REQUESTS", "max_slow_requests", 4)
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30) == b"\x08\x01"
        assert server.stub().Append(append_of(), metadata=token(server), timeout=30).receipts
    finally:
        never.set()
        for call in calls:
            call.cancel()


@pytest.mark.parametrize(
    "waste", ["no request", "no time for a request", "no time for an answer", "much that is no good"]
)
def test_who_wastes_calls_waits_and_nobody_else(make_server, waste):
    server = make_server(limits="max_wasted_calls_per_s_per_caller = 1\nmax_calls_at_once_per_caller = 2")
    append = server.channel().stream_unary("/auditd.v1.AuditLogService/Append")
    mine, others, never = token(server), token(server), threading.Event()

    def requests() -> Iterator[bytes]:
        if waste == "no time for a request":
            never.wait()
        elif waste == "no time for an answer":
            yield append_of().SerializeToString()
        elif waste == "much that is no good":
            yield b"\xff" * 70_000

    def waste_some() -> None:
        timeout_s = 0.05 if waste.startswith("no time") else 30
        with stalled(server) if waste == "no time for an answer" else contextlib.nullcontext():
            for call in [append.future(requests(), timeout=timeout_s, metadata=mine) for _ in range(8)]:
                call.exception()

    try:
        for _ in range(100):
            waste_some()
            try:
                server.stub().Append(append_of(), metadata=mine, timeout=1)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # noqa: PT017 -- by then it waits
                break
        else:
            pytest.fail("who wasted 800 calls was answered at once")
        assert server.stub().Append(append_of(), metadata=others, timeout=30).receipts
        assert server.stub().Append(append_of(), metadata=mine, timeout=60).receipts
    finally:
        never.set()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [(b"\x0a\x83\x20" + b"x" * 4_099, "REQUEST_TOO_LARGE"), (b"\x0a\xff", "MALFORMED_REQUEST")],
    ids=["too large", "malformed"],
)
@pytest.mark.parametrize(
    "method",
    [
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
def test_bad_requests_without_a_token_get_a_reason(tight, method, request_, reason):
    with pytest.raises(grpc.RpcError) as caught:
        list(tight.channel().unary_stream(f"/{method}")(request_, timeout=30))
    assert (caught.value.code(), detail_of(caught.value, details.ErrorInfo).reason) == (INVALID, reason)


@pytest.mark.parametrize(
    "method",
    ["auditd.v1.AuditLogService/Change", "grpc.health.v1.Health/Cure", "Nothing/Nothing", "/"],
)
def test_a_method_that_does_not_exist_is_named(tight, method):
    with pytest.raises(grpc.RpcError) as caught:
        tight.channel().unary_unary(f"/{method}")(b"", timeout=30)
    info = detail_of(caught.value, details.ErrorInfo)
    assert (caught.value.code(), info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")
    assert f"'/{method}'" in caught.value.details()
    assert "auditd.v1.AuditLogService" in caught.value.details()


def test_health_is_watched_by_so_many_and_no_more(make_server):
    server = make_server(limits="max_tails = 3")
    watch = server.channel().unary_stream("/grpc.health.v1.Health/Watch")
    watches = [watch(b"") for _ in range(3)]
    try:
        assert [next(one) for one in watches] == [b"\x08\x01"] * 3
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(b"", timeout=30))
        require_named(caught.value, EXHAUSTED, "TOO_MANY_WATCHES", "max_tails", 3)
        watches.pop().cancel()
        server.stub().Append(append_of(), metadata=token(server), timeout=30)
        assert next(watch(b"", timeout=30)) == b"\x08\x01"
    finally:
        for one in watches:
            one.cancel()


@pytest.mark.parametrize(
    "method",
    ["grpc.health.v1.Health/Check", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "Nothing/Nothing"],
)
def test_who_asks_too_often_for_what_needs_no_token_waits_and_is_refused(make_server, method):
    server = make_server(limits="max_refused_per_s_per_peer = 1")
    ask = server.channel().unary_stream(f"/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        until_refused(lambda: list(ask(b"\x22\x04grpc" if "reflection" in method else b"", timeout=60)), at_once=8)
    require_named(caught.value, EXHAUSTED, "PEER_TOO_FAST", "max_refused_per_s_per_peer", 1)
    assert server.stub().Append(append_of(), metadata=token(server), timeout=30).receipts
