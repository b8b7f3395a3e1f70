"""Exports that say of each entry what verifying its tokens again gave."""

from __future__ import annotations

import csv
import io
import json

import apsw
import pyarrow.parquet as pq
import pytest

from auditd.log._database import checksum_vfs
from auditd_client import AsyncClient, Client
from auditd_client.exports import Request, export_to_folder, verify_export
from auditd_client.verify import MismatchError
from tests.system.export_log import run_export

WANTED = [("NOT_YET_RECORDED", ""), ("SIGNATURE_LOST", ""), ("NOT_YET_RECORDED", ""), ("INVALID", "")]


def recorded_by(server, subject: str) -> str:
    """Record an event of this caller; return the name of its credential."""
    with Client(server.address, server.token("admin", subject=subject)) as client:
        index = client.append({"action": "user.login"}).receipts[0].index
        return json.loads(client.get(index).leaf)["caller"]["credential"]


def rewrite(server, name: str, sql: str, credential: str, vfs: str | None = None) -> None:
    """Do with a file of the stopped server what only somebody else would do."""
    db = apsw.Connection(str(server.folder / "logs" / "main" / name), vfs=vfs)
    db.execute(sql, (bytes.fromhex(credential),))
    assert db.changes() == 1
    db.close()


@pytest.fixture(scope="module")
def server(shared_server):
    server = shared_server
    recorded_by(server, "good")
    lost = recorded_by(server, "lost")
    recorded_by(server, "good")
    forged = recorded_by(server, "forged")
    server.stop()
    rewrite(server, "pending.db", "DELETE FROM signatures WHERE credential = ?", lost)
    rewrite(
        server,
        "evidence.db",
        "INSERT INTO credential_signatures VALUES (?, 'c29tZW9uZSBlbHNl')",
        forged,
        checksum_vfs(),
    )
    server.start()
    return server


@pytest.fixture(scope="module")
def client(server):
    with Client(server.address, server.token("admin"), key=server.vkey) as client:
        yield client


@pytest.fixture(scope="module")
def leaves(client):
    return [entry.leaf for entry in client.query(order="asc")]


def test_each_entry_comes_with_the_verdicts_on_its_tokens(client, leaves):
    entries = list(client.export(verify_tokens=True))
    assert [(entry.caller_token, entry.actor_token) for entry in entries] == WANTED
    assert [entry.leaf for entry in entries] == leaves
    assert {entry.caller_token for entry in client.export()} == {""}


async def test_the_asynchronous_client_says_the_same(server):
    async with AsyncClient(server.address, server.token("admin"), key=server.vkey) as client:
        found = [(entry.caller_token, entry.actor_token) async for entry in client.export(verify_tokens=True)]
    assert found == WANTED


def test_the_command_prints_them_and_ends_with_status_1_for_an_invalid_one(server, leaves):
    done = run_export(server, "--verify-tokens")
    lines = [
        b'{"caller_token":"%s","leaf":%s}' % (w.encode(), leaf) for (w, _), leaf in zip(WANTED, leaves, strict=True)
    ]
    assert (done.returncode, done.stdout) == (1, b"".join(line + b"\n" for line in lines))
    assert done.stderr.decode().splitlines()[-2:] == [
        "tokens: 1 INVALID, 2 NOT_YET_RECORDED, 1 SIGNATURE_LOST",
        "auditlog: a token does not verify: see INVALID",
    ]
    assert run_export(server, "--verify-tokens", "caller.sub = good").returncode == 0
    done = run_export(server, "--verify-tokens", "--output", "csv", "--columns", "index")
    rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
    assert rows == [["index", "caller_token", "actor_token"], *([str(n), *w] for n, w in enumerate(WANTED))]


def test_a_folder_counts_them_and_still_verifies_as_the_whole_tree(client, server, tmp_path):
    request = Request(log="main", filter="", no_index=False, format="jsonl", verify_tokens=True)
    manifest = export_to_folder(client, tmp_path / "all", request)
    assert manifest.tokens == {"NOT_YET_RECORDED": 2, "SIGNATURE_LOST": 1, "INVALID": 1}
    path = tmp_path / "all" / "_manifest.json"
    assert verify_export(path, server.vkey).is_whole_tree
    said = server.cli("verify", str(path), "--key", server.vkey).stdout
    assert "leaves all of the tree, verified, tokens 1 INVALID, 2 NOT_YET_RECORDED, 1 SIGNATURE_LOST" in said
    assert export_to_folder(client, tmp_path / "all", request, resume=True) == manifest
    part = tmp_path / "all" / manifest.parts[0].path
    part.write_bytes(part.read_bytes().replace(b"user.login", b"user.logon", 1))
    with pytest.raises(MismatchError):
        verify_export(path, server.vkey)


def test_parquet_has_them_where_ocsf_has_room(client, tmp_path):
    request = Request(
        log="main", filter="", no_index=False, format="parquet", compression="zstd", verify_tokens=True
    )  # fmt: skip
    manifest = export_to_folder(client, tmp_path / "all", request)
    table = pq.read_table(tmp_path / "all" / manifest.parts[0].path, columns=["unmapped"])
    found = [json.loads(text)["caller_token"] for text in table.column("unmapped").to_pylist()]
    assert sorted(found) == sorted(caller for caller, _ in WANTED)


def test_an_export_begun_without_them_is_not_resumed_with_them(server, tmp_path):
    folder = str(tmp_path / "all")
    assert run_export(server, "--out", folder).returncode == 0
    done = run_export(server, "--out", folder, "--resume", "--verify-tokens")
    assert (done.returncode, b"another request" in done.stderr) == (2, True)


def test_a_package_has_them_in_any_case(server, tmp_path):
    done = run_export(server, "--evidence", "x.zip", "--verify-tokens", cwd=tmp_path)
    assert (done.returncode, b"leave --verify-tokens out" in done.stderr) == (2, True)
