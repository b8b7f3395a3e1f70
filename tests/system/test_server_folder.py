"""The server folder: who may look into it, and what lies in it that is none of its logs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.conftest import ORIGIN, Server, after, auditlog


def test_init_makes_it_for_its_owner_alone(tmp_path):
    folder = tmp_path / "new" / "server"
    assert auditlog("init", str(folder), "--origin", ORIGIN).returncode == 0
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "keys")] == ["0o700", "0o700"]


def test_a_folder_that_was_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o750)
    assert auditlog("init", str(tmp_path), "--origin", ORIGIN).returncode == 0
    assert oct(tmp_path.stat().st_mode & 0o777) == "0o750"


@pytest.mark.parametrize("was_there", [False, True])
def test_init_that_finds_no_room_says_so_and_can_be_given_again(tmp_path, was_there):
    folder = tmp_path / "server"
    if was_there:
        folder.mkdir()
    done = auditlog("init", str(folder), "--origin", ORIGIN, command=after("ulimit -f 120"))
    assert (done.returncode, "evidence.db: disk I/O error" in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.rglob("*")) == [folder] * was_there
    assert auditlog("init", str(folder), "--origin", ORIGIN).returncode == 0


def test_of_several_that_init_one_folder_one_makes_it_and_it_stays_whole(tmp_path):
    folder = str(tmp_path / "server")
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda _: auditlog("init", folder, "--origin", ORIGIN), range(3)))
    assert sorted(done.returncode for done in made) == [0, 2, 2]
    checked = auditlog("check", folder)
    assert checked.returncode == 0, checked.stdout


def test_what_cannot_be_a_log_disturbs_nothing(make_server, tmp_path):
    server = make_server(start=False)
    strays = {"lost+found", ".snapshot", "a log"}
    for stray in strays:
        (server.folder / "logs" / stray).mkdir()
    server.start()
    assert auditlog("check", str(server.folder)).returncode == 0
    assert auditlog("backup", str(server.folder), str(tmp_path / "backup")).returncode == 0
    assert {path.name for path in (tmp_path / "backup" / "logs").iterdir()} == {"main", "control", "access"}


def test_a_limit_of_open_files_that_is_too_low_is_said_as_such(make_server):
    server = make_server(start=False)
    done = auditlog("serve", str(server.folder), "--listen", "127.0.0.1:0", command=after("ulimit -n 120"))
    assert (done.returncode, "open 120 files, a server needs 256" in done.stderr) == (2, True)


def test_evidence_that_was_moved_to_another_disk_is_read_through_its_link(make_server, tmp_path):
    """Also what only its write-ahead log holds, which SQLite keeps beside the file itself."""
    server = make_server(start=False)
    evidence, elsewhere = server.folder / "logs/main/evidence.db", tmp_path / "elsewhere.db"
    evidence.rename(elsewhere)
    evidence.symlink_to("../../../elsewhere.db")
    server.start()
    lines = "".join(f'{{"id":"e-{n}","time":"2026-11-20T10:00:00Z","action":"a"}}\n' for n in range(3))
    assert server.cli("append", "-", input=lines, role="importer").returncode == 0
    served = auditlog("check", str(server.folder))
    server.kill()
    assert elsewhere.with_name("elsewhere.db-wal").stat().st_size
    for done in (served, auditlog("check", str(server.folder))):
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert re.search(r"^main +3 .+ sound", done.stdout, re.MULTILINE)
    backup = str(tmp_path / "backup")
    assert auditlog("backup", str(server.folder), backup).returncode == 0
    assert auditlog("backup", "verify", backup).returncode == 0


NO_FILES = {
    "auditd.toml": "",
    "keys/main.pem": "the signing key cannot be read",
    "keys/issuer.pem": "cannot be read",
    "keys/pages.key": "put it back, or make one",
    "logs/main/evidence.db": "put the evidence back, or restore a backup",
    "logs/main/head": "put the head back",
    "logs/main/lock": "move it away",
    "logs/main/pending.db": "move it away",
    "logs/main/restored": "",
}


@pytest.fixture(scope="module")
def stopped():
    with tempfile.TemporaryDirectory() as made:
        yield Server.make(Path(made) / "server")


@pytest.mark.parametrize("name", NO_FILES)
def test_a_pipe_or_folder_with_the_name_of_a_file_is_said_as_such_and_never_waited_for(stopped, name):
    path, aside = stopped.folder / name, stopped.folder / "aside"
    was_there = path.exists()
    if was_there:
        path.rename(aside)
    for make, remove in ((os.mkfifo, path.unlink), (os.mkdir, path.rmdir)):
        make(path, 0o700)
        status, said = stopped.refuses_to_start()
        remove()
        assert (status, str(path) in said, NO_FILES[name] in said) == (2, True, True), said
        assert re.search("is no (regular )?file|Is a directory", said)
    if was_there:
        aside.rename(path)


def test_a_check_and_a_backup_wait_for_no_pipe_either(stopped, tmp_path):
    commands = (["check", str(stopped.folder)], ["backup", str(stopped.folder), str(tmp_path / "backup")])
    evidence, aside = stopped.folder / "logs/main/evidence.db", stopped.folder / "aside"
    pending = evidence.with_name("pending.db")
    pending.unlink(missing_ok=True)
    os.mkfifo(pending)
    assert [auditlog(*command).returncode for command in commands] == [0, 0]
    pending.unlink()
    shutil.rmtree(tmp_path / "backup")
    evidence.rename(aside)
    os.mkfifo(evidence)
    for command in commands:
        done = auditlog(*command)
        assert (done.returncode, "evidence.db" in done.stderr) == (2, True), done.stderr
        assert "is no regular file" in done.stderr
    evidence.unlink()
    aside.rename(evidence)


def test_where_an_index_is_no_file_the_evidence_is_searched_until_it_is_moved_away(make_server):
    server = make_server(start=False)
    for name, make in (("index.db", os.mkfifo), ("tiles.db", os.mkdir)):
        make(server.folder / "logs/main" / name)
    server.start()
    line = '{"id":"one","time":"2026-11-20T10:00:00Z","action":"a"}\n'
    assert server.cli("append", "-", input=line, role="importer").returncode == 0
    found = server.cli("query", "action = a", "--output", "jsonl")
    assert (found.returncode, len(found.stdout.splitlines())) == (0, 1), found.stderr
    assert server.stop() == 0
    assert auditlog("check", str(server.folder)).returncode == 0


def test_who_loses_a_name_to_another_restore_is_told_that_it_exists(make_server, tmp_path):
    server, backup, target = make_server(start=False), str(tmp_path / "backup"), str(tmp_path / "restored")
    assert auditlog("backup", str(server.folder), backup).returncode == 0
    with ThreadPoolExecutor(2) as threads:
        won, lost = sorted(
            threads.map(lambda _: auditlog("backup", "restore", backup, target), range(2)),
            key=lambda done: done.returncode,
        )
    assert (won.returncode, lost.returncode, f"{target} exists" in lost.stderr) == (0, 2, True), (won, lost)


def test_a_head_that_is_no_file_is_said_as_such(make_server):
    server = make_server(start=False)
    head = server.folder / "logs/main/head"
    head.unlink()
    head.mkdir()
    said = auditlog("check", str(server.folder)).stdout
    assert "is no file: nothing says how many entries were signed for" in said
    assert "device refuses" not in said
    assert (
        "head: Is a directory; put the head back"
        in auditlog("serve", str(server.folder), "--listen", "127.0.0.1:0").stderr
    )
