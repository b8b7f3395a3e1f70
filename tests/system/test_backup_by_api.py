"""Backups that a running server makes and sends: as good as those made beside it, and nothing is left of what fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import signal
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from auditd.server import make_folder
from auditd_client import (
    AdminClient,
    AsyncAdminClient,
    DamagedLogError,
    ExhaustedError,
    HistoryRewrittenError,
    InvalidRequestError,
    OutputError,
    PermissionDeniedError,
    PreconditionError,
    ServerError,
    UnavailableError,
)
from auditd_client.verify import VerificationError
from auditd_proto.v1 import admin_service_pb2 as pb
from auditd_proto.v1.admin_service_pb2_grpc import (
    AdminServiceServicer,
    AdminServiceStub,
    add_AdminServiceServicer_to_server,
)
from tests.system.conftest import Server, after, auditlog, detail_of
from tests.system.test_backup import append, checkpoint, files_below
from tests.system.test_tampering import opened

WITHIN_S = 20.0


def fetch(server, destination, *flags, role="backup"):
    return server.cli("backup", "fetch", str(destination), *flags, role=role)


@contextmanager
def client_of(server, role="backup", **options):
    with AdminClient(server.address, server.token(role), **options) as client:
        yield client


def entries_of_access(server, where):
    done = server.cli("query", where, "--log", "access", "--order", "asc", "--output", "jsonl", "--limit", "0")
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["event"] for line in done.stdout.splitlines()]


def makers_of(server):
    """The processes that make a backup for the server: one, or none yet."""
    for listed in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        for pid in listed.read_text().split():
            if b"_backup_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield int(pid)


def begun(server):
    """A backup that has begun: the call, and the process that makes it."""
    metadata = [("authorization", f"Bearer {server.token('backup', subject='held')}")]
    ends_at = time.monotonic() + WITHIN_S
    while time.monotonic() < ends_at:
        # The one before may be just about to end, and this one be told to try again.
        call = AdminServiceStub(server.channel()).MakeBackup(pb.MakeBackupRequest(), metadata=metadata)
        while not call.done():
            for maker in makers_of(server):
                return call, maker
    raise AssertionError(f"no process makes a backup: {call.details()}")


@contextmanager
def held_up(server):
    """A backup that is being made, and stands still: the call, and the process that makes it."""
    call, maker = begun(server)
    os.kill(maker, signal.SIGSTOP)
    try:
        yield call, maker
    finally:
        call.cancel()


def nothing_is_left(server):
    """Whether the server has removed its copy, and makes backups again."""
    ends_at = time.monotonic() + WITHIN_S
    while (server.folder / ".backup").exists() and time.monotonic() < ends_at:
        pass
    return not (server.folder / ".backup").exists()


@pytest.fixture(scope="module")
def filled(shared_server):
    append(shared_server, 300)
    return shared_server


@pytest.fixture(scope="module")
def fetched(filled, tmp_path_factory):
    destination = tmp_path_factory.mktemp("fetched") / "backup"
    done = fetch(filled, destination)
    assert done.returncode == 0, done.stderr
    assert "main: 300 entries" in done.stdout
    return destination


@pytest.fixture(scope="module")
def parts(filled):
    """All that a real server sends, for others to send with a change."""
    metadata = [("authorization", f"Bearer {filled.token('backup')}")]
    return list(AdminServiceStub(filled.channel()).MakeBackup(pb.MakeBackupRequest(), metadata=metadata))


def test_what_came_verifies_and_holds_what_the_server_has(fetched, filled, tmp_path):
    done = auditlog("backup", "verify", str(fetched), "--against", str(checkpoint(filled, tmp_path / "held")))
    assert done.returncode == 0, done.stdout
    with (
        closing(sqlite3.connect(fetched / "logs/main/evidence.db")) as copy,
        closing(sqlite3.connect(f"file:{filled.folder}/logs/main/evidence.db?mode=ro", uri=True)) as original,
    ):
        assert list(copy.execute("SELECT * FROM entries")) == list(original.execute("SELECT * FROM entries"))


def test_it_has_the_files_and_modes_of_one_made_beside_the_server(fetched, filled, tmp_path):
    made = auditlog("backup", str(filled.folder), str(tmp_path / "made"))
    assert made.returncode == 0, made.stderr
    assert files_below(fetched).keys() == files_below(tmp_path / "made").keys()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in fetched.rglob("*") if path.is_file()}
    assert (modes, stat.S_IMODE(fetched.stat().st_mode)) == ({0o600}, 0o700)


def test_neither_keys_nor_signatures_of_live_tokens_nor_indexes_leave_the_server(fetched, filled):
    names = set(files_below(fetched))
    assert not any("keys" in name or "pending" in name or "index" in name or "tiles.db" in name for name in names)
    keys = files_below(filled.folder / "keys").values()
    assert not any(key in data for data in files_below(fetched).values() for key in keys)


def test_it_is_restored_and_goes_on(fetched, filled, tmp_path):
    restored = Server(tmp_path / "restored", filled.vkeys)
    done = auditlog("backup", "restore", str(fetched), str(restored.folder))
    assert done.returncode == 0, done.stderr
    (restored.folder / "keys").mkdir(mode=0o700)
    for name, data in files_below(filled.folder / "keys").items():
        (restored.folder / "keys" / name).write_bytes(data)
        (restored.folder / "keys" / name).chmod(0o600)
    notes = []
    for name, log in json.loads((fetched / "manifest.json").read_text())["logs"].items():
        (tmp_path / name).write_text(log["checkpoint"])
        notes += ["--against", str(tmp_path / name)]
    assert auditlog("log", "resume", str(restored.folder), *notes).returncode == 0
    restored.start()
    try:
        append(restored, 1, "after.restore")
        assert restored.cli("get", "300").returncode == 0
    finally:
        restored.stop()


def test_what_came_since_joins_with_what_was_fetched_before(filled, fetched, tmp_path):
    append(filled, 7, "user.write")
    done = fetch(filled, tmp_path / "since", "--since", str(fetched), "--output", "json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert manifest["since"]["manifest"] == hashlib.sha256((fetched / "manifest.json").read_bytes()).hexdigest()
    with closing(sqlite3.connect(tmp_path / "since/logs/main/increment.db")) as db:
        assert db.execute("SELECT min(idx), max(idx) FROM entries").fetchone() == (300, 306)
    done = auditlog("backup", "join", str(fetched), str(tmp_path / "since"), str(tmp_path / "whole"))
    assert done.returncode == 0, done.stderr
    assert auditlog("backup", "verify", str(tmp_path / "whole")).returncode == 0
    read = entries_of_access(filled, 'action = "log.backup" AND attributes.lowest_index = 300')
    assert [event["attributes"]["highest_index"] for event in read] == [306]


def test_that_each_log_was_read_is_recorded_with_the_backup_it_came_in(fetched, filled):
    digest = hashlib.sha256((fetched / "manifest.json").read_bytes()).hexdigest()
    read = entries_of_access(filled, f'action = "log.backup" AND attributes.manifest = "{digest}"')
    assert {event["resources"][0]["id"] for event in read} == {"main", "control", "access"}
    of_main = next(event for event in read if event["resources"][0]["id"] == "main")
    assert (of_main["attributes"]["lowest_index"], of_main["attributes"]["highest_index"]) == (0, 299)


def test_without_the_permission_nothing_is_made_and_the_refusal_is_recorded(filled, tmp_path):
    for role in ("writer", "importer", "reader", "auditor"):
        with client_of(filled, role) as client, pytest.raises(PermissionDeniedError, match="the role backup or admin"):
            client.make_backup(tmp_path / "backup")
    done = fetch(filled, tmp_path / "backup", role="reader")
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []
    refused = entries_of_access(filled, 'action = "call.refuse" AND attributes.method = "MakeBackup"')
    assert {(event["outcome"], event["reason"]) for event in refused} == {("DENIED", "PERMISSION_DENIED")}
    assert len(refused) >= 4


def test_the_role_backup_may_do_nothing_else(filled):
    with client_of(filled) as client:
        for attempt in (lambda: client.get(0), lambda: client.record("a.b"), client.status):
            with pytest.raises(PermissionDeniedError):
                attempt()


def test_asyncio_receives_the_same(filled, tmp_path):
    steps = []

    async def receive():
        token = filled.token("backup")
        async with AsyncAdminClient(filled.address, token, key=filled.vkey) as client:
            return await client.make_backup(
                tmp_path / "backup", progress=lambda name, done, total: steps.append((name, done, total))
            )

    made = asyncio.run(receive())
    assert made.logs["main"].verifier_key == filled.vkey
    assert made.bytes == sum(len(data) for name, data in files_below(made.folder).items() if name != "manifest.json")
    assert steps[-1] == ("receiving", made.bytes, made.bytes)
    assert auditlog("backup", "verify", str(made.folder)).returncode == 0


def test_asyncio_administers_as_well(filled):
    async def administer():
        async with AsyncAdminClient(filled.address, filled.token("admin")) as client:
            issued = await client.issue_token("async", ["reader"])
            revoked = await client.revoke("https://audit.example.com/local", jti=issued.jti)
            listed = [one async for one in client.revocations()]
            await client.withdraw_revocation(revoked.index)
            return revoked, listed, await client.status(), await client.logs()

    revoked, listed, status, logs = asyncio.run(administer())
    assert revoked in listed
    assert {log.name for log in status.logs} == {log.name for log in logs}


def test_one_is_made_at_a_time(filled, tmp_path):
    with held_up(filled), client_of(filled) as client:
        with pytest.raises(ExhaustedError) as caught:
            client.make_backup(tmp_path / "backup")
        assert caught.value.reason == "BACKUP_UNDER_WAY"
        assert caught.value.retry_after_s == 10
    assert nothing_is_left(filled)
    assert fetch(filled, tmp_path / "backup").returncode == 0


def test_a_caller_that_goes_away_leaves_neither_copy_nor_process(filled):
    with held_up(filled) as (_, maker):
        assert (filled.folder / ".backup").exists()
    assert nothing_is_left(filled)
    assert not Path(f"/proc/{maker}").exists()


def test_a_token_that_is_revoked_ends_it(filled):
    with held_up(filled) as (call, maker), client_of(filled, "admin") as admin:
        revoked = admin.revoke("https://audit.example.com/local", subject="held")
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        admin.withdraw_revocation(revoked.index)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert nothing_is_left(filled)
    assert not Path(f"/proc/{maker}").exists()


def test_the_end_of_the_process_that_makes_it_is_an_error_to_try_again_after(filled):
    with held_up(filled) as (call, maker):
        os.kill(maker, signal.SIGKILL)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "ended with status -9" in caught.value.details()
    assert detail_of(caught.value, RetryInfo).HasField("retry_delay")
    assert nothing_is_left(filled)


def test_a_full_disk_of_the_server_is_said_and_leaves_nothing(filled):
    with held_up(filled) as (call, maker):
        resource.prlimit(maker, resource.RLIMIT_FSIZE, (8_192, 8_192))
        os.kill(maker, signal.SIGCONT)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "no backup was made" in caught.value.details()
    assert nothing_is_left(filled)


def test_a_full_disk_of_the_client_leaves_nothing(filled, tmp_path):
    arguments = ("backup", "fetch", str(tmp_path / "backup"))
    done = filled.cli(*arguments, role="backup", command=after("ulimit -f 40"))
    assert done.returncode == 2, done.stderr
    assert "File too large; nothing was kept" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert nothing_is_left(filled)


def test_a_client_told_to_end_leaves_nothing_on_either_side(filled, tmp_path):
    with ThreadPoolExecutor(1) as threads, client_of(filled) as client:
        under_way = threads.submit(client.make_backup, tmp_path / "backup")
        while not (makers := list(makers_of(filled))):
            assert not under_way.done()
        os.kill(makers[0], signal.SIGSTOP)
        client.close()
        with pytest.raises(ServerError):
            under_way.result(WITHIN_S)
    assert list(tmp_path.iterdir()) == []
    assert nothing_is_left(filled)


def test_a_server_that_stops_ends_it_and_one_that_is_killed_clears_up_at_its_next_start(make_server):
    server = make_server()
    with held_up(server) as (call, maker):
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "stopping" in caught.value.details()
    assert server.stop() == 0
    assert not (server.folder / ".backup").exists()
    server.start()
    with held_up(server) as (_, maker):
        server.process.kill()  # while the call goes on: a server that learns of its end ends the process
        server.process.wait()
        server.kill()
        os.kill(maker, signal.SIGCONT)  # not before: it might be done before the server is gone
        assert (server.folder / ".backup").exists()
    server.start()
    assert not (server.folder / ".backup").exists()
    ends_at = time.monotonic() + WITHIN_S
    while Path(f"/proc/{maker}").exists():  # it ends by itself once nobody listens
        assert time.monotonic() < ends_at


def test_damage_is_answered_as_damage(make_server, tmp_path):
    server = make_server()
    append(server, 5)
    evidence = server.folder / "logs/main/evidence.db"
    with opened(evidence) as db:  # every page is as its checksum says, so the copy is made, and then does not verify
        db.execute("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 3) WHERE idx = 2")
    require_damage_found(server, tmp_path, "what was copied does not verify: entry 2: ")
    with closing(sqlite3.connect(evidence)) as db, db:
        for (name,) in list(db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DELETE FROM entries WHERE idx = 2")
    require_damage_found(server, tmp_path, "")


def require_damage_found(server, tmp_path, said):
    with client_of(server) as client, pytest.raises(DamagedLogError) as caught:
        client.make_backup(tmp_path / "backup")
    assert said in caught.value.message
    assert "no backup was made" in caught.value.message
    assert not (tmp_path / "backup").exists()
    assert nothing_is_left(server)


def test_it_takes_no_room_that_the_record_of_reads_needs(make_server, tmp_path):
    server = make_server(limits=f"min_free_bytes = {2**50}")
    with client_of(server) as client, pytest.raises(ExhaustedError) as caught:
        client.make_backup(tmp_path / "backup")
    assert caught.value.reason == "BACKUP_NO_ROOM"
    assert caught.value.metadata["limit"] == "min_free_bytes"
    assert [path.name for path in tmp_path.iterdir()] == [server.folder.name]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"{", "is no manifest of a backup"),
        (b"\xff", "is no manifest of a backup"),
        (b"[" * 100_000, "is no manifest of a backup"),
        (b'{"format": "auditd-backup/2"}', "this release knows"),
        (b'{"format": "auditd-backup/1", "logs": {"main": 3}}', "is no manifest of a backup"),
    ],
    ids=["cut", "binary", "nested", "newer", "shape"],
)
def test_a_manifest_that_is_none_is_refused_by_its_field(filled, tmp_path, manifest, said):
    (tmp_path / "before").mkdir()
    (tmp_path / "before/manifest.json").write_bytes(manifest)
    with client_of(filled) as client, pytest.raises(InvalidRequestError, match=said) as caught:
        client.make_backup(tmp_path / "backup", since=tmp_path / "before")
    assert [violation.field for violation in caught.value.violations] == ["since_manifest"]


def changed_manifest(backup, folder, change):
    """A manifest with a change, written as the server writes it."""
    values = json.loads((backup / "manifest.json").read_text())
    change(values)
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(values, indent=2) + "\n")
    return folder


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda values: values["logs"]["main"].update(rows={}), PreconditionError),
        (lambda values: values["logs"]["main"]["rows"].update(entries=10**18), PreconditionError),
        (lambda values: values["logs"]["main"].update(size=10**18), DamagedLogError),
        (lambda values: values["logs"]["main"].update(root="00" * 32), DamagedLogError),
        (lambda values: values["logs"]["main"].update(size="3"), InvalidRequestError),
        (lambda values: values["logs"]["main"].update(root="zz"), InvalidRequestError),
        (lambda values: values.update(origin="other.example.com", logs={}), PreconditionError),
    ],
    ids=["no-rows", "rows-beyond", "size-beyond", "other-root", "text-size", "no-root", "other-server"],
)
def test_a_manifest_of_another_history_is_no_base(filled, fetched, tmp_path, change, error):
    before = changed_manifest(fetched, tmp_path / "before", change)
    with client_of(filled) as client, pytest.raises(error):
        client.make_backup(tmp_path / "backup", since=before)
    assert not (tmp_path / "backup").exists()
    assert nothing_is_left(filled)


def test_what_exists_is_not_written_over_and_no_base_is_refused_before_the_call(filled, tmp_path):
    with client_of(filled) as client:
        with pytest.raises(OutputError, match="a backup is a new folder"):
            client.make_backup(tmp_path)
        with pytest.raises(OutputError, match="no backup to go on from"):
            client.make_backup(tmp_path / "backup", since=tmp_path)
        with pytest.raises(OutputError, match="No such file"):
            client.make_backup(tmp_path / "no/such/folder")
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_held_against_what_the_client_knows(filled, tmp_path, parts, make_server):
    with client_of(filled, "admin", key=filled.vkey) as client:
        append(filled, 1)
        client.checkpoint()
        known = client.newest_checkpoint()
        client.make_backup(tmp_path / "good")
    with sending(parts, key=filled.vkey, known=known) as client, pytest.raises(HistoryRewrittenError):
        client.make_backup(tmp_path / "older")
    elsewhere = make_folder(tmp_path / "elsewhere", "other.example.com").verifier_keys["main"]
    with sending(parts, key=elsewhere) as client, pytest.raises(ServerError, match="whose key is known, is not in it"):
        client.make_backup(tmp_path / "of-others")
    other = make_server()
    with client_of(other, key=filled.vkey) as client, pytest.raises(VerificationError):
        client.make_backup(tmp_path / "of-another-key")
    assert {path.name for path in tmp_path.iterdir()} == {"good", "elsewhere", other.folder.name}


def test_what_came_since_holds_a_log_that_was_begun_since(make_server, tmp_path):
    server = make_server()
    append(server, 3)
    assert fetch(server, tmp_path / "before").returncode == 0
    server.stop()
    done = auditlog("log", "succeed", str(server.folder), "main", "--reason", "a new year")
    assert done.returncode == 0, done.stderr
    server.start()
    append(server, 2)
    done = fetch(server, tmp_path / "since", "--since", str(tmp_path / "before"))
    assert done.returncode == 0, done.stderr
    read = entries_of_access(server, 'action = "log.backup" AND attributes.origin = "audit.example.com/main~2"')
    assert [(event["attributes"]["lowest_index"], event["attributes"]["highest_index"]) for event in read] == [(0, 2)]
    done = auditlog("backup", "join", str(tmp_path / "before"), str(tmp_path / "since"), str(tmp_path / "whole"))
    assert done.returncode == 0, done.stderr
    assert "main~2: 3 entries" in done.stdout
    assert auditlog("backup", "verify", str(tmp_path / "whole")).returncode == 0


class _Replayed(AdminServiceServicer):
    def __init__(self, messages):
        self.messages = messages

    def MakeBackup(self, _request, _context):  # noqa: N802 - the name of the service
        yield from self.messages


@contextmanager
def sending(messages, **options):
    """A server that sends these messages as a backup; yields a client of it."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_AdminServiceServicer_to_server(_Replayed(messages), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with AdminClient(f"127.0.0.1:{port}", "token", **options) as client:
            yield client
    finally:
        server.stop(None)


def copies(parts):
    chunks = []
    for part in parts:
        if part.HasField("chunk"):
            chunk = pb.MakeBackupResponse()
            chunk.CopyFrom(part)
            chunks.append(chunk)
    return chunks


def seal(chunk, data):
    chunk.data, chunk.sha256 = data, hashlib.sha256(data).digest()


def of_manifest(change):
    def apply(chunks):
        values = json.loads(chunks[0].chunk.data)
        change(values)
        seal(chunks[0].chunk, json.dumps(values).encode())
        chunks[0].chunk.file_bytes = len(chunks[0].chunk.data)
        return chunks

    return apply


def flipped(chunks):
    data = bytearray(chunks[-1].chunk.data)
    data[0] ^= 1
    chunks[-1].chunk.data = bytes(data)
    return chunks


def flipped_and_sealed(chunks):
    seal(chunks[-1].chunk, flipped(chunks)[-1].chunk.data)
    return chunks


def renamed(values, name):
    first = next(iter(values["files"]))
    values["files"][name] = values["files"].pop(first)


def set_of(field, value):
    def apply(chunks):
        setattr(chunks[-1].chunk, field, value)
        return chunks

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flipped, "are not those that were sent"),
        (flipped_and_sealed, "is not the file that manifest.json names"),
        (lambda chunks: chunks[:-1], "ended before its last file"),
        (lambda chunks: chunks[:1], "ended before its last file"),
        (lambda _: [], "ended before its last file"),
        (lambda chunks: chunks[1:], "came where 'manifest.json' was to come"),
        (lambda chunks: [*chunks, chunks[-1]], "more came than it names"),
        (lambda chunks: [chunks[0], *reversed(chunks[1:])], "was to come"),
        (set_of("offset", 1), "was to go on at 0"),
        (set_of("file_bytes", 2**62), "was to go on at 0"),
        (set_of("path", "../../escaped"), "was to come"),
        (of_manifest(lambda values: renamed(values, "../../escaped")), "is no manifest"),
        (of_manifest(lambda values: renamed(values, "/tmp/escaped")), "is no manifest"),
        (of_manifest(lambda values: renamed(values, "logs/./escaped")), "is no manifest"),
        (of_manifest(lambda values: renamed(values, "manifest.json")), "is no manifest"),
        (of_manifest(lambda values: values.update(format="auditd-backup/9")), "use a newer one"),
        (of_manifest(lambda values: values.update(since={"made_at": "", "manifest": "00" * 32})), "is only a part"),
        (of_manifest(lambda values: values["logs"]["main"].update(size=1)), "another tree"),
        (of_manifest(lambda values: values["files"].clear()), "more came than it names"),
    ],
)
def test_what_was_changed_on_the_way_is_refused_and_nothing_is_kept(parts, tmp_path, change, said):
    with sending(change(copies(parts))) as client, pytest.raises(ServerError, match=said) as caught:
        client.make_backup(tmp_path / "backup")
    assert caught.value.reason == "MALFORMED_RESPONSE"
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_signed_is_refused(parts, tmp_path):
    unsigned = of_manifest(lambda values: values["logs"]["main"].update(checkpoint="x\n0\n\n\n"))
    with sending(unsigned(copies(parts))) as client, pytest.raises(VerificationError):
        client.make_backup(tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(tmp_path):
    with sending(time.sleep(3) for _ in range(1)) as client, pytest.raises(UnavailableError, match="fallen silent"):
        client.make_backup(tmp_path / "backup", timeout_s=0.5)
    assert list(tmp_path.iterdir()) == []
