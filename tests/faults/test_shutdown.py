"""A server that is told to stop: it says so first, answers what it has begun within a deadline, and loses nothing."""

from __future__ import annotations

import concurrent.futures
import signal
import subprocess
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auditd.log import load_signer
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults.told import Told
from tests.system.conftest import AUDITLOG, ORIGIN
from tests.system.test_promises import Caller, event

STOPPED_WITHIN_S = 60
"""Far beyond the deadline of a second, for machines that are busy with other tests."""
Status = health_pb2.HealthCheckResponse


def test_not_serving_comes_first_and_what_is_under_way_is_cut_off_at_the_deadline(make_server):
    server = make_server(limits="drain_s = 1")
    watched = health_pb2_grpc.HealthStub(server.channel()).Watch(health_pb2.HealthCheckRequest())
    assert next(watched).status == Status.SERVING
    tail = Caller(server, "admin").Tail(pb.TailRequest())
    next(tail)  # it is under way
    server.process.send_signal(signal.SIGHUP)  # its terminal is closed
    assert next(watched).status == Status.NOT_SERVING, "before any call is cut off"
    with pytest.raises(grpc.RpcError) as ended:
        list(tail)
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError):  # the watch itself is a call that would never end
        next(watched)
    assert server.process.wait(STOPPED_WITHIN_S) == 0


def test_appends_under_way_are_answered_and_what_was_answered_is_there(make_server):
    server = make_server()
    told, lock, begun = Told(), threading.Lock(), threading.Barrier(9)
    caller = Caller(server, "writer")

    def append() -> grpc.StatusCode:
        begun.wait()
        while True:
            sent = [event() for _ in range(20)]
            try:
                response = caller.Append(pb.AppendRequest(events=sent))
            except grpc.RpcError as error:
                return error.code()
            with lock:
                told.notes.add(response.checkpoint)
                for one, receipt in zip(sent, response.receipts, strict=True):
                    told.receipt(one.id, (receipt.index, receipt.leaf_hash.hex()))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        running = [threads.submit(append) for _ in range(8)]
        begun.wait()
        while len(told.notes) < 20:
            pass
        server.process.send_signal(signal.SIGTERM)
        codes = {one.result() for one in running}
        assert server.process.wait(STOPPED_WITHIN_S) == 0
    assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    ids = told.hold(server.folder / "logs/main", load_signer(server.folder / "keys/main.pem", f"{ORIGIN}/main"))
    assert set(ids) == set(told.receipts), "whatever was recorded was answered"


def test_one_that_is_told_while_it_starts_ends_and_starts_again(make_server):
    server = make_server(start=False)
    command = [AUDITLOG, "serve", str(server.folder), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        process.terminate()
        said = process.communicate(timeout=STOPPED_WITHIN_S)[1]
    assert "Traceback" not in said
    server.start()
    assert Caller(server, "writer").Append(pb.AppendRequest(events=[event()])).receipts
    assert server.stop() == 0
