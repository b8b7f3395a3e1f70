"""`auditlog monitor`: what it demands of a log, and what it keeps when the log contradicts itself."""

from __future__ import annotations

import base64
import json

import grpc
import pytest

ORIGIN = "audit.example.com/main"


@pytest.fixture
def watched(connected, auditlog, monkeypatch):
    """A log of three entries, and how to record more of them."""
    monkeypatch.setenv("AUDITLOG_KEY", connected.tree.vkey)

    def record(*numbers):
        lines = "".join(f'{{"id":"e-{n}","time":"2026-11-20T10:00:00Z","action":"a"}}\n' for n in numbers)
        assert auditlog("append", "-", stdin=lines, env={"AUDITLOG_KEY": ""}).exit_code == 0

    connected.record = record
    record(0, 1, 2)
    return connected


@pytest.fixture
def poll(auditlog):
    def run(*options):
        result = auditlog("monitor", "--state", "state", "--once", "--output", "jsonl", *options)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return result, lines[-1] if lines else {}

    return run


def kept(tmp_path):
    """The files of the evidence, by name."""
    (folder,) = (tmp_path / "state.evidence").iterdir()
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_begins_with_the_checkpoint_it_finds_and_follows_it(watched, poll, tmp_path):
    result, line = poll()
    assert result.exit_code == 0
    assert (line["status"], line["origin"], line["size"]) == ("started", ORIGIN, 3)
    assert (line["entries_from"], line["entries_to"]) == (3, 3)
    watched.record(3, 4)
    _, line = poll()
    assert (line["status"], line["size"], line["new"], line["entries"]) == ("extended", 5, 2, "verified")
    assert (line["entries_from"], line["entries_to"]) == (3, 5)
    assert base64.b64decode(line["root"]) == watched.tree.root(0, 5)
    assert poll()[1]["status"] == "unchanged"
    assert json.loads((tmp_path / "state").read_text())["checkpoint"] == watched.tree.note()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "state.evidence").exists()


def test_verifies_all_entries_if_asked_to(watched, poll):
    assert poll("--from-start")[1]["entries_to"] == 3
    (request,) = watched.sent("Query")
    assert request.filter == "index >= 0 AND index < 3"


def test_begins_with_a_checkpoint_from_elsewhere(watched, poll, tmp_path):
    (tmp_path / "receipt").write_text(watched.tree.note(2))
    _, line = poll("--known", "receipt")
    assert (line["status"], line["new"], line["entries_from"], line["entries_to"]) == ("extended", 1, 2, 3)


def test_an_empty_log_is_followed_too(connected, poll, monkeypatch):
    monkeypatch.setenv("AUDITLOG_KEY", connected.tree.vkey)
    assert poll()[1]["size"] == 0
    assert poll()[1]["status"] == "unchanged"


def test_says_it_in_words_too(watched, auditlog):
    result = auditlog("monitor", "--state", "state", "--once")
    assert result.stdout.split("  ")[1:] == ["started", "size 3", "entries 3 up to 3 verified\n"]


def refused(result, line, tmp_path, *, files):
    assert result.exit_code == 1
    assert line["status"] == "contradiction"
    assert "keep the evidence in state.evidence/contradiction-" in result.stderr
    found = kept(tmp_path)
    assert sorted(found) == sorted(files)
    return found


def test_a_fork_is_a_contradiction_and_both_notes_and_the_proof_are_kept(watched, poll, auditlog, tmp_path):
    poll()
    known = watched.tree.note()
    watched.reset()
    watched.record(7, 8, 9, 10)
    result, line = poll()
    found = refused(result, line, tmp_path, files=("known", "offered", "proof", "proof.json", "reason"))
    assert (found["known"], found["offered"]) == (known, watched.tree.note())
    assert found["proof"].split() == [digest.hex() for digest in watched.tree.consistency(3, 0, 4)]
    assert "does not extend the one of size 3" in found["reason"]
    folder = next((tmp_path / "state.evidence").iterdir())
    assert auditlog("verify", folder / "known", folder / "offered").exit_code == 0
    assert auditlog("verify", folder / "proof.json").exit_code == 1
    assert json.loads((tmp_path / "state").read_text())["checkpoint"] == known
    assert poll()[0].exit_code == 1
    assert len(list((tmp_path / "state.evidence").iterdir())) == 1


def test_another_tree_of_the_same_size_is_a_contradiction(watched, poll, auditlog, tmp_path):
    poll()
    watched.reset()
    watched.record(7, 8, 9)
    refused(*poll(), tmp_path, files=("known", "offered", "proof.json", "reason"))
    assert auditlog("verify", next((tmp_path / "state.evidence").iterdir()) / "proof.json").exit_code == 1


def test_a_log_that_is_rolled_back_is_a_contradiction(watched, poll, tmp_path):
    poll()
    watched.reset()
    watched.record(0)
    found = refused(*poll(), tmp_path, files=("known", "offered", "proof.json", "reason"))
    assert found["offered"].split("\n")[1] == "1"


@pytest.mark.parametrize("size", [2, 4])
def test_another_size_with_the_same_root_is_a_contradiction(watched, poll, tmp_path, monkeypatch, size):
    poll()
    root = watched.tree.root(0, 3)
    monkeypatch.setattr(watched.tree, "root", lambda start, end: root)
    monkeypatch.setattr(watched.tree, "consistency", lambda *_: [bytes(32)] * 2)
    lie = watched.tree.note(size)
    monkeypatch.setattr(watched.tree, "note", lambda *_: lie)
    result, line = poll()
    assert (result.exit_code, line["status"]) == (1, "contradiction")
    assert kept(tmp_path)["offered"] == lie


def test_a_checkpoint_of_another_key_is_a_contradiction(watched, poll, tmp_path, monkeypatch):
    poll()
    monkeypatch.setattr(watched.tree, "note", lambda *_: "audit.example.com/main\n9\nAAAA\n\n\u2014 x AAAA\n")
    found = refused(*poll(), tmp_path, files=("known", "offered", "reason"))
    assert "not one of this log" in found["reason"]


def test_entries_that_do_not_give_the_root_are_a_contradiction(watched, poll, tmp_path):
    poll()
    watched.record(3, 4)
    watched.leaves[4] = watched.leaves[4].replace(b'"a"', b'"b"')
    found = refused(*poll(), tmp_path, files=("known", "offered", "proof", "reason"))
    assert "the entries 3 up to 5 are not those of the checkpoint of size 5" in found["reason"]
    assert poll()[0].exit_code == 1
    assert poll("--entries", "never")[0].exit_code == 0


def test_an_entry_that_is_left_out_is_a_contradiction(watched, poll, tmp_path):
    poll()
    watched.record(3, 4, 5)
    watched.leaves[3:5] = [watched.leaves[4], watched.leaves[4]]
    assert poll()[0].exit_code == 1
    assert "4" in kept(tmp_path)["reason"]


def test_a_token_that_may_not_read_still_follows_the_checkpoints(watched, poll, service):
    poll()
    watched.record(3)
    refusal = service.Failure(grpc.StatusCode.PERMISSION_DENIED, "not allowed", "PERMISSION_DENIED")
    watched.fail(None, refusal)
    result, line = poll()
    assert (result.exit_code, line["status"], line["entries"]) == (0, "extended", "not permitted")
    watched.fail(None, refusal)
    result, line = poll("--entries", "always")
    assert (result.exit_code, line["status"]) == (3, "failed")
    result, line = poll()
    assert (line["status"], line["entries_to"]) == ("unchanged", 4)


def test_a_server_that_does_not_answer_is_no_contradiction(watched, poll):
    poll()
    result, line = poll("--address", "127.0.0.1:1", "--timeout", "1")
    assert (result.exit_code, line["status"], line["size"]) == (3, "failed", 3)
    assert "no server answers" in line["message"]


def test_the_token_is_read_from_its_file_at_each_poll(watched, auditlog, tmp_path, monkeypatch):
    monkeypatch.delenv("AUDITLOG_TOKEN")
    (tmp_path / "token").write_text("token-2")
    for expected in ("token-2", "token-3"):
        (tmp_path / "token").write_text(expected)
        auditlog("monitor", "--state", "state", "--once", "--token-file", "token")
        assert watched.calls[-1].metadata["authorization"] == f"Bearer {expected}"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("", "no state of a monitor of this log"),
        ("{}", "no state of a monitor of this log, or damaged: has no 'v'"),
        ('{"v":2}', "version 2, expected 1"),
        ('{"v":1,"checkpoint":"x","entries":[0,0]}', "no state of a monitor of this log"),
        ("[" * 100_000, "no state of a monitor of this log"),
    ],
)
def test_a_state_that_cannot_be_read_is_never_begun_anew(watched, poll, tmp_path, state, message):
    (tmp_path / "state").write_text(state)
    result, _ = poll()
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--known" in result.stderr
    assert (tmp_path / "state").read_text() == state


def test_needs_a_key_and_a_folder_that_can_be_written(watched, poll, auditlog, monkeypatch):
    result = auditlog("monitor", "--state", "no/such/state", "--once")
    assert (result.exit_code, result.stderr) == (2, "auditlog: no/such/state.lock: No such file or directory\n")
    monkeypatch.delenv("AUDITLOG_KEY")
    result, _ = poll()
    assert result.stderr == "auditlog: monitor: give --key: without the log's key nothing can be verified\n"


def test_evidence_that_cannot_be_written_is_said_instead(watched, poll, tmp_path):
    poll()
    known = watched.tree.note()
    watched.reset()
    watched.record(7, 8, 9, 10)
    (tmp_path / "file").write_text("")
    result, _ = poll("--evidence", "file")
    assert result.exit_code == 1
    assert "the evidence cannot be written" in result.stderr
    assert known.split("\n")[2] in result.stderr
