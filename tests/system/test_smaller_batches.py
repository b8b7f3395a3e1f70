"""A server that takes less at a time than the client sends: what is refused goes on in smaller batches."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from auditd_client import AsyncClient, Client
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import detail_of

COUNT = 35


@pytest.fixture(scope="module")
def small(serve_folder):
    limits = "max_batch_events = 10\nmax_request_bytes = 20_000"
    return serve_folder(f'format = 1\norigin = "audit.example.com"\n[limits]\n{limits}')


@pytest.fixture(params=[{}, {"text": "x" * 5_000}], ids=["many", "large"])
def events(request):
    test, time = request.node.name, "2026-11-20T10:00:00Z"
    return [{"id": f"{test}-{n}", "time": time, "action": "a.b", "attributes": request.param} for n in range(COUNT)]


@pytest.mark.parametrize("command", [("append",), ("import", "jsonl")], ids=" ".join)
def test_commands_record_all_in_order(small, events, tmp_path, command):
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    done = small.cli(*command, str(file), "--output", "jsonl", role="importer")
    assert (done.returncode, done.stderr) == (0, "")
    indexes = [json.loads(line)["index"] for line in done.stdout.splitlines()]
    assert indexes == list(range(indexes[0], indexes[0] + COUNT))


def test_the_client_records_all_in_order(small, events):
    with Client(small.address, small.token("importer")) as client:
        appended = [receipt.index for receipt in client.append(events).receipts]
        streamed = list(client.append_stream(events))
    assert appended == list(range(appended[0], appended[0] + COUNT))
    assert [receipt.index for receipt in streamed] == appended
    assert all(receipt.duplicate for receipt in streamed)


def test_the_asynchronous_client_records_all_in_order(small, events):
    async def run():
        async with AsyncClient(small.address, small.token("importer")) as client:
            appended = [receipt.index for receipt in (await client.append(events)).receipts]
            return appended, [receipt.index async for receipt in client.append_stream(events)]

    appended, streamed = asyncio.run(run())
    assert appended == streamed == list(range(appended[0], appended[0] + COUNT))


def test_a_refusal_names_the_limit_for_other_clients(small):
    request = pb.AppendRequest()
    for number in range(11):
        request.events.add(id=str(number), action="a")
    with pytest.raises(grpc.RpcError, match=r"11 events, must be 1 to 10 \(max_batch_events\)") as caught:
        small.stub().Append(request, metadata=(("authorization", f"Bearer {small.token('writer')}"),))
    assert detail_of(caught.value, details.ErrorInfo).metadata["value"] == "10"
