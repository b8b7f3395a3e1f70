"""Callers that give up, vanish, or come by the thousand; another process on the same files."""

from __future__ import annotations

import concurrent.futures
import random
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import apsw
import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb

UNAVAILABLE, DEADLINE = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
CONNECTIONS = 2_000


def append_of(*ids: str) -> pb.AppendRequest:
    request = pb.AppendRequest()
    for name in ids or (str(uuid.uuid4()),):
        event = request.events.add(id=name, action="user.login")
        event.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
    return request


@pytest.fixture(scope="module")
def metadata(shared_server):
    return (("authorization", f"Bearer {shared_server.token('admin')}"),)


@pytest.fixture
def append(shared_server, metadata):
    stub = shared_server.stub()
    return lambda request, timeout=30: stub.Append(request, metadata=metadata, timeout=timeout)


@contextmanager
def write_lock(evidence: Path) -> Iterator[None]:
    """Hold the write lock of a log's evidence, as another process with a transaction open does."""
    with closing(apsw.Connection(str(evidence), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.set_busy_timeout(5_000)
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def waiting(shared_server, metadata) -> int:
    stub = shared_server.channel().unary_unary("/auditd.v1.AdminService/GetStatus")
    from auditd_proto.v1 import admin_service_pb2 as admin

    status = admin.GetStatusResponse.FromString(stub(b"", metadata=metadata))
    return next(log.queued_events for log in status.logs if log.name == "main")


def test_a_second_server_on_the_same_folder_refuses(shared_server):
    status, said = shared_server.refuses_to_start()
    assert status == 2
    assert f"in use by process {shared_server.process.pid}" in said


def test_a_second_server_on_the_same_port_refuses(shared_server, make_server):
    status, said = make_server(start=False).refuses_to_start(shared_server.address)
    assert status == 2
    assert "PORT_TAKEN" in said or "in use" in said


def test_a_deadline_in_the_queue_leaves_nothing_and_one_in_the_commit_leaves_a_receipt(shared_server, metadata, append):
    """Another process holds the write lock: one append is in its commit and waits for the lock, one in the queue."""
    append(append_of())
    committing, queued = append_of(), append_of()
    evidence = shared_server.folder / "logs/main/evidence.db"
    with concurrent.futures.ThreadPoolExecutor(2) as threads, write_lock(evidence):
        first = threads.submit(append, committing, 1.5)
        wait_until(lambda: waiting(shared_server, metadata) == 1)
        time.sleep(0.2)  # until the writer has taken it up, which nobody can see
        second = threads.submit(append, queued, 0.7)
        for call in (first, second):
            with pytest.raises(grpc.RpcError) as caught:
                call.result()
            assert caught.value.code() is DEADLINE
    assert append(committing).receipts[0].duplicate
    assert not append(queued).receipts[0].duplicate


def wait_until(condition, timeout_s: float = 20.0) -> None:
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.01)  # waits for progress, not for a moment


def test_a_write_lock_held_for_long_is_answered_and_costs_no_restart(shared_server, metadata, append):
    request = append_of()
    with write_lock(shared_server.folder / "logs/main/evidence.db"):
        with pytest.raises(grpc.RpcError) as caught:
            append(request)
        assert caught.value.code() is UNAVAILABLE
        stub = shared_server.stub()
        assert stub.Query(pb.QueryRequest(page_size=1), metadata=metadata).tree_size >= 0
    assert not append(request).receipts[0].duplicate


def test_callers_that_give_up_at_any_moment_disturb_nobody(shared_server, metadata, append):
    choose = random.Random(20261125)
    requests = [append_of(*(str(uuid.uuid4()) for _ in range(choose.randint(1, 30)))) for _ in range(150)]

    def give_up(request: pb.AppendRequest, after_s: float, how: int) -> int | None:
        """Cancel, run into a deadline, or close the connection under the call; return the first index if answered."""
        channel = grpc.insecure_channel(shared_server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        call = channel.unary_unary(
            "/auditd.v1.AuditLogService/Append",
            request_serializer=pb.AppendRequest.SerializeToString,
            response_deserializer=pb.AppendResponse.FromString,
        ).future(request, metadata=metadata, timeout=after_s if how == 0 else 30)
        try:
            if how:
                time.sleep(after_s)  # a moment chosen by chance
                channel.close() if how == 1 else call.cancel()
            return call.result().receipts[0].index
        except (grpc.RpcError, grpc.FutureCancelledError):
            return None
        finally:
            channel.close()

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        moments = [choose.uniform(0.001, 0.06) for _ in requests]
        answered = list(threads.map(give_up, requests, moments, [n % 3 for n in range(len(requests))]))
        others = [append(append_of()).receipts[0] for _ in range(10)]
    assert not any(receipt.duplicate for receipt in others)
    for request, index in zip(requests, answered, strict=True):
        again = append(request).receipts
        assert len({receipt.duplicate for receipt in again}) == 1, "a batch is recorded whole or not at all"
        if index is not None:
            assert (again[0].index, again[0].duplicate) == (index, True)
        assert [receipt.index for receipt in again] == [again[0].index + n for n in range(len(again))]


def test_streams_that_nobody_reads_hold_up_nobody(shared_server, metadata, append):
    append(append_of(*(str(uuid.uuid4()) for _ in range(500))))
    stub = shared_server.stub()
    unread = [stub.Export(pb.ExportRequest(), metadata=metadata) for _ in range(4)]
    unread += [stub.Tail(pb.TailRequest(from_index=0), metadata=metadata) for _ in range(20)]
    for stream in unread:
        next(stream)
    for _ in range(20):
        append(append_of(*(str(uuid.uuid4()) for _ in range(50))), 10)
    for stream in unread:
        stream.cancel()


def open_files(server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_thousands_of_connections_leave_room_for_calls_and_are_let_go(shared_server, append):
    host, _, port = shared_server.address.rpartition(":")
    append(append_of())
    before = open_files(shared_server)
    with ExitStack() as opened:
        for number in range(CONNECTIONS):
            connection = opened.enter_context(socket.create_connection((host, int(port)), timeout=20))
            # Half of them speak HTTP/2, the others never say a word.
            if number % 2:
                connection.sendall(PREFACE)
        assert len(append(append_of()).receipts) == 1
        wait_until(lambda: open_files(shared_server) >= before + CONNECTIONS)
    wait_until(lambda: open_files(shared_server) <= before + 5, 60)
    append(append_of())
