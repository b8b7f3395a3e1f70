"""The server folder: who may look into it, and what lies in it that is none of its logs."""

from __future__ import annotations

from tests.system.conftest import ORIGIN, after, auditlog


def test_init_makes_it_for_its_owner_alone(tmp_path):
    folder = tmp_path / "new" / "server"
    assert auditlog("init", str(folder), "--origin", ORIGIN).returncode == 0
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "keys")] == ["0o700", "0o700"]


def test_a_folder_that_was_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o750)
    assert auditlog("init", str(tmp_path), "--origin", ORIGIN).returncode == 0
    assert oct(tmp_path.stat().st_mode & 0o777) == "0o750"


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
