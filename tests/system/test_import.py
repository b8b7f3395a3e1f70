"""Importing into a real server: every format, twice, and events that the server refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "client" / "python" / "tests" / "importers" / "samples"
FORMATS = {
    "jsonl": ("events.jsonl", 2),
    "kubernetes": ("kubernetes.jsonl", 4),
    "github": ("github.json", 4),
    "okta": ("okta.json", 4),
    "linux-audit": ("audit.log", 5),
    "syslog": ("syslog.log", 4),
    "csv": ("door.csv", 3),
}


@pytest.fixture(scope="module")
def run(shared_server, auditlog):
    """Return a function that runs a command as an importer."""
    environment = {"AUDITLOG_ADDRESS": shared_server.address, "AUDITLOG_TOKEN": shared_server.token("importer")}
    return lambda *command, **options: auditlog(*command, env=environment, **options)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_imported_twice_is_recorded_once(run, name):
    file, count = FORMATS[name]
    flags = ("--mapping", str(SAMPLES / "door.toml")) if name == "csv" else ()
    command = ("import", name, str(SAMPLES / file), *flags, "--output", "jsonl")
    first, again = (run(*command) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    receipts = [[json.loads(line) for line in done.stdout.splitlines()] for done in (first, again)]
    assert [receipt["duplicate"] for receipt in receipts[0]] == [False] * count
    assert [receipt["duplicate"] for receipt in receipts[1]] == [True] * count
    assert [[receipt[key] for key in ("index", "leaf_hash")] for receipt in receipts[0]] == [
        [receipt[key] for key in ("index", "leaf_hash")] for receipt in receipts[1]
    ]


def test_what_the_server_refuses_is_named_or_skipped_and_kept(run, tmp_path):
    def line(number, **members):
        return json.dumps({"id": f"r-{number}", "time": "2026-11-20T10:00:00Z", "action": "a", **members})

    deep = json.loads("[" * 20 + "]" * 20)
    lines = [
        line(0),
        line(1, attributes={"deep": deep}),
        line(2, time="2999-01-01T00:00:00Z"),
        line(3, attributes={"half": "\ud800"}),
        line(4, attributes={"sealed": "0" * 64}),
        line(5),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    stopped = run("import", "jsonl", "a.jsonl", cwd=tmp_path)
    assert stopped.returncode == 2
    assert "a.jsonl:2: event.attributes" in stopped.stderr
    flags = ("--skip-bad", "bad.jsonl", "--output", "jsonl")
    skipped = run("import", "jsonl", "a.jsonl", *flags, cwd=tmp_path)
    assert skipped.returncode == 0, skipped.stderr
    assert len(skipped.stdout.splitlines()) == 2
    bad = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert sorted((one["where"], one["text"]) for one in bad) == [
        (f"a.jsonl:{number}", lines[number - 1]) for number in (2, 3, 4, 5)
    ]
    assert all(one["reason"].startswith("event.") for one in bad)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "the event before is recorded"), (2, "the 2 events before are recorded")]
)
def test_what_stands_before_a_bad_line_is_said_to_be_recorded(run, count, said):
    good = '{"id": "stands-%d", "time": "2026-11-20T10:00:00Z", "action": "a"}\n'
    done = run("import", "jsonl", "-", input="".join(good % number for number in range(count)) + "no JSON\n")
    assert done.returncode == 2
    assert done.stderr.endswith(f"auditlog: {said}\n")


def test_stdin_is_read_as_a_file_is(run, tmp_path):
    text = "".join(
        json.dumps({"id": f"stdin-{number}", "time": "2026-11-20T10:00:00Z", "action": "a"}) + "\n"
        for number in range(3)
    )
    done = run("import", "jsonl", "-", "--output", "jsonl", input=text + "{}\n")
    assert done.returncode == 2
    assert done.stderr.startswith("auditlog: stdin:4: ")
    assert [json.loads(line)["duplicate"] for line in done.stdout.splitlines()] == [False] * 3
    done = run(
        "import", "jsonl", "-", "--skip-bad", "bad.jsonl", "--output", "jsonl", input=text + "{}\n", cwd=tmp_path
    )
    assert [json.loads(line)["duplicate"] for line in done.stdout.splitlines()] == [True] * 3
    assert "stdin:4" in (tmp_path / "bad.jsonl").read_text()
