"""The promises, kept by a real process that is really killed; see also `tests/faults`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import uuid
from pathlib import Path

import grpc
import pytest

from auditd_client.verify import open_checkpoint
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import event_pb2


def event(action: str = "user.login", **members: object) -> event_pb2.Event:
    made = event_pb2.Event(id=str(uuid.uuid4()), action=action, **members)
    made.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
    return made


class Caller:
    """A stub with a token."""

    def __init__(self, server, *roles: str) -> None:
        self._stub = server.stub()
        self._metadata = (("authorization", f"Bearer {server.token(*roles)}"),)

    def __getattr__(self, method: str):
        return lambda request: getattr(self._stub, method)(request, metadata=self._metadata, timeout=30)


def test_the_same_event_again_gets_the_same_receipt_across_restarts(make_server):
    server = make_server()
    sent = event(attributes_json='{"amount": 1.10}')
    first = Caller(server, "writer").Append(pb.AppendRequest(events=[sent])).receipts[0]
    server.kill()
    server.start()
    again = Caller(server, "writer").Append(pb.AppendRequest(events=[sent])).receipts[0]
    assert (again.index, again.recorded_at, again.leaf_hash) == (first.index, first.recorded_at, first.leaf_hash)
    assert (first.duplicate, again.duplicate) == (False, True)


def test_another_event_of_the_same_name_is_refused_and_its_batch_with_it(make_server):
    server = make_server()
    writer = Caller(server, "writer")
    sent = event(reason="first")
    index = writer.Append(pb.AppendRequest(events=[sent])).receipts[0].index
    changed = event_pb2.Event()
    changed.CopyFrom(sent)
    changed.reason = "second"
    with pytest.raises(grpc.RpcError) as caught:
        writer.Append(pb.AppendRequest(events=[event(), changed]))
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert "events[1].reason" in caught.value.details()
    assert f"entry {index}" in caught.value.details()
    newest = open_checkpoint(Caller(server, "reader").GetCheckpoint(pb.GetCheckpointRequest()).checkpoint, server.vkey)
    assert newest.size == 1


def test_reads_and_refusals_are_entries_of_access_and_reading_access_is_too(make_server):
    server = make_server()
    Caller(server, "writer").Append(pb.AppendRequest(events=[event()]))
    Caller(server, "reader").Get(pb.GetRequest(index=0))
    Caller(server, "reader").Query(pb.QueryRequest(filter='action = "user.login"'))
    Caller(server, "auditor").Prove(pb.ProveRequest(inclusion=pb.InclusionTarget(index=0)))
    with pytest.raises(grpc.RpcError):
        Caller(server, "writer").Get(pb.GetRequest(index=0))
    with pytest.raises(grpc.RpcError):
        server.stub().Get(pb.GetRequest(index=0))
    auditor = Caller(server, "auditor")
    request = pb.QueryRequest(log="access", order=pb.ORDER_OLDEST_FIRST)
    auditor.Query(request)
    seen = [json.loads(entry.leaf) for entry in auditor.Query(request).entries]
    said = [(entry["event"]["action"], entry["event"].get("reason"), entry["caller"]["kind"]) for entry in seen]
    assert said == [
        ("server.start", None, "server"),
        ("log.get", None, "token"),
        ("log.query", None, "token"),
        ("log.prove", None, "token"),
        ("call.refuse", "PERMISSION_DENIED", "token"),
        ("call.refuse", "TOKEN_MISSING", "unauthenticated"),
        ("log.query", None, "token"),
    ]


def test_repeated_reads_are_counted_and_the_count_is_recorded(make_server):
    server = make_server()
    Caller(server, "writer").Append(pb.AppendRequest(events=[event()]))
    reader = Caller(server, "reader")
    for _ in range(5):
        reader.Get(pb.GetRequest(index=0))
    server.stop()
    server.start()
    entries = Caller(server, "auditor").Query(pb.QueryRequest(log="access", filter='action = "log.get"')).entries
    counts = [json.loads(entry.leaf)["event"]["attributes"].get("count", 1) for entry in entries]
    assert sorted(counts) == [1, 4]


def test_configuration_and_issuer_keys_are_entries_of_control(make_server):
    server = make_server()
    server.stop()
    server.start()
    entries = Caller(server, "auditor").Query(pb.QueryRequest(log="control")).entries
    actions = sorted(json.loads(entry.leaf)["event"]["action"] for entry in entries)
    assert actions == ["config.change", "issuer_key.add"], "a restart adds nothing"


class TestRefusesToStart:
    """Where the evidence does not extend what was signed, the server refuses and says what is missing."""

    @pytest.fixture
    def stopped(self, make_server):
        server = make_server()
        writer = Caller(server, "writer")
        for _ in range(5):
            writer.Append(pb.AppendRequest(events=[event() for _ in range(100)]))
        server.stop()
        return server

    def test_with_an_older_copy_put_back(self, make_server):
        server = make_server()
        Caller(server, "writer").Append(pb.AppendRequest(events=[event()]))
        server.stop()
        older = (server.folder / "logs/main/evidence.db").read_bytes()
        server.start()
        Caller(server, "writer").Append(pb.AppendRequest(events=[event(), event()]))
        server.stop()
        (server.folder / "logs/main/evidence.db").write_bytes(older)
        status, said = server.refuses_to_start()
        assert status == 2
        assert "entries 1 to 2 are missing" in said

    def test_with_one_log_put_back_alone_with_its_head(self, make_server):
        server = make_server()
        server.stop()
        main = server.folder / "logs/main"
        shutil.copytree(main, server.folder.parent / "older")
        server.start()
        Caller(server, "writer").Append(pb.AppendRequest(events=[event()]))
        server.stop()
        shutil.rmtree(main)
        shutil.copytree(server.folder.parent / "older", main)
        status, said = server.refuses_to_start()
        assert status == 2
        assert "put back alone" in said

    def test_with_a_bit_flipped_in_the_write_ahead_log(self, make_server):
        server = make_server()
        writer = Caller(server, "writer")
        for _ in range(5):
            writer.Append(pb.AppendRequest(events=[event() for _ in range(20)]))
        server.kill()
        wal = server.folder / "logs/main/evidence.db-wal"
        data = bytearray(wal.read_bytes())
        data[len(data) // 2] ^= 4
        wal.write_bytes(data)
        status, said = server.refuses_to_start()
        assert status == 2
        assert "are missing" in said

    def test_with_its_head_removed(self, stopped):
        (stopped.folder / "logs/main/head").unlink()
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "head" in said

    def test_with_a_changed_leaf_in_the_ragged_edge(self, stopped):
        db = sqlite3.connect(stopped.folder / "logs/main/evidence.db")
        db.execute("DROP TRIGGER entries_update")
        db.execute("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 499) WHERE idx = 498")
        db.commit()
        db.close()
        status, said = stopped.refuses_to_start()
        assert status in (1, 2)
        assert "Traceback" not in said

    def test_of_a_missing_folder(self, stopped):
        stopped.folder = Path("nowhere")
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "auditlog init" in said

    def test_of_a_newer_format(self, stopped):
        config = stopped.folder / "auditd.toml"
        config.write_text(config.read_text().replace("format = 1", "format = 2"))
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "newer release" in said

    def test_of_a_newer_evidence_format(self, stopped):
        db = sqlite3.connect(stopped.folder / "logs/main/evidence.db")
        db.execute("PRAGMA user_version = 2")
        db.close()
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "newer release" in said

    @pytest.mark.parametrize("damage", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_with_a_damaged_key(self, stopped, damage):
        (stopped.folder / "keys/main.pem").write_bytes(damage)
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "main.pem" in said

    def test_with_a_key_that_others_can_read(self, stopped):
        (stopped.folder / "keys/main.pem").chmod(0o644)
        status, said = stopped.refuses_to_start()
        assert status == 2
        assert "chmod 600" in said

    def test_of_a_folder_in_use(self, make_server):
        server = make_server()
        status, said = server.refuses_to_start()
        assert status == 2
        assert f"in use by process {server.process.pid}" in said

    def test_on_an_address_that_is_not_loopback_without_tls(self, stopped):
        status, said = stopped.refuses_to_start(listen="0.0.0.0:0")
        assert status == 2
        assert "--insecure" in said


def test_a_look_with_stock_sqlite_after_a_crash_costs_nothing(make_server):
    """The last to close the file copies the write-ahead log back, and stock SQLite knows of no page checksums."""
    server = make_server()
    writer = Caller(server, "writer")
    sent = [event() for _ in range(300)]
    first = writer.Append(pb.AppendRequest(events=sent)).receipts[0]
    server.kill()
    db = sqlite3.connect(server.folder / "logs/main/evidence.db")
    assert db.execute("SELECT count(*) FROM entries").fetchone() == (300,)
    db.close()
    server.start()
    again = Caller(server, "writer").Append(pb.AppendRequest(events=sent[:1])).receipts[0]
    assert (again.duplicate, again.leaf_hash) == (True, first.leaf_hash)
    server.stop()
    assert server.check().returncode == 0
