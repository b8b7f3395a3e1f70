"""Export: all entries of one tree, in files that other programs read, whatever interrupts it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import grpc
import pyarrow.parquet as pq
import pytest
import zstandard
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from auditd_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    OutputError,
    PermissionDeniedError,
    UnauthenticatedError,
    event_from_dict,
)
from auditd_client.exports import Partitions, Request, export_to_folder, verify_export
from auditd_client.verify import MismatchError, VerificationError
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.hostile_text import is_formula, recordable
from tests.system.conftest import AUDITLOG, Server

COUNT = 3_000
DAYS = 3
HOSTILE = [hostile.text for hostile in recordable()]
LAST_DAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


def event(number: int) -> dict:
    """One event of many: over three days, out of order, in two regions."""
    moment = LAST_DAY - timedelta(days=number % DAYS, seconds=(number * 7919) % 3600, milliseconds=number % 1000)
    return {
        "id": f"event-{number}",
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "tenant": "acme" if number % 4 else "globex",
        "action": ("user.login", "file.read", "role.create", "GetObject", "key.rotate")[number % 5],
        "outcome": ("SUCCESS", "FAILURE", "DENIED")[number % 3],
        "reason": HOSTILE[number % len(HOSTILE)],
        "actor": {"type": "user", "id": f"user-{number % 50}", "name": "Zoë", "roles": ["auditor", "admin"]},
        "resources": [{"type": "file", "id": f"/srv/{number}"}],
        "origin": {"ip": "203.0.113.9", "user_agent": "curl/8", "endpoint": "/login", "request_id": f"r{number}"},
        "producer": {"id": "billing", "seq": number},
        "attributes": {"region": ("eu-central-1", "us/east=1")[number % 2], "amount": number, "text": "x" * 600},
    }


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    with Client(shared_server.address, shared_server.token("admin")) as client:
        list(client.append_stream(map(event, range(COUNT))))
    return shared_server


@pytest.fixture(scope="module")
def client(server: Server):
    with Client(server.address, server.token("admin"), key=server.vkey) as client:
        yield client


@pytest.fixture(scope="module")
def leaves(client: Client) -> list[bytes]:
    return [entry.leaf for entry in client.query(order="asc")]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def jsonl(**more: object) -> Request:
    return Request(log="main", filter="", no_index=False, format="jsonl", **more)


# The stream


def test_an_export_is_every_leaf_of_one_tree_in_order(client, leaves):
    export = client.export()
    entries = list(export)
    assert [entry.index for entry in entries] == list(range(COUNT))
    assert [entry.leaf for entry in entries] == leaves
    assert (export.tree_size, export.next_index) == (COUNT, COUNT)
    assert export.checkpoint.splitlines()[1] == str(COUNT)


def test_many_leaves_travel_in_a_message(client):
    assert max(len(batch) for batch in client.export().batches()) > 500


@pytest.mark.parametrize("no_index", [False, True])
def test_an_export_holds_what_its_filter_selects(client, leaves, no_index):
    text = 'tenant = "globex" AND outcome = DENIED'
    found = [entry.leaf for entry in client.export(text, no_index=no_index)]
    wanted = [leaf for leaf in leaves if b'"tenant":"globex"' in leaf and b'"outcome":"DENIED"' in leaf]
    assert found == wanted


def test_what_is_recorded_meanwhile_is_not_in_it(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        client.append([{"action": "a", "attributes": {"text": "x" * 4_000}} for _ in range(900)])
        client.append([{"action": "a", "attributes": {"text": "x" * 4_000}} for _ in range(900)])
        export = client.export()
        batches = export.batches()
        first = len(next(batches))
        client.append({"action": "late"})
        rest = [entry for batch in batches for entry in batch]
        assert first + len(rest) == export.tree_size == 1_800
        assert not any(b'"late"' in entry.leaf for entry in rest)


def test_an_interrupted_export_goes_on_exactly_in_the_same_tree(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        for _ in range(3):
            client.append([{"action": "a", "attributes": {"text": "x" * 4_000}} for _ in range(900)])
        whole = [entry.leaf for entry in client.export()]
        with client.export() as export:
            begun = next(iter(export.batches()))
            token = export.resume_token
        client.append({"action": "late"})
        server.kill()
        server.start()
    with Client(server.address, server.token("admin")) as client:
        rest = client.export(resume_token=token)
        assert [entry.leaf for entry in [*begun, *rest]] == whole
        assert (rest.tree_size, rest.checkpoint) == (len(whole), "")


def test_the_client_resumes_by_itself_when_the_server_comes_back(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        for _ in range(6):
            client.append([{"action": "a", "attributes": {"text": "x" * 8_000}} for _ in range(400)])
    address = server.address
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        if not pauses:
            server.start_on(address.rpartition(":")[2])
        pauses.append(seconds)

    with Client(address, server.token("admin"), sleep=sleep) as client:
        batches = client.export().batches()
        entries = list(next(batches))
        server.kill()
        for batch in batches:
            entries += batch
    assert [entry.index for entry in entries] == list(range(2_400))
    assert pauses


async def test_the_asynchronous_client_exports_the_same(server, leaves):
    async with AsyncClient(server.address, server.token("admin"), key=server.vkey) as client:
        assert [entry.leaf async for entry in client.export()] == leaves


def test_an_empty_log_is_exported_as_nothing(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        export = client.export()
        assert list(export) == []
        assert export.tree_size == 0


def test_a_stream_without_tokens_or_role_is_refused(server):
    with Client(server.address) as client, pytest.raises(UnauthenticatedError):
        list(client.export())
    with Client(server.address, server.token("writer")) as client, pytest.raises(PermissionDeniedError):
        list(client.export())


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"filter": "colour = red"}, "filter"),
        ({"filter": "a AND ("}, "filter"),
        ({"resume_token": "x"}, "resume_token"),
        ({"resume_token": "A" * 64}, "resume_token"),
        ({"resume_token": "\u202e" * 64}, "resume_token"),
    ],
    ids=["unknown field", "half a filter", "short token", "forged token", "hostile token"],
)
def test_refuses_a_request_with_the_field_at_fault(server, members, field):
    metadata = (("authorization", f"Bearer {server.token('admin')}"),)
    with pytest.raises(grpc.RpcError) as refused:
        list(server.stub().Export(pb.ExportRequest(**members), metadata=metadata))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = rpc_status.from_call(refused.value).details
    bad_request = next(detail for detail in details if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR))
    found = error_details_pb2.BadRequest()
    bad_request.Unpack(found)
    assert [violation.field for violation in found.field_violations] == [field]


def test_a_token_goes_on_for_the_same_caller_and_filter_only(server, client):
    with client.export('tenant = "acme"') as export:
        next(iter(export.batches()))
        token = export.resume_token
    with pytest.raises(InvalidRequestError, match="another query, caller or server"):
        list(client.export('tenant = "globex"', resume_token=token))
    with Client(server.address, server.token("admin", subject="mallory")) as other, pytest.raises(InvalidRequestError):
        list(other.export('tenant = "acme"', resume_token=token))


def test_reading_is_seen_before_the_first_row_leaves(server):
    token = server.token("admin", subject="seen-export")
    with Client(server.address, token) as client:
        next(iter(client.export('tenant = "acme" AND id = "event-1"').batches()))
        seen = [json.loads(entry.leaf) for entry in client.query('action = "log.export"', log="access")]
    starts = [entry for entry in seen if entry["caller"]["sub"] == "seen-export"]
    assert starts[-1]["event"]["attributes"] == {
        "filter": 'tenant = "acme" AND id = "event-1"', "from_index": 0
    }  # fmt: skip


def test_a_stream_ends_when_its_token_expires_and_a_fresh_one_goes_on(make_server):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        for _ in range(8):
            client.append([{"action": "a", "attributes": {"text": "x" * 8_000}} for _ in range(400)])
    issued = []

    def token() -> str:
        issued.append(server.token("admin", ttl="3s" if not issued else "1h"))
        return issued[-1]

    with Client(server.address, token) as client, Client(server.address, server.token("admin")) as watcher:
        batches = client.export().batches()
        entries = list(next(batches))
        # Nothing more is taken meanwhile: what was sent waits, and the server asks again who reads.
        refusals = watcher.tail('action = "call.refuse" AND reason = "TOKEN_EXPIRED"', log="access", from_index=0)
        refused = json.loads(next(refusals).leaf)["event"]
        refusals.close()
        for batch in batches:
            entries += batch
    assert refused["attributes"]["method"] == "Export"
    assert [entry.index for entry in entries] == list(range(3_200))
    assert len(issued) == 2
