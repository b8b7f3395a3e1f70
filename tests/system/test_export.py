"""Export: all entries of one tree as one stream, whatever interrupts it, and the command."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import time

import grpc
import pytest
import zstandard
from google.rpc import error_details_pb2

from auditd.identity import LocalIssuer
from auditd_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import AUDITLOG, ORIGIN, Server, detail_of
from tests.system.export_log import COUNT, admin_token, fill, flip, run_export


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return fill(shared_server)


@pytest.fixture(scope="module")
def client(server: Server):
    with Client(server.address, server.token("admin"), key=server.vkey) as client:
        yield client


@pytest.fixture(scope="module")
def leaves(client: Client) -> list[bytes]:
    return [entry.leaf for entry in client.query(order="asc")]


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
    found = detail_of(refused.value, error_details_pb2.BadRequest)
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


def test_a_stream_ends_when_its_token_expires_and_a_fresh_one_goes_on(tmp_path):
    folder = tmp_path / "server"
    server = Server.make(folder)
    issuer = LocalIssuer.create("https://brief.example.com")
    (folder / "brief.jwks").write_bytes(issuer.jwks())
    with (folder / "auditd.toml").open("a") as config:
        config.write('\n[[issuers]]\nissuer = "https://brief.example.com"\njwks_file = "brief.jwks"\nleeway_s = 0\n')
    server.start()
    issued = []

    def token() -> str:
        issued.append(issuer.issue("brief", ["reader"], 2 if not issued else 600, ORIGIN, time.time()))
        return issued[-1]

    try:
        with Client(server.address, server.token("admin")) as admin, Client(server.address, token) as client:
            for _ in range(8):
                admin.append([{"action": "a", "attributes": {"text": "x" * 8_000}} for _ in range(400)])
            batches = client.export().batches()
            entries = list(next(batches))
            # Nothing more is taken meanwhile: what was sent waits, and the server asks again who reads.
            refusals = admin.tail('action = "call.refuse"', log="access", from_index=0)
            refused = json.loads(next(refusals).leaf)["event"]
            refusals.close()
            for batch in batches:
                entries += batch
    finally:
        server.stop()
    assert (refused["attributes"]["method"], refused["reason"]) == ("Export", "TOKEN_EXPIRED")
    assert [entry.index for entry in entries] == list(range(3_200))
    assert len(issued) == 2


# The command


def test_the_command_exports_and_verifies(server, tmp_path):
    done = run_export(server, "--out", str(tmp_path / "all"), "--output", "parquet", "--partition")
    assert done.returncode == 0, done.stderr
    manifest = tmp_path / "all" / "_manifest.json"
    assert done.stdout.decode().strip() == hashlib.sha256(manifest.read_bytes()).hexdigest()
    verified = server.cli("verify", str(manifest), "--key", server.vkey, "--output", "jsonl")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["rows"] == COUNT
    flip(next((tmp_path / "all").rglob("*.parquet")))
    assert server.cli("verify", str(manifest)).returncode == 1


def test_stdout_takes_the_leaves_plain_or_compressed(server, leaves):
    wanted = b"".join(leaf + b"\n" for leaf in leaves)
    assert run_export(server).stdout == wanted
    compressed = run_export(server, "--compress", "zstd").stdout
    assert zstandard.ZstdDecompressor().decompressobj().decompress(compressed) == wanted
    rows = list(csv.reader(io.StringIO(run_export(server, "--output", "csv").stdout.decode(), newline="")))
    assert len(rows) == COUNT + 1


def test_a_closed_pipe_ends_the_command_quietly(server):
    environment = {**os.environ, "AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": admin_token(server)}
    for flags in ([], ["--compress", "zstd"]):
        process = subprocess.Popen(
            [AUDITLOG, "export", *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=30), said) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "parquet"], "need a folder"),
        (["--partition"], "need a folder"),
        (["--resume"], "need a folder"),
        (["--columns", "index"], "--columns are those of"),
        (["--region", "x"], "go with --partition"),
        (["--output", "parquet", "--compress", "zstd", "--out", "x"], "in any case"),
        (["--out", "x", "--partition", "--region", "@colour"], "'colour' is no column"),
        (["--out", "x", "--partition", "--account", "x" * 129], "129 bytes"),
        (["--out", "x", "colour = red"], "colour"),
        (["--out", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_refuses_misuse_in_one_line(server, tmp_path, arguments, said):
    done = run_export(server, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    # A refused filter is shown below, with a caret.
    assert done.stderr.count(b"\n") == (3 if b"at column" in done.stderr else 1)
    assert list(tmp_path.iterdir()) == []
