"""A log whose evidence ends before what was signed is not served; its successor goes on, and says what is lost."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from auditd_client.verify import VerifierKey, open_checkpoint
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import Server
from tests.system.succession import MAIN, call, copied, first_event, leaves, listed, request, succeed

EVIDENCE = ("evidence.db", "evidence.db-wal")


@pytest.fixture(scope="module")
def lost(serve_folder, tmp_path_factory):
    """What is left where the disk lost the newest entries: `main` has three of five, one of which is proven.

    Beside it lie what others keep: checkpoints of three and five entries, a monitor's state of five, and what was lost.
    """
    server = serve_folder('format = 1\norigin = "audit.example.com"\n[limits]\nmax_event_age_s = 100000000\n')
    kept = tmp_path_factory.mktemp("kept")
    logs = server.folder / "logs"
    call(server, "Append", request("one"))
    server.kill()
    shutil.copytree(server.folder, kept / "one")
    server.start()
    call(server, "Append", request("two", "three"))
    (kept / "three").write_text(server.cli("checkpoint").stdout)
    server.kill()
    for log in ("main", "control"):
        (kept / log).mkdir()
        for name in (*EVIDENCE, "head"):
            shutil.copy(logs / log / name, kept / log / name)
    server.start()
    call(server, "Append", request("four"))
    call(server, "Append", request("five"))
    (kept / "five").write_text(server.cli("checkpoint").stdout)
    (kept / "vkey").write_text(listed(server)["main"]["verifier_key"])
    watch = ("--state", str(kept / "state"), "--known", str(kept / "five"), "--key", str(kept / "vkey"))
    assert server.cli("monitor", *watch, "--once", role="auditor").returncode == 0
    revoke = ("token", "revoke", "--issuer", "https://audit.example.com/local", "--sub")
    for subject in ("mallory", "trudy"):
        assert server.cli(*revoke, subject).returncode == 0
    server.stop()
    put_back(kept / "main", logs / "main")
    shutil.copytree(server.folder, kept / "folder")
    return kept


def put_back(older: Path, log: Path, names: tuple[str, ...] = EVIDENCE) -> None:
    for name in names:
        (log / name).unlink(missing_ok=True)
        shutil.copy(older / name, log / name)
    (log / "evidence.db-shm").unlink(missing_ok=True)


@pytest.fixture
def short(lost, make_server) -> Server:
    """A server on a copy of that folder; it does not run."""
    return copied(lost / "folder", make_server)


def hashes(server: Server, log: str = "main") -> dict[str, str]:
    files = [server.folder / "logs" / log / name for name in (*EVIDENCE, "head")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}


def test_it_is_not_served_and_the_command_that_goes_on_is_named(short):
    before = hashes(short)
    status, said = short.refuses_to_start()
    assert status == 2
    assert "entries 3 to 4 are missing" in said
    assert "auditlog log succeed DIR main --reason TEXT" in said
    assert short.check().returncode == 1
    assert hashes(short) == before


def test_the_successor_says_what_is_lost_and_the_evidence_stays_byte_for_byte(auditlog, short, lost):
    before = hashes(short)
    done = succeed(auditlog, short, reason="the disk lost it")
    assert done.returncode == 0, done.stderr
    assert f"{MAIN} is closed, after 1 entries; {MAIN}~2 goes on as main" in done.stdout
    assert "lost: entries 1 to 4" in done.stdout
    assert hashes(short) == before
    short.start()
    event = first_event(short)
    said, key = event["attributes"], VerifierKey.parse((lost / "vkey").read_text())
    assert (event["reason"], said["lost"]) == ("the disk lost it", {"first": 1, "last": 5})
    assert open_checkpoint(said["predecessor"]["checkpoint"], key).size == said["predecessor"]["size"] == 1
    three = open_checkpoint((lost / "three").read_text(), key)
    assert said["found"] == {"size": 3, "root": three.root.hex()}
    (closed,) = leaves(short, "--log", "control", "action = log.close")
    assert closed["event"]["attributes"]["lost"] == {"first": 1, "last": 5}
    call(short, "Append", request("two", "five", "six"))
    found = [leaf["event"].get("id") for leaf in leaves(short) if leaf["event"]["action"] == "user.read"]
    assert found == ["one", "two", "five", "six"]
    old = short.cli("prove", "0", "--log", "main~1", "--key", str(lost / "vkey"))
    assert old.returncode == 0, old.stderr
    assert short.cli("get", "1", "--log", "main~1").returncode == 2
    receipt = call(short, "Append", request("one")).receipts[0]
    assert (receipt.index, receipt.duplicate, receipt.earlier) == (0, True, 1)
    short.stop()
    assert hashes(short) == before


def test_a_checkpoint_that_someone_kept_proves_more_of_it(auditlog, short, lost):
    done = succeed(auditlog, short, "main", "--against", str(lost / "three"))
    assert done.returncode == 0, done.stderr
    assert "lost: entries 3 to 4" in done.stdout
    short.start()
    assert len(leaves(short, "--log", "main~1")) == 3
    assert "found" not in first_event(short)["attributes"]


def test_check_says_what_is_lost_and_is_content_unless_someone_holds_a_checkpoint_of_it(auditlog, short, lost):
    assert succeed(auditlog, short).returncode == 0
    for again in (False, True):
        if again:
            short.start()
            short.stop()
        done = short.check()
        assert done.returncode == 0, done.stdout
        assert "log main: that the entries 1 to 4 were as they are told: they are lost, as main~2 says" in done.stdout
        assert "log main: that its last 2 entries were changed" in done.stdout
    done = short.check("--against", str(lost / "five"))
    assert (done.returncode, "was signed for 5 entries; these are missing [TRUNCATED]" in done.stdout) == (1, True)
    assert short.check("--against", str(lost / "three")).returncode == 0


def test_a_monitor_with_an_older_checkpoint_says_that_entries_are_lost_and_keeps_both_notes(auditlog, short, lost):
    assert succeed(auditlog, short).returncode == 0
    short.start()
    state = shutil.copy(lost / "state", short.folder.parent / "state")
    watch = ("--state", str(state), "--key", str(lost / "vkey"), "--once")
    done = short.cli("monitor", *watch, role="auditor")
    assert done.returncode == 1, done.stderr
    assert "the log was closed after 1 entries, and had 5: entries 1 to 4 are lost" in done.stderr
    assert f"{MAIN}~2 goes on" in done.stderr
    (evidence,) = Path(f"{state}.evidence").iterdir()
    assert (evidence / "known").read_text() == (lost / "five").read_text()
    assert (evidence / "offered").read_text().startswith("auditd.v1/closing\n")


def test_what_was_shortened_again_after_it_was_closed_is_found(auditlog, short, lost):
    """The successor fixes where its predecessor ended: with less, or other entries, nothing is served."""
    assert succeed(auditlog, short, "main", "--against", str(lost / "three")).returncode == 0
    other = short.folder.parent / "other"
    fresh = Server.make(other)
    for name in ("evidence.db", "evidence.db-wal"):
        (short.folder / "logs/main" / name).unlink(missing_ok=True)
    shutil.copy(fresh.folder / "logs/main/evidence.db", short.folder / "logs/main/evidence.db")
    status, _ = short.refuses_to_start()
    assert status in {1, 2}
    assert short.check().returncode == 1


def test_a_log_that_contradicts_what_was_signed_is_not_closed(auditlog, short, lost, make_server):
    """Another history, signed with the real key, is a fork and no loss."""
    fork = copied(lost / "one", make_server)
    fork.start()
    call(fork, "Append", request("other", "another"))
    checkpoint = lost / "fork"
    checkpoint.write_text(fork.cli("checkpoint").stdout)
    fork.stop()
    done = succeed(auditlog, short, "main", "--against", str(checkpoint))
    assert (done.returncode, "this is a fork" in done.stderr) == (1, True), done.stderr
    assert not (short.folder / "logs/main~2").exists()


def test_control_goes_on_first_where_it_is_short_too(auditlog, short, lost):
    put_back(lost / "control", short.folder / "logs/control")
    done = succeed(auditlog, short)
    assert (done.returncode, "'control', in which this is recorded, has lost entries as well" in done.stderr) == (
        2,
        True,
    )
    before = hashes(short, "control")
    done = succeed(auditlog, short, "control")
    assert done.returncode == 0, done.stderr
    assert "lost: entries" in done.stdout
    assert hashes(short, "control") == before
    status, said = short.refuses_to_start()
    assert (status, "auditlog log succeed DIR main --reason TEXT" in said) == (2, True)
    assert succeed(auditlog, short).returncode == 0
    short.start()
    call(short, "Append", request("six"))
    short.stop()
    done = short.check()
    assert done.returncode == 0, done.stdout


@pytest.fixture
def alone(lost, short) -> Server:
    """The same, but its head was put back with the evidence: only the other logs know that it had five entries."""
    put_back(lost / "main", short.folder / "logs/main", (*EVIDENCE, "head"))
    return short


def test_a_log_put_back_with_its_head_is_closed_in_place_by_what_the_others_have_recorded(auditlog, alone, lost):
    before = hashes(alone)
    for said in (alone.refuses_to_start()[1], alone.check().stdout):
        assert "it had 5: it was put back alone" in said
        assert "lost for good: auditlog log succeed DIR main --reason TEXT" in said
    assert hashes(alone) == before
    done = succeed(auditlog, alone, reason="put back by mistake")
    assert done.returncode == 0, done.stderr
    assert f"{MAIN} is closed, after 3 entries" in done.stdout
    assert "lost: entries 3 to 4" in done.stdout
    assert hashes(alone) == before
    alone.start()
    event = first_event(alone)
    said, key = event["attributes"], VerifierKey.parse((lost / "vkey").read_text())
    assert (event["reason"], said["lost"]) == ("put back by mistake", {"first": 3, "last": 5})
    assert open_checkpoint(said["predecessor"]["checkpoint"], key).size == 3
    five = {"size": 5, "root": open_checkpoint((lost / "five").read_text(), key).root.hex()}
    assert said["told"] == [{"by": f"audit.example.com/{log}", **five} for log in ("access", "control")]
    call(alone, "Append", request("four", "six"))
    alone.stop()
    assert hashes(alone) == before
    done = alone.check()
    assert done.returncode == 0, done.stdout
    assert "the entries 3 to 4 were as they are told: they are lost" in done.stdout
    assert "[TRUNCATED]" in alone.check("--against", str(lost / "five")).stdout


def test_what_nothing_proves_of_a_log_put_back_is_not_signed_by_a_start_that_is_refused(auditlog, alone, lost):
    shutil.copy(lost / "one/logs/main/head", alone.folder / "logs/main/head")
    before = hashes(alone)
    alone.refuses_to_start()
    assert hashes(alone) == before
    done = succeed(auditlog, alone)
    assert (done.returncode, "lost: entries 1 to 4" in done.stdout) == (0, True), done.stderr


def test_a_log_that_is_another_than_the_others_have_recorded_is_not_closed(auditlog, alone, lost, make_server):
    fork = copied(lost / "one", make_server)
    fork.start()
    call(fork, "Append", request(*(f"other {number}" for number in range(6))))
    fork.stop()
    for name in (*EVIDENCE, "head"):
        (alone.folder / "logs/main" / name).unlink(missing_ok=True)
    for name in ("evidence.db", "head"):
        shutil.copy(fork.folder / "logs/main" / name, alone.folder / "logs/main" / name)
    done = succeed(auditlog, alone)
    assert (done.returncode, "are not those that log audit.example.com/" in done.stderr) == (1, True), done.stderr
    assert not (alone.folder / "logs/main~2").exists()


def test_entries_that_nothing_proves_are_held_against_what_was_found_at_the_closing(auditlog, short, lost):
    """They count as lost, and the successor has their root: who changes or removes them afterwards is found."""
    assert succeed(auditlog, short).returncode == 0
    evidence = short.folder / "logs/main/evidence.db"
    with sqlite3.connect(evidence) as db:
        db.execute("DROP TRIGGER entries_delete")
        db.execute("DELETE FROM entries WHERE idx = 2")
    assert "3 entries were found when it was closed, and it has 2 [CHAIN_BROKEN]" in short.check().stdout
    with sqlite3.connect(evidence) as db:
        db.execute("INSERT INTO entries SELECT 2, randomblob(16), leaf FROM entries WHERE idx = 1")
    db.close()
    found = "its first 3 entries are not those that were found when it was closed [CHAIN_BROKEN]"
    assert found in short.check().stdout


def test_the_same_command_again_makes_no_second_successor(auditlog, short):
    assert succeed(auditlog, short).returncode == 0
    done = succeed(auditlog, short)
    assert (done.returncode, "was closed before" in done.stdout) == (0, True), done.stderr
    assert not (short.folder / "logs/main~3").exists()


def test_it_is_rotated_backed_up_and_backed_up_by_increments_like_any_other(auditlog, short, tmp_path):
    assert succeed(auditlog, short).returncode == 0
    first, increment, whole = (str(tmp_path / name) for name in ("first", "increment", "whole"))
    assert auditlog("backup", str(short.folder), first, "--with-keys").returncode == 0
    short.start()
    call(short, "Append", request("six"))
    short.stop()
    done = auditlog("backup", str(short.folder), increment, "--since", first, "--with-keys")
    assert done.returncode == 0, done.stderr
    done = auditlog("backup", "join", first, increment, whole)
    assert done.returncode == 0, done.stderr
    assert succeed(auditlog, short).returncode == 0
    short.start()
    found = [leaf["event"].get("id") for leaf in leaves(short) if leaf["event"]["action"] == "user.read"]
    assert found == ["one", "six"]
    call(short, "Query", pb.QueryRequest(log="main"))
