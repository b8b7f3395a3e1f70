"""Backups: made beside a running server, verified, and never able to pass for more than they hold."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.system.conftest import after


def append(server, count, name="user.read"):
    events = "\n".join(json.dumps({"action": name, "actor": {"id": f"u{n}"}}) for n in range(count))
    done = server.cli("append", "-", input=events)
    assert done.returncode == 0, done.stderr


def checkpoint(server, path):
    done = server.cli("checkpoint")
    assert done.returncode == 0, done.stderr
    path.write_text(done.stdout)
    return path


def back_up(auditlog, server, destination, *flags):
    done = auditlog("backup", str(server.folder), str(destination), *flags)
    assert done.returncode == 0, done.stderr
    return json.loads((destination / "manifest.json").read_text())


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unprotected(path):
    """Open evidence as someone does who wants to change it."""
    db = sqlite3.connect(path)
    for (name,) in list(db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
        db.execute(f"DROP TRIGGER {name}")
    return db


@pytest.fixture(scope="module")
def kept(auditlog, shared_server, tmp_path_factory):
    """A backup made beside a running server that has some entries; tests work on copies of it."""
    append(shared_server, 300)
    destination = tmp_path_factory.mktemp("kept") / "backup"
    back_up(auditlog, shared_server, destination)
    return destination


@pytest.fixture
def backup(kept, tmp_path):
    return Path(shutil.copytree(kept, tmp_path / "backup"))


def rewrite_manifest(backup):
    """Make the manifest fit the files, as whoever changes a backup would."""
    path = backup / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in manifest["files"]:
        data = (backup / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(manifest))


def test_a_backup_holds_every_acknowledged_entry_and_its_checkpoint(auditlog, kept, shared_server):
    manifest = json.loads((kept / "manifest.json").read_text())
    assert set(manifest["logs"]) == {"main", "control", "access"}
    assert manifest["logs"]["main"]["entries"] == manifest["logs"]["main"]["size"] == 300
    assert manifest["logs"]["main"]["verifier_key"] == shared_server.vkey
    assert f"\n{manifest['logs']['main']['size']}\n" in manifest["logs"]["main"]["checkpoint"]
    assert auditlog("backup", "verify", str(kept)).returncode == 0
    # It has the shape of a server folder, so `check` reads it as one.
    assert auditlog("check", str(kept), "--key", shared_server.vkey).returncode == 0


def test_a_backup_has_neither_keys_nor_signatures_of_live_tokens_nor_indexes(kept):
    names = set(files_below(kept))
    assert {"manifest.json", "auditd.toml", "logs/main/evidence.db", "logs/main/head"} <= names
    assert not any("keys" in name or "pending" in name or "index" in name or name.endswith("-wal") for name in names)


def test_every_file_is_named_with_its_length_and_hash(kept):
    manifest = json.loads((kept / "manifest.json").read_text())
    files = files_below(kept)
    del files["manifest.json"]
    assert manifest["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }


def test_page_checksums_are_kept(auditlog, backup):
    """A flipped bit that the hash of the file does not tell of is found by the page's checksum."""
    path = backup / "logs/main/evidence.db"
    assert path.read_bytes()[20] == 8
    data = bytearray(path.read_bytes())
    data[-2_000] ^= 1
    path.write_bytes(data)
    rewrite_manifest(backup)
    done = auditlog("backup", "verify", str(backup))
    assert done.returncode == 1
    assert "failed to get page" in done.stdout, done.stdout


def test_keys_are_copied_when_asked_for_and_stay_private(auditlog, shared_server, tmp_path):
    manifest = back_up(auditlog, shared_server, tmp_path / "backup", "--with-keys")
    assert manifest["with_keys"] is True
    originals = files_below(shared_server.folder / "keys")
    assert files_below(tmp_path / "backup/keys") == originals
    assert {stat.S_IMODE((tmp_path / "backup/keys" / name).stat().st_mode) for name in originals} == {0o600}
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700


def test_logs_are_of_one_moment_while_callers_append_and_read(auditlog, make_server, tmp_path):
    server = make_server()
    token = server.token("admin")
    running = threading.Event()
    failures = []

    def work():
        while not running.is_set():
            settings = {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": token}
            for command in (("append", "--action", "a.b", "--actor-id", "x"), ("query", "--limit", "1")):
                done = auditlog(*command, env=settings)
                if done.returncode:
                    failures.append(done.stderr)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        back_up(auditlog, server, tmp_path / "first")
        back_up(auditlog, server, tmp_path / "second")
    finally:
        running.set()
        worker.join()
    assert failures == []
    for name in ("first", "second"):
        done = auditlog("backup", "verify", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_killed_server_can_be_backed_up_and_not_a_byte_of_it_changes(auditlog, make_server, tmp_path):
    server = make_server()
    append(server, 20)
    noted = checkpoint(server, tmp_path / "checkpoint")
    server.kill()
    before = files_below(server.folder)
    back_up(auditlog, server, tmp_path / "backup")
    assert files_below(server.folder) == before
    done = auditlog("backup", "verify", str(tmp_path / "backup"), "--against", str(noted))
    assert done.returncode == 0, done.stdout


def test_a_changed_file_is_named(auditlog, backup):
    with (backup / "auditd.toml").open("a") as file:
        file.write("# changed\n")
    done = auditlog("backup", "verify", str(backup))
    assert done.returncode == 1
    assert "auditd.toml: is not as it was written" in done.stdout
    assert "FILE_CHANGED" in done.stdout


def test_missing_and_added_files_are_named(auditlog, backup):
    (backup / "logs/access/head").unlink()
    (backup / "logs/main/evidence.db-wal").write_bytes(b"")
    done = auditlog("backup", "verify", str(backup), "--output", "json")
    assert done.returncode == 1
    found = {(finding["kind"], finding["where"]) for finding in json.loads(done.stdout)["findings"]}
    assert found == {("FILE_MISSING", "logs/access/head"), ("FILE_UNKNOWN", "logs/main/evidence.db-wal")}


def test_what_a_killed_check_left_is_no_part_of_a_backup(auditlog, backup):
    left = backup / "logs/.check-killed"
    left.mkdir()
    (left / "evidence.db").hardlink_to(backup / "logs/main/evidence.db")
    assert auditlog("backup", "verify", str(backup)).returncode == 0
    assert left.exists(), "it may be one that is being made"


def test_what_a_killed_check_left_is_taken_away_by_the_next_and_what_one_works_in_is_not(auditlog, backup):
    left, used = backup / "logs/.check-killed", backup / "logs/.check-used"
    for folder in (left, used):
        folder.mkdir()
        (folder / "evidence.db").hardlink_to(backup / "logs/main/evidence.db")
        os.utime(folder, (0, 0))
    descriptor = os.open(used, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert auditlog("check", str(backup)).returncode == 0
    finally:
        os.close(descriptor)
    assert list(backup.glob("logs/.check-*")) == [used]


def test_an_edited_entry_is_found_even_with_a_manifest_that_fits(auditlog, backup):
    db = unprotected(backup / "logs/main/evidence.db")
    with db:
        db.execute("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 8) WHERE idx = 7")
    db.close()
    rewrite_manifest(backup)
    done = auditlog("backup", "verify", str(backup))
    assert done.returncode == 1
    assert "HISTORY_CHANGED" in done.stdout or "LEAF_CHANGED" in done.stdout


def test_a_manifest_that_claims_another_size_is_found(auditlog, backup):
    path = backup / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["logs"]["main"]["entries"] += 1
    path.write_text(json.dumps(manifest))
    done = auditlog("backup", "verify", str(backup))
    assert done.returncode == 1
    assert "MANIFEST_WRONG" in done.stdout


def test_a_backup_that_lacks_entries_of_a_client_s_checkpoint_is_found(auditlog, make_server, tmp_path):
    server = make_server()
    append(server, 5)
    back_up(auditlog, server, tmp_path / "backup")
    append(server, 3)
    newer = checkpoint(server, tmp_path / "checkpoint")
    assert auditlog("backup", "verify", str(tmp_path / "backup")).returncode == 0
    done = auditlog("backup", "verify", str(tmp_path / "backup"), "--against", str(newer))
    assert done.returncode == 1
    assert "entries 5 to 7" in done.stdout
    assert "TRUNCATED" in done.stdout


def test_a_folder_whose_evidence_is_not_sound_is_not_backed_up(auditlog, make_server, tmp_path):
    server = make_server()
    append(server, 5)
    server.stop()
    db = unprotected(server.folder / "logs/main/evidence.db")
    with db:
        db.execute("DELETE FROM entries WHERE idx = 4")
    db.close()
    done = auditlog("backup", str(server.folder), str(tmp_path / "backup"))
    assert done.returncode == 1
    assert "no backup was made" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [server.folder.name]


def test_a_full_disk_leaves_nothing_behind(auditlog, shared_server, tmp_path, kept):
    half_of_it = (kept / "logs/main/evidence.db").stat().st_size // 512 // 2
    limited = after(f"ulimit -f {half_of_it}")
    resource_limited = auditlog("backup", str(shared_server.folder), str(tmp_path / "backup"), command=limited)
    assert resource_limited.returncode == 2, resource_limited.stdout
    assert "no backup was made" in resource_limited.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{server}", "{tmp}"], "a backup is a new folder"),
        (["{server}", "{tmp}/no/such/backup"], "No such file or directory"),
        (["{server}", "{server}/logs/backup"], "would be taken for one of them"),
        (["{tmp}", "{tmp}/backup"], "is no server folder"),
        (["verify", "{tmp}"], "is no backup"),
        (["verify", "{server}/auditd.toml"], "manifest.json: Not a directory"),
        (["verify", "{server}", "--against", "{tmp}/none"], "auditlog: {tmp}/none: No such file or directory"),
        (["{server}"], "Missing argument"),
    ],
    ids=[
        "existing-destination",
        "missing-parent",
        "among-the-logs",
        "no-server-folder",
        "no-backup",
        "a-file",
        "no-checkpoint",
        "no-destination",
    ],
)
def test_misuse_is_refused_in_a_line_and_leaves_nothing(auditlog, shared_server, tmp_path, arguments, said):
    done = auditlog("backup", *(part.format(server=shared_server.folder, tmp=tmp_path) for part in arguments))
    assert done.returncode == 2
    assert said.format(tmp=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[]", '{"format": "auditd-backup/1"}', "[" * 9_999])
def test_a_manifest_that_is_none_is_refused(auditlog, backup, text):
    (backup / "manifest.json").write_text(text)
    done: subprocess.CompletedProcess[str] = auditlog("backup", "verify", str(backup))
    assert done.returncode == 2
    assert "is no manifest of a backup" in done.stderr
    assert "Traceback" not in done.stderr
