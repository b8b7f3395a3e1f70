"""Restored logs: readable at once, and never a second history."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path

import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb


def append(server, count):
    events = "\n".join(json.dumps({"action": "user.read", "actor": {"id": f"u{n}"}}) for n in range(count))
    return server.cli("append", "-", input=events)


def checkpoint(server, log="main"):
    done = server.cli("checkpoint", "--log", log)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def lost(auditlog, tmp_path_factory, serve_folder):
    """What is left of a lost server: a backup, and checkpoints that others keep, of that time and newer ones."""
    server = serve_folder('format = 1\norigin = "audit.example.com"\n')
    kept = tmp_path_factory.mktemp("kept")
    assert append(server, 5).returncode == 0
    for log in ("main", "control", "access"):
        (kept / log).write_text(checkpoint(server, log))
    done = auditlog("backup", str(server.folder), str(kept / "backup"), "--with-keys")
    assert done.returncode == 0, done.stderr
    assert append(server, 3).returncode == 0
    assert server.cli("query").returncode == 0
    for log in ("main", "access"):
        (kept / f"newer-{log}").write_text(checkpoint(server, log))
    return kept


@pytest.fixture
def restored(auditlog, lost, make_server, tmp_path):
    """A server on a folder restored from the backup; not started."""
    server = make_server(start=False)
    shutil.rmtree(server.folder)
    done = auditlog("backup", "restore", str(lost / "backup"), str(server.folder))
    assert done.returncode == 0, done.stderr
    return server


def resume(auditlog, server, *files):
    flags = [part for file in files for part in ("--against", str(file))]
    return auditlog("log", "resume", str(server.folder), *flags)


def marks(server):
    return {path.parent.name for path in server.folder.glob("logs/*/restored")}


def test_a_restored_folder_is_sound_and_private_and_is_not_served_before_it_is_resumed(lost, restored):
    assert restored.check().returncode == 0
    assert stat.S_IMODE((restored.folder / "keys/main.pem").stat().st_mode) == 0o600
    status, said = restored.refuses_to_start()
    assert status == 2
    assert "was restored from a backup" in said
    assert "auditlog log resume DIR --against NEWEST_KNOWN_CHECKPOINT" in said


def test_a_copy_of_a_backup_made_by_other_means_is_not_served_either(lost, restored):
    shutil.rmtree(restored.folder)
    shutil.copytree(lost / "backup", restored.folder)
    status, said = restored.refuses_to_start()
    assert (status, "was restored from a backup" in said) == (2, True)


def test_until_main_is_resumed_it_is_read_and_appends_are_refused_with_what_to_do(auditlog, lost, restored):
    done = resume(auditlog, restored, lost / "control", lost / "access")
    assert done.returncode == 0, done.stderr
    assert marks(restored) == {"main"}
    restored.start()
    read = restored.cli("query", "--output", "jsonl")
    assert (read.returncode, len(read.stdout.splitlines())) == (0, 5)
    refused = append(restored, 1)
    assert refused.returncode == 2, refused.stderr
    assert "LOG_RESTORED" in refused.stderr
    assert "auditlog log resume" in refused.stderr
    assert "\n5\n" in checkpoint(restored)
    restored.stop()
    assert resume(auditlog, restored, lost / "main").returncode == 0
    restored.start()
    assert append(restored, 1).returncode == 0


def test_a_resumed_log_goes_on_and_extends_every_checkpoint_that_others_keep(auditlog, lost, restored):
    done = resume(auditlog, restored, *(lost / log for log in ("main", "control", "access")))
    assert done.returncode == 0, done.stderr
    assert "main: 5 entries, nothing missing up to 5" in done.stdout
    assert marks(restored) == set()
    restored.start()
    assert append(restored, 2).returncode == 0
    query = restored.cli("query", "--log", "control", "action = log.resume", "--output", "jsonl")
    entries = [json.loads(line)["event"]["attributes"] for line in query.stdout.splitlines()]
    assert {entry["log"]: entry["against"][0]["size"] for entry in entries}["main"] == 5
    restored.stop()
    flags = [part for log in ("main", "control", "access") for part in ("--against", str(lost / log))]
    checked = restored.check(*flags)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("log", ["main", "access"])
def test_an_older_copy_cannot_go_on_and_what_is_missing_is_named(auditlog, lost, restored, log):
    others = [lost / name for name in ("main", "control", "access") if name != log]
    done = resume(auditlog, restored, *others, lost / f"newer-{log}")
    assert done.returncode == 1
    assert f"cannot go on: log {log} ends after" in done.stderr
    assert f"auditlog log succeed DIR {log} --reason TEXT --against" in done.stderr
    if log == "main":
        assert "entries 5 to 7 are missing" in done.stderr
    assert marks(restored) == {"main", "control", "access"}
    status, _ = restored.refuses_to_start()
    assert status == 2


def test_all_that_lack_something_are_named_each_with_its_command(auditlog, lost, restored):
    done = resume(auditlog, restored, *(lost / name for name in ("newer-main", "control", "newer-access")))
    assert done.returncode == 1
    for log in ("access", "main"):
        assert re.search(f"log {log} ends after .* are missing", done.stderr)
    assert "log control" not in done.stderr
    commands = re.findall(r"auditlog log succeed DIR (\w+) --reason TEXT --against", done.stderr)
    assert commands == ["access", "main"]
    assert marks(restored) == {"main", "control", "access"}


def test_a_log_that_contradicts_a_signed_checkpoint_cannot_go_on(auditlog, lost, restored, make_server, tmp_path):
    """Another history, signed with the real key: as if someone had gone on from an older copy."""
    fork = make_server(start=False)
    shutil.rmtree(fork.folder)
    shutil.copytree(lost / "backup", fork.folder)
    for mark in fork.folder.glob("logs/*/restored"):
        mark.unlink()
    fork.start()
    assert append(fork, 3).returncode == 0
    other = checkpoint(fork)
    fork.stop()
    assert resume(auditlog, restored, *(lost / log for log in ("main", "control", "access"))).returncode == 0
    restored.start()
    assert append(restored, 3).returncode == 0
    restored.stop()
    (restored.folder / "logs/main/restored").write_text("2026-11-25T00:00:00Z\n")
    (tmp_path / "other").write_text(other)
    done = resume(auditlog, restored, tmp_path / "other")
    assert done.returncode == 1
    assert "are not those that were signed for" in done.stderr
    assert marks(restored) == {"main"}


def test_the_log_that_records_it_must_be_proven_too(auditlog, lost, restored):
    done = resume(auditlog, restored, lost / "main")
    assert done.returncode == 2
    assert "audit.example.com/control" in done.stderr
    assert marks(restored) == {"main", "control", "access"}


def test_what_was_not_restored_cannot_be_resumed(auditlog, lost, make_server):
    server = make_server(start=False)
    done = resume(auditlog, server, lost / "main")
    assert done.returncode == 2
    assert "no log of it waits to be resumed" in done.stderr


def test_nothing_is_resumed_under_a_running_server(auditlog, lost, restored):
    assert resume(auditlog, restored, lost / "control", lost / "access").returncode == 0
    restored.start()
    done = resume(auditlog, restored, lost / "main")
    assert done.returncode == 2
    assert "is in use by process" in done.stderr
    assert marks(restored) == {"main"}


def test_a_damaged_backup_is_not_restored_and_nothing_is_left(auditlog, lost, tmp_path):
    backup = Path(shutil.copytree(lost / "backup", tmp_path / "backup"))
    with (backup / "logs/main/evidence.db").open("r+b") as file:
        file.seek(9_000)
        file.write(b"changed")
    done = auditlog("backup", "restore", str(backup), str(tmp_path / "restored"))
    assert done.returncode == 1
    assert "nothing was restored" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_an_existing_folder_is_never_restored_over(auditlog, lost, restored):
    done = auditlog("backup", "restore", str(lost / "backup"), str(restored.folder))
    assert done.returncode == 2
    assert "is restored to a new folder" in done.stderr


def test_a_refused_append_has_its_own_code_and_reason(auditlog, lost, restored):
    assert resume(auditlog, restored, lost / "control", lost / "access").returncode == 0
    restored.start()
    metadata = (("authorization", f"Bearer {restored.token('admin')}"),)
    request = pb.AppendRequest(log="main", events=[{"id": "1", "action": "a.b"}])
    request.events[0].time.GetCurrentTime()
    request.events[0].outcome = 1
    request.events[0].actor.id = "x"
    with pytest.raises(grpc.RpcError) as caught:
        restored.stub().Append(request, metadata=metadata)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION, caught.value.details()
    assert "auditlog log resume" in caught.value.details()
