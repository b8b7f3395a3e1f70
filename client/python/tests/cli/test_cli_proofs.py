"""`auditlog prove` and `auditlog verify`: what an auditor does, and what an attacker might hand them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from auditd_client.verify import verify_bundle, verify_consistency

TIME = "2026-11-24T00:26:13.1Z"


@pytest.fixture
def log(connected, connect):
    """A log of five entries."""
    connect().append([{"id": str(n), "time": TIME, "action": f"a.{n}"} for n in range(5)])
    return connected


@pytest.fixture
def bundle(log, auditlog, tmp_path):
    """A bundle for entry 3."""
    assert auditlog("prove", "3", "-o", "entry.tlog-proof").exit_code == 0
    return tmp_path / "entry.tlog-proof"


def test_writes_a_bundle_that_verifies(log, bundle):
    verified = verify_bundle(bundle.read_bytes(), log.tree.vkey)
    assert verified.leaf.raw == log.leaves[3]


def test_verifies_before_it_writes_if_it_has_the_key(log, auditlog, tmp_path):
    log.leaves[3] = log.leaves[3].replace(b"a.3", b"a.9")
    result = auditlog("prove", "3", "-o", "bad.tlog-proof", "--key", log.tree.vkey)
    assert result.exit_code == 1
    assert "inclusion proof of entry 3" in result.stderr
    assert list(tmp_path.glob("*bad*")) == []


def test_refuses_a_proof_that_its_checkpoint_does_not_cover(log, auditlog, tmp_path, monkeypatch):
    older = log.tree.note(4)
    monkeypatch.setattr(log.tree, "note", lambda: older)
    result = auditlog("prove", "3", "-o", "bad.tlog-proof", "--key", log.tree.vkey)
    assert result.exit_code == 1
    assert "inclusion proof of entry 3" in result.stderr
    assert list(tmp_path.glob("*bad*")) == []


def test_says_whether_the_bundle_was_verified(log, auditlog):
    result = auditlog("prove", "3", "-o", "b", "--key", log.tree.vkey)
    assert (result.stdout, result.stderr) == ("", "b: entry 3 in a tree of 5, verified\n")
    result = auditlog("prove", "3", "-o", "c")
    assert result.stderr == "c: entry 3 in a tree of 5, not verified, for want of --key\n"


def test_writes_to_stdout_unless_told_otherwise(log, auditlog, bundle):
    for arguments in ([], ["-o", "-"]):
        assert auditlog("prove", "3", *arguments).stdout_bytes == bundle.read_bytes()


def test_proves_an_event_by_its_name(log, auditlog, bundle):
    result = auditlog("prove", "--event-name", "https://idp.example.com", "svc", "3", TIME)
    assert result.stdout_bytes == bundle.read_bytes()


def test_proves_that_one_tree_extends_another(log, auditlog):
    for arguments, newer in ((["2"], 5), (["2", "4"], 4)):
        proof = json.loads(auditlog("prove", "--consistency", *arguments).stdout)
        assert (proof["from_size"], proof["to_size"]) == (2, newer)
        hashes = [base64.b64decode(value) for value in proof["hashes"]]
        verify_consistency(2, newer, log.tree.root(0, 2), log.tree.root(0, newer), hashes)
        assert proof["checkpoint"] == log.tree.note()


def test_proves_a_range_whole(log, auditlog, tmp_path):
    result = auditlog("prove", "1..4", "-o", "entries.range", "--key", log.tree.vkey)
    assert (result.exit_code, result.stderr) == (0, "entries.range: entries 1 up to 4 in a tree of 5, verified\n")
    assert (tmp_path / "entries.range").read_bytes().endswith(b"\n\n" + b"".join(x + b"\n" for x in log.leaves[1:4]))
    assert auditlog("prove", "1..4").stdout_bytes == (tmp_path / "entries.range").read_bytes()
    result = auditlog("verify", "entries.range", "--key", log.tree.vkey)
    assert (result.exit_code, result.stdout) == (
        0,
        "entries.range: verified range: first 1, last 4, origin audit.example.com/main, tree_size 5, "
        "recorded_from 2026-11-24T00:26:13.123456Z, recorded_to 2026-11-24T00:26:13.123456Z\n",
    )


def test_verifies_a_range_from_a_pipe(log, auditlog):
    data = auditlog("prove", "0..5").stdout_bytes
    assert auditlog("verify", "-", "--key", log.tree.vkey, stdin=data).exit_code == 0


def test_writes_no_range_with_a_changed_leaf(log, auditlog, tmp_path):
    log.leaves[2] = log.leaves[2].replace(b"a.2", b"a.9")
    for out in ([], ["-o", "entries.range"]):
        result = auditlog("prove", "1..4", "--key", log.tree.vkey, *out)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "expected root" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_writes_no_range_that_the_server_cuts_short(log, auditlog, tmp_path):
    log.leaves.pop()
    result = auditlog("prove", "1..5", "-o", "entries.range")
    assert result.exit_code == 1
    assert result.stderr == "auditlog: prove: the server left out entry 4 of the range\n"
    assert list(tmp_path.iterdir()) == []


def test_a_kept_checkpoint_makes_a_consistency_proof_that_verifies_alone(log, auditlog, tmp_path):
    (tmp_path / "monday").write_text(log.tree.note(2))
    result = auditlog("prove", "--consistency", "monday", "-o", "since", "--key", log.tree.vkey)
    assert (result.exit_code, result.stderr) == (0, "since: the tree of 5 extends that of 2, verified\n")
    result = auditlog("verify", "since", "--key", log.tree.vkey)
    roots = [log.tree.root(0, size).hex() for size in (2, 5)]
    assert result.stdout == (
        "since: verified consistency: origin audit.example.com/main, from_size 2, to_size 5, "
        f"from_root {roots[0]}, to_root {roots[1]}\n"
    )
    (tmp_path / "tuesday").write_text(log.tree.note(4))
    assert auditlog("prove", "--consistency", "monday", "tuesday", "-o", "both", "--key", log.tree.vkey).exit_code == 0
    assert auditlog("verify", "both", "--key", log.tree.vkey).exit_code == 0


def test_a_consistency_proof_of_sizes_verifies_beside_their_checkpoints(log, auditlog, tmp_path):
    (tmp_path / "older").write_text(log.tree.note(2))
    (tmp_path / "newer").write_text(log.tree.note(4))
    result = auditlog("prove", "--consistency", "2", "4", "-o", "proof", "--key", log.tree.vkey)
    assert result.stderr == (
        "proof: the tree of 4 extends that of 2, not verified, for want of the checkpoint of size 2\n"
    )
    result = auditlog("verify", "proof", "--key", log.tree.vkey)
    assert result.exit_code == 1
    assert "checkpoint of size: expected 2" in result.stderr
    assert auditlog("verify", "proof", "older", "newer", "--key", log.tree.vkey).exit_code == 0
    data = json.loads((tmp_path / "proof").read_text())
    data["hashes"][0] = base64.b64encode(bytes(32)).decode()
    (tmp_path / "proof").write_text(json.dumps(data))
    result = auditlog("verify", "older", "proof", "newer", "--key", log.tree.vkey)
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["older", "newer"]


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "{}",
        '{"from_size":2,"to_size":5,"hashes":{},"checkpoint":""}',
        '{"from_size":2,"to_size":5,"hashes":["x"],"checkpoint":""}',
        '{"from_size":-2,"to_size":5,"hashes":[]}',
        '{"from_size":2,"to_size":5,"hashes":[],"checkpoint":7}',
        '{"from_size":2,"to_size":5,"hashes":[],"checkpoint":"x"}',
        "{" + '"a":{' * 5_000,
    ],
)
def test_a_malformed_consistency_proof_does_not_verify(log, auditlog, tmp_path, data):
    (tmp_path / "proof").write_text(data)
    result = auditlog("verify", "proof", "--key", log.tree.vkey)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("auditlog: proof: does not verify: ")


def test_refuses_a_consistency_proof_from_what_is_no_checkpoint(log, auditlog, tmp_path):
    (tmp_path / "text").write_text("no checkpoint")
    for name, reason in (("nowhere", "No such file"), ("text", "no signed checkpoint")):
        result = auditlog("prove", "--consistency", name)
        assert result.exit_code == 2
        assert reason in result.stderr


def test_leaves_the_old_file_whole_if_the_new_one_cannot_be_written(log, auditlog, tmp_path):
    (tmp_path / "folder").mkdir()
    result = auditlog("prove", "3", "-o", "folder")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: folder: ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert auditlog("prove", "3", "-o", "nowhere/b").stderr.startswith("auditlog: nowhere/b: No such file")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["1", "2"],
        ["3..3"],
        ["4..3"],
        ["1..."],
        ["--", "-1..3"],
        ["1..x"],
        ["0..9223372036854775808"],
        ["1..2", "4..5"],
        ["1", "--event-name", "i", "s", "1", TIME],
        ["--consistency"],
        ["--consistency", "1", "2", "3"],
    ],
    ids=[
        "nothing",
        "two indexes",
        "empty range",
        "backwards",
        "three dots",
        "negative",
        "no number",
        "too large",
        "two ranges",
        "index and name",
        "no size",
        "three sizes",
    ],
)
def test_refuses_targets_that_contradict(log, auditlog, arguments):
    result = auditlog("prove", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: prove: ")
    assert log.sent("Prove") == []


def test_refuses_an_event_name_without_a_time(log, auditlog):
    result = auditlog("prove", "--event-name", "i", "s", "1", "noon")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: --event-name: TIME: 'noon' is no RFC 3339 time")


def test_verify_names_index_origin_time_and_action(log, auditlog, bundle):
    result = auditlog("verify", "entry.tlog-proof", "--key", log.tree.vkey)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "entry.tlog-proof: verified entry: index 3, origin audit.example.com/main, tree_size 5, "
        "recorded_at 2026-11-24T00:26:13.123456Z, time 2026-11-24T00:26:13.100Z, action a.3\n"
    )


def test_verify_accepts_checkpoints_stdin_and_a_key_file(log, auditlog, bundle, tmp_path):
    (tmp_path / "log.vkey").write_text(log.tree.vkey + "\n")
    result = auditlog("verify", "entry.tlog-proof", "-", "--key", "log.vkey", stdin=log.tree.note())
    assert result.exit_code == 0
    root = log.tree.root(0, 5).hex()
    assert result.stdout.splitlines()[1] == (
        f"-: verified checkpoint: origin audit.example.com/main, tree_size 5, root {root}"
    )


@pytest.mark.parametrize("arguments", [["--json"], ["--output", "json"], ["--output", "jsonl"]])
def test_verify_tells_machines_the_same(log, auditlog, bundle, arguments):
    result = auditlog("verify", "entry.tlog-proof", "--key", log.tree.vkey, *arguments)
    verdict = json.loads(result.stdout)
    assert (verdict if arguments[-1] == "jsonl" else verdict[0]) == {
        "file": "entry.tlog-proof",
        "verified": True,
        "kind": "entry",
        "index": 3,
        "origin": "audit.example.com/main",
        "tree_size": 5,
        "recorded_at": "2026-11-24T00:26:13.123456Z",
        "time": "2026-11-24T00:26:13.100Z",
        "action": "a.3",
    }


def changed(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda data, log: changed(data, b"index 3", b"index 2"), "inclusion proof of entry 2"),
        (
            lambda data, log: changed(
                data,
                base64.b64encode(log.leaves[3]),
                base64.b64encode(log.leaves[3].replace(b"a.3", b"a.9")),
            ),
            "inclusion proof of entry 3",
        ),
        (lambda data, log: changed(data, b"main\n5\n", b"main\n6\n"), "does not fit the text"),
        (
            lambda data, log: changed(data, b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v2"),
            "bundle line 1",
        ),
        (lambda data, log: data[:-1], "note: no line feed at the end"),
        (lambda data, log: b"", "note: "),
        (lambda data, log: b"\xff\xfe", "note: "),
        (lambda data, log: b"\x1b[2J\n\nx", "control character 0x1b"),
    ],
    ids=[
        "another index",
        "another leaf",
        "another tree",
        "version",
        "cut off",
        "empty",
        "no text",
        "escapes",
    ],
)
def test_verify_answers_no_with_the_reason(log, auditlog, bundle, forge, reason):
    bundle.write_bytes(forge(bundle.read_bytes(), log))
    result = auditlog("verify", "entry.tlog-proof", "--key", log.tree.vkey)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("auditlog: entry.tlog-proof: does not verify: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def test_verify_answers_no_for_another_key_and_another_origin(log, auditlog, bundle, service):
    other = service.Tree("evil.example.com/main")
    result = auditlog("verify", "entry.tlog-proof", "--key", other.vkey)
    assert result.exit_code == 1
    assert "not signed by the key" in result.stderr
    result = auditlog("verify", "entry.tlog-proof", "--key", log.tree.vkey, "--origin", "audit.example.com/access")
    assert result.exit_code == 1
    assert "expected 'audit.example.com/access', found 'audit.example.com/main'" in result.stderr


def test_verify_judges_every_file_and_a_no_outweighs_the_rest(log, auditlog, bundle, tmp_path):
    (tmp_path / "bad").write_bytes(changed(bundle.read_bytes(), b"index 3", b"index 2"))
    result = auditlog("verify", "nowhere", "bad", "entry.tlog-proof", "--key", log.tree.vkey)
    assert result.exit_code == 1
    assert result.stdout.startswith("entry.tlog-proof: verified")
    assert result.stderr.splitlines()[0] == "auditlog: nowhere: No such file or directory"
    assert auditlog("verify", "nowhere", "entry.tlog-proof", "--key", log.tree.vkey).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "auditlog: verify: give the log's verifier key with --key or AUDITLOG_KEY\n"),
        (["--key", "a+b+c"], "auditlog: --key: verifier key: "),
        (["--key", "nowhere.vkey"], "auditlog: nowhere.vkey: No such file or directory\n"),
    ],
    ids=["no key", "malformed key", "no key file"],
)
def test_verify_takes_a_missing_or_malformed_key_for_misuse(log, auditlog, bundle, arguments, message):
    result = auditlog("verify", "entry.tlog-proof", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)


def test_verify_needs_neither_grpc_nor_a_server(log, bundle):
    program = (
        "import sys; sys.modules['grpc'] = None; from auditd_client.cli import main; "
        f"main(['verify', 'entry.tlog-proof', '--key', {log.tree.vkey!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
