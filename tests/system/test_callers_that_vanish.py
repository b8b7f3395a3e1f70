"""A caller that goes away in the midst of a stream is no error: the server's log says nothing of it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import grpc
import pytest

from auditd_client import Client
from auditd_proto.v1 import admin_service_pb2 as admin_pb
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.admin_service_pb2_grpc import AdminServiceStub
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub
from tests.forked import AUDITLOG, Forked

STREAMS = {
    "Tail": lambda channel, metadata: AuditLogServiceStub(channel).Tail(
        pb.TailRequest(from_index=0), metadata=metadata
    ),
    "Tail with proofs": lambda channel, metadata: AuditLogServiceStub(channel).Tail(
        pb.TailRequest(from_index=0, include_proofs=True, known_size=1), metadata=metadata
    ),
    "Export": lambda channel, metadata: AuditLogServiceStub(channel).Export(pb.ExportRequest(), metadata=metadata),
    "MakeBackup": lambda channel, metadata: AdminServiceStub(channel).MakeBackup(
        admin_pb.MakeBackupRequest(), metadata=metadata
    ),
}

# gRPC hears of a failed write before it hears that the call has ended, or after it, as it happens; here always before.
HEARS_OF_THE_WRITE_FIRST = """
import os, sys
os.environ["GRPC_VERBOSITY"] = "NONE"
from grpc._cython import cygrpc
from auditd.server import _backup_stream, _export, _tail

def failing(run):
    async def wrapped(*arguments):
        async def write(message):
            print('{"level":"info","event":"failed"}', file=sys.stderr, flush=True)
            raise cygrpc.ExecuteBatchError("the call has ended")
        await run(*arguments[:-1], write)
    return wrapped

for kind in (_tail.Tailer, _export.Exporter, _backup_stream.Backups):
    kind.run = failing(kind.run)
from auditd_client.cli import main
sys.argv = ["auditlog", *sys.argv[1:]]
main()
"""


@contextmanager
def said_by(server, command, popen):
    """Serve, and yield a queue of what its log says, which ends with None once the server has ended."""
    settings = server.folder / "auditd.toml"
    settings.write_text(settings.read_text() + '\n[logging]\nlevel = "warning"\nformat = "json"\n')
    process = popen(
        [*command, "serve", str(server.folder), "--listen", "127.0.0.1:0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    server.address = json.loads(process.stderr.readline())["grpc"][0]
    said = queue.SimpleQueue()

    def read():
        for line in process.stderr:
            said.put(json.loads(line))
        said.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield said
    finally:
        process.terminate()
        assert process.wait(60) == 0
        reader.join()
        process.stderr.close()


def errors_among(said):
    return [line for line in iter(said.get, None) if line["level"] in {"error", "critical"}]


@contextmanager
def stream_of(server, name):
    """Begin a stream and go away without reading it to its end."""
    token = server.token("backup" if name == "MakeBackup" else "admin")
    channel = grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])
    with channel:
        yield STREAMS[name](channel, [("authorization", f"Bearer {token}")])


def read(stream, count):
    """Read messages; tell whether it could begin, for one backup is made at a time, and the last may be ending."""
    try:
        for _ in range(count):
            next(stream)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


@pytest.mark.parametrize("name", STREAMS)
def test_callers_that_vanish_in_the_midst_of_streams_leave_no_error(make_server, name):
    server = make_server(start=False)
    with said_by(server, (AUDITLOG,), Forked) as said:
        with Client(server.address, server.token("admin")) as client:
            client.append([{"action": "a.b", "attributes": {"note": "x" * 2_000}} for _ in range(1_000)])
        left = 3 if name == "MakeBackup" else 6
        while left:
            with stream_of(server, name) as stream:
                left -= read(stream, left % 3)
                if left % 2:
                    stream.cancel()
    assert errors_among(said) == []


def has_failed(server, name, said):
    """Begin a stream; tell whether the server says in good time that its write failed."""
    with stream_of(server, name) as stream:
        try:
            return said.get(timeout=10)["event"] == "failed"
        except queue.Empty:
            return False
        finally:
            stream.cancel()


def test_a_write_that_fails_before_the_end_of_the_call_is_known_is_no_error(make_server):
    server = make_server(start=False)
    with said_by(server, (sys.executable, "-c", HEARS_OF_THE_WRITE_FIRST), subprocess.Popen) as said:
        with Client(server.address, server.token("admin")) as client:
            client.append([{"action": "a.b"}])
        for name in STREAMS:
            assert any(has_failed(server, name, said) for _ in range(5)), name
    assert errors_among(said) == []
