"""A log is closed and its successor goes on: on purpose, or where a restored log has lost entries."""

# ruff: noqa: F811 -- fixtures are imported, and then arguments

from __future__ import annotations

import json
import re
import shutil
import stat

import grpc
import pytest

from auditd.errors import RequestError
from auditd.log import open_closing
from auditd.note import VerifierKey
from auditd.server import load_config, succeed_log
from auditd_client.verify import VerificationError, open_checkpoint, verify_entry
from auditd_client.verify import VerifierKey as ClientKey
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.succession import (  # noqa: F401 -- fixtures
    MAIN,
    call,
    copied,
    first_event,
    leaves,
    listed,
    request,
    rotated,
    succeed,
    two_entries,
    whole,
)
from tests.system.test_restore import append, checkpoint, lost, restored, resume  # noqa: F401 -- fixtures


def test_the_first_entry_of_the_successor_ties_both_logs_together(rotated):
    logs = {log.name: log for log in call(rotated, "ListLogs", pb.ListLogsRequest()).logs}
    assert (logs["main"].origin, logs["main~1"].origin) == (f"{MAIN}~2", MAIN)
    assert (logs["main"].successor, logs["main~1"].successor) == ("", f"{MAIN}~2")
    entry = json.loads(call(rotated, "Get", pb.GetRequest(log="main", index=0)).entry.leaf)
    assert (entry["log"], entry["caller"]["kind"]) == (f"{MAIN}~2", "server")
    event = entry["event"]
    assert (event["action"], event["reason"]) == ("log.succeed", "a new year")
    said = event["attributes"]
    assert (said["predecessor"]["origin"], said["predecessor"]["size"], "lost" in said) == (MAIN, 3, False)
    closed = open_checkpoint(said["predecessor"]["checkpoint"], ClientKey.parse(rotated.vkey))
    assert closed.size == 3
    closing = open_closing(said["closing"], VerifierKey.parse(rotated.vkey))
    assert (closing.size, closing.root, closing.successor_key) == (3, closed.root, logs["main"].verifier_key)
    assert logs["main~1"].closing == said["closing"]


def test_the_closure_is_recorded_in_control(rotated):
    (entry,) = leaves(rotated, "--log", "control", "action = log.close")
    said = entry["event"]["attributes"]
    assert (said["origin"], said["size"], said["successor"]["origin"]) == (MAIN, 3, f"{MAIN}~2")
    assert entry["event"]["reason"] == "a new year"


def test_the_new_key_is_private_and_another_one(rotated):
    file = rotated.folder / "keys/main~2.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() != (rotated.folder / "keys/main.pem").read_bytes()


def test_a_retry_gets_the_receipt_of_the_closed_log_and_makes_no_second_entry(rotated):
    before = call(rotated, "GetCheckpoint", pb.GetCheckpointRequest(log="main")).checkpoint
    answer = call(rotated, "Append", request("two", return_leaves=True, include_proofs=True))
    assert call(rotated, "GetCheckpoint", pb.GetCheckpointRequest(log="main")).checkpoint == before
    (receipt,) = answer.receipts
    assert (receipt.index, receipt.duplicate, receipt.earlier) == (1, True, 1)
    closed = open_checkpoint(answer.earlier_checkpoints[0], ClientKey.parse(rotated.vkey))
    verify_entry(receipt.leaf, receipt.index, receipt.inclusion_proof, closed)
    with pytest.raises(VerificationError):
        open_checkpoint(answer.checkpoint, ClientKey.parse(rotated.vkey))


def test_new_events_go_to_the_newest_log_also_beside_retries(rotated):
    answer = call(rotated, "Append", request("three", "four", "one", include_proofs=True, return_leaves=True))
    told = [(receipt.index, receipt.duplicate, receipt.earlier) for receipt in answer.receipts]
    assert told == [(2, True, 1), (1, False, 0), (0, True, 1)]
    logs = {log.name: log for log in call(rotated, "ListLogs", pb.ListLogsRequest()).logs}
    newest = open_checkpoint(answer.checkpoint, ClientKey.parse(logs["main"].verifier_key))
    new = answer.receipts[1]
    verify_entry(new.leaf, new.index, new.inclusion_proof, newest)


def test_a_name_of_the_closed_log_with_another_event_is_refused_and_the_entry_named(rotated):
    with pytest.raises(grpc.RpcError) as caught:
        call(rotated, "Append", request("new", "two", action="user.delete"))
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert f"is recorded as entry 1 of {MAIN}; events[1].action differs" in caught.value.details()
    assert leaves(rotated, 'id = "new"') == []


@pytest.mark.parametrize("restarted", [False, True], ids=["", "also after a restart"])
def test_a_closed_log_accepts_nothing_and_names_its_successor(rotated, restarted):
    if restarted:
        rotated.kill()
        rotated.start()
    with pytest.raises(grpc.RpcError) as caught:
        call(rotated, "Append", request("five", log="main~1"))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert f"its successor {MAIN}~2 goes on" in caught.value.details()
    done = rotated.cli("append", "--log", "main~1", "--action", "a.b", "--actor-id", "x")
    assert (done.returncode, "LOG_SUCCEEDED" in done.stderr) == (2, True)


def test_a_closed_log_is_read_and_proven_and_both_verify_offline(rotated, auditlog, tmp_path):
    logs = {log.name: log.verifier_key for log in call(rotated, "ListLogs", pb.ListLogsRequest()).logs}
    for name, index in (("main~1", "2"), ("main", "0"), ("main~2", "0")):
        bundle = tmp_path / name
        assert rotated.cli("prove", index, "--log", name, "-o", str(bundle)).returncode == 0
        key = logs["main~1" if name == "main~1" else "main"]
        done = auditlog("verify", str(bundle), "--key", key)
        assert done.returncode == 0, done.stderr
    assert rotated.cli("get", "2", "--log", "main~1").returncode == 0
    assert "\n3\n" in checkpoint(rotated, "main~1")


def test_no_log_has_a_place_beyond_the_chain(rotated):
    for name in ("main~3", "main~0", "main~", "main~x", "main~01", "~1"):
        done = rotated.cli("checkpoint", "--log", name)
        assert (done.returncode, "LOG_NOT_FOUND" in done.stderr) == (2, True), name


def test_check_finds_the_chain_sound_also_against_a_checkpoint_of_each_log(rotated, tmp_path):
    flags = []
    for name in ("main~1", "main"):
        (tmp_path / name).write_text(checkpoint(rotated, name))
        flags += ["--against", str(tmp_path / name)]
    done = rotated.check(*flags)
    assert done.returncode == 0, done.stdout
    assert "main~2" in done.stdout
    alone = rotated.check("--against", str(tmp_path / "main"))
    assert "log main: a history rewritten" not in alone.stdout


def test_a_chain_grows_and_names_are_looked_up_through_all_of_it(auditlog, whole):
    assert succeed(auditlog, whole).returncode == 0
    whole.start()
    call(whole, "Append", request("three"))
    whole.stop()
    done = succeed(auditlog, whole, "main~2")
    assert "main~3 goes on as main~2" not in done.stdout
    assert done.returncode == 0, done.stderr
    whole.start()
    answer = call(whole, "Append", request("two", "three", "four", "one"))
    told = [(receipt.index, receipt.earlier) for receipt in answer.receipts]
    assert told == [(1, 1), (1, 2), (1, 0), (0, 1)]
    assert [note.split("\n")[0] for note in answer.earlier_checkpoints] == [MAIN, f"{MAIN}~2"]
    whole.stop()
    assert whole.check().returncode == 0
    done = auditlog("backup", str(whole.folder), str(whole.folder) + "-copy")
    assert done.returncode == 0, done.stderr


def test_control_and_access_are_rotated_as_well_and_what_control_decides_holds(auditlog, whole):
    whole.start()
    revoke = ["token", "revoke", "--issuer", "https://audit.example.com/local", "--sub"]
    assert whole.cli(*revoke, "mallory").returncode == 0
    whole.stop()
    for name in ("control", "access"):
        done = succeed(auditlog, whole, name)
        assert done.returncode == 0, done.stderr
    whole.start()
    refused = whole.cli("query", env={"AUDITLOG_TOKEN": whole.token("admin", subject="mallory")})
    assert refused.returncode == 3
    assert whole.cli(*revoke, "trudy").returncode == 0
    assert leaves(whole, "--log", "control", "action = log.succeed")
    known = json.loads(whole.cli("token", "revocations", "--output", "json").stdout)
    first, second = sorted(revocation["index"] for revocation in known)
    whole.stop()
    whole.start()
    again = json.loads(whole.cli("token", "revocations", "--output", "json").stdout)
    assert sorted(revocation["index"] for revocation in again) == [first, second]
    assert whole.cli("token", "restore", str(second)).returncode == 0
    assert whole.cli("query", "--log", "access~1", role="auditor").returncode == 0
    assert whole.cli("query", "--log", "access~1", role="reader").returncode == 3
    whole.stop()
    assert whole.check().returncode == 0


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("nothing", "why", "no log is named 'nothing'; there are access, control, main"),
        ("main~2", "why", "has no log 'main~2'"),
        ("../main", "why", "no log is named '../main'"),
        ("main", "", "reason: is empty"),
        ("main", " ", "reason: is empty"),
        ("main", "x" * 1_025, "reason: 1025 bytes, limit 1024"),
        ("main", "\x1b[2Jboo", "holds characters that cannot be printed"),
        ("main", "evil \u202e txt", "holds characters that cannot be printed"),
        ("main", "a\nb", "holds characters that cannot be printed"),
    ],
)
def test_what_is_asked_wrongly_is_refused_and_nothing_changes(two_entries, name, reason, said):
    with pytest.raises(RequestError, match=re.escape(said)):
        succeed_log(load_config(two_entries), name, reason, {})
    assert sorted(path.name for path in (two_entries / "logs").iterdir()) == ["access", "control", "main"]
    assert not (two_entries / "keys/main~2.pem").exists()


def test_on_the_command_line_that_is_one_line_without_control_characters_and_status_2(auditlog, whole):
    done = succeed(auditlog, whole, "no\x1b[2J", reason="why")
    assert (done.returncode, len(done.stderr.splitlines()), "\x1b" in done.stderr) == (2, 1, False)


def test_a_log_that_is_closed_is_not_closed_again(auditlog, whole):
    assert succeed(auditlog, whole).returncode == 0
    done = succeed(auditlog, whole, "main~1")
    assert (done.returncode, f"its successor is {MAIN}~2" in done.stderr) == (2, True)


def test_nothing_is_closed_under_a_running_server(auditlog, rotated):
    done = succeed(auditlog, rotated)
    assert (done.returncode, "is in use by process" in done.stderr) == (2, True)


def test_a_checkpoint_of_another_log_says_nothing(auditlog, lost, restored):
    assert resume(auditlog, restored, lost / "control", lost / "access").returncode == 0
    done = succeed(auditlog, restored, "main", "--against", str(lost / "access"))
    assert (done.returncode, "says nothing of audit.example.com/main" in done.stderr) == (2, True)
    done = succeed(auditlog, restored)
    assert (done.returncode, "give the newest checkpoint known" in done.stderr) == (2, True)


def test_a_restored_log_that_is_short_goes_on_and_says_what_is_lost(auditlog, lost, restored, tmp_path):
    done = succeed(auditlog, restored, "main", "--against", str(lost / "newer-main"))
    assert (done.returncode, "have it go on first" in done.stderr) == (2, True)
    assert resume(auditlog, restored, lost / "control").returncode == 0
    for name in ("access", "main"):
        done = succeed(auditlog, restored, name, "--against", str(lost / f"newer-{name}"), reason="the disk broke")
        assert done.returncode == 0, done.stderr
    assert "lost: entries 5 to 7" in done.stdout
    restored.start()
    said = first_event(restored)
    assert (said["reason"], said["attributes"]["lost"]) == ("the disk broke", {"first": 5, "last": 8})
    assert said["attributes"]["against"][0]["size"] == 8
    assert append(restored, 1).returncode == 0
    assert len(leaves(restored, "--log", "main~1")) == 5
    restored.stop()
    done = restored.check()
    assert done.returncode == 0, done.stdout
    done = resume(auditlog, restored, lost / "main")
    assert "no log of it waits to be resumed" in done.stderr


def test_a_log_that_contradicts_a_checkpoint_is_a_fork_and_is_not_closed(auditlog, lost, restored, tmp_path):
    (restored.folder / "logs/main/restored").unlink()
    assert resume(auditlog, restored, lost / "control", lost / "access").returncode == 0
    restored.start()
    assert append(restored, 4).returncode == 0
    restored.stop()
    done = succeed(auditlog, restored, "main", "--against", str(lost / "newer-main"))
    assert (done.returncode, "this is a fork" in done.stderr) == (1, True)
    assert not (restored.folder / "logs/main~2").exists()


def test_a_closed_log_that_went_on_is_found_and_not_served(auditlog, whole, make_server):
    other = copied(whole.folder, make_server)
    other.start()
    call(other, "Append", request("other"))
    other.stop()
    assert succeed(auditlog, whole).returncode == 0
    shutil.rmtree(whole.folder / "logs/main")
    shutil.copytree(other.folder / "logs/main", whole.folder / "logs/main")
    done = whole.check()
    assert done.returncode == 1
    assert "CHAIN_BROKEN" in done.stdout
    assert "it was closed after 2 entries and has 3" in done.stdout
    status, said = whole.refuses_to_start()
    assert (status, "it was closed after 2 entries and has 3" in said) == (1, True)


def test_a_successor_of_another_key_is_found(auditlog, whole, make_server):
    other = copied(whole.folder, make_server)
    for server in (whole, other):
        assert succeed(auditlog, server).returncode == 0
    shutil.rmtree(whole.folder / "logs/main~2")
    shutil.copytree(other.folder / "logs/main~2", whole.folder / "logs/main~2")
    shutil.copy(other.folder / "keys/main~2.pem", whole.folder / "keys/main~2.pem")
    done = whole.check()
    assert done.returncode == 1
    assert "does not say of audit.example.com/main what control has recorded of its end" in done.stdout


def test_a_successor_that_is_missing_is_found_and_its_log_not_opened_again(auditlog, whole):
    assert succeed(auditlog, whole).returncode == 0
    shutil.rmtree(whole.folder / "logs/main~2")
    status, said = whole.refuses_to_start()
    assert (status, f"{MAIN}~2" in said) == (2, True), said
    done = whole.check()
    assert (done.returncode, "LOG_MISSING" in done.stdout) == (1, True)


def test_the_key_of_the_successor_is_learned_offline_from_what_the_closed_log_signed(rotated, auditlog, tmp_path):
    logs = listed(rotated)
    assert (logs["main~1"]["successor"], "closing" in logs["main"]) == (f"{MAIN}~2", False)
    assert rotated.cli("logs").stdout.split()[4] == "successor"
    (tmp_path / "closing").write_text(logs["main~1"]["closing"])
    done = auditlog("verify", str(tmp_path / "closing"), "--key", rotated.vkey, "--output", "jsonl")
    said = json.loads(done.stdout)
    assert (said["kind"], said["size"], said["successor_key"]) == ("closing", 3, logs["main"]["verifier_key"])
    assert auditlog("verify", str(tmp_path / "closing"), "--key", logs["main"]["verifier_key"]).returncode == 1
    (tmp_path / "closing").write_text(logs["main~1"]["closing"].replace("/main 3 ", "/main 2 "))
    assert auditlog("verify", str(tmp_path / "closing"), "--key", rotated.vkey).returncode == 1


def test_a_monitor_says_that_its_log_was_closed_and_names_the_successor(rotated, tmp_path):
    flags = ("--state", str(tmp_path / "state"), "--key", rotated.vkey, "--from-start", "--output", "jsonl")
    done = rotated.cli("monitor", *flags, "--interval", "0.05", role="auditor")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["size"], said["entries_to"]) == ("closed", 3, 3)
    assert f"{MAIN}~2 goes on, monitor it with the key {listed(rotated)['main']['verifier_key']}" in said["message"]
    newest = ("--state", str(tmp_path / "newest"), "--key", listed(rotated)["main"]["verifier_key"], "--once")
    assert rotated.cli("monitor", *newest, "--from-start", role="auditor").returncode == 0


def test_a_chain_is_backed_up_restored_and_resumed_by_its_newest_logs(auditlog, whole, make_server, tmp_path):
    assert succeed(auditlog, whole).returncode == 0
    whole.start()
    call(whole, "Append", request("three"))
    flags = []
    for name in ("main", "control", "access"):
        (tmp_path / name).write_text(checkpoint(whole, name))
        flags += ["--against", str(tmp_path / name)]
    whole.stop()
    assert auditlog("backup", str(whole.folder), str(tmp_path / "backup"), "--with-keys").returncode == 0
    again = make_server(start=False)
    shutil.rmtree(again.folder)
    assert auditlog("backup", "restore", str(tmp_path / "backup"), str(again.folder)).returncode == 0
    done = auditlog("log", "resume", str(again.folder), *flags)
    assert (done.returncode, "main: 2 entries, nothing missing up to 2" in done.stdout) == (0, True), done.stderr
    again.start()
    answer = call(again, "Append", request("one", "three", "four"))
    assert [(receipt.index, receipt.earlier) for receipt in answer.receipts] == [(0, 1), (1, 0), (2, 0)]
    assert auditlog("check", str(again.folder), "--indexes").returncode == 0
