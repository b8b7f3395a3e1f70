"""`auditlog import cloudtrail`."""

from __future__ import annotations

import gzip
import json

import grpc
import pytest

from auditd_client.importers import FORMATS


def record(number, **members):
    return {
        "eventID": f"id-{number}",
        "eventTime": "2023-07-10T11:54:39Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "GetUser",
        **members,
    }


def log_file(path, *records):
    text = json.dumps({"Records": list(records)}).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_imports_files_and_folders_gzip_and_plain(connected, auditlog, tmp_path):
    folder = tmp_path / "logs" / "2023"
    folder.mkdir(parents=True)
    log_file(folder / "a.json.gz", record(1), record(2))
    log_file(folder / "b.json", record(3))
    log_file(folder / "1_CloudTrail-Digest_x.json.gz")
    (folder / "readme.txt").write_text("no log")
    log_file(tmp_path / "named", record(4))
    result = auditlog("import", "cloudtrail", "named", "logs")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [json.loads(leaf)["event"]["id"] for leaf in connected.leaves] == ["id-4", "id-1", "id-2", "id-3"]
    assert result.stdout.splitlines()[1].split() == ["4", "4", "0", "0", "3", "4"]


def test_importing_again_records_nothing_twice(connected, auditlog, tmp_path):
    log_file(tmp_path / "a.json.gz", record(1), record(2))
    auditlog("import", "cloudtrail", "a.json.gz")
    result = auditlog("import", "cloudtrail", "a.json.gz", "a.json.gz", "--output", "jsonl")
    assert [json.loads(line)["duplicate"] for line in result.stdout.splitlines()] == [True, True]
    assert len(connected.leaves) == 2


def test_small_files_share_a_batch_and_large_ones_are_split(connected, auditlog, tmp_path):
    for number in range(3):
        log_file(tmp_path / f"{number}.json", *(record(n) for n in range(number * 700, number * 700 + 700)))
    auditlog("import", "cloudtrail", ".")
    assert [len(request.events) for request in connected.sent("Append")] == [1000, 1000, 100]


def test_stops_at_the_first_bad_record_and_names_it(connected, auditlog, tmp_path):
    log_file(tmp_path / "a.json", *(record(n) for n in range(1500)))
    log_file(tmp_path / "b.json", record("b0"), {"eventID": "x"}, record("b2"))
    log_file(tmp_path / "c.json", record("c"))
    result = auditlog("import", "cloudtrail", "a.json", "b.json", "c.json")
    assert result.exit_code == 2
    assert result.stderr == (
        "auditlog: b.json:1: Records[1]: eventTime: missing\nauditlog: the 1501 events before are recorded\n"
    )
    assert len(connected.leaves) == 1501


def test_names_the_record_that_the_server_refuses(connected, auditlog, service, tmp_path):
    log_file(tmp_path / "a.json", record(0))
    log_file(tmp_path / "b.json", record(1), record(2))
    connected.fail(service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "events[2].time: too old", "EVENT_TOO_OLD"))
    result = auditlog("import", "cloudtrail", "a.json", "b.json")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: b.json:1: Records[1]: event.time: too old (EVENT_TOO_OLD)\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"{}", "f.json:1: eventID: missing"),
        (b'{"Records":[{"a":', "f.json:1: no JSON value at character 5; the rest of the file cannot be read"),
        (b'{"Records":[{}', "f.json:1: Records[0]: eventID: missing"),
        (gzip.compress(b'{"Records":[]}')[:-9], "damaged gzip data: "),
        (b"\xff", "f.json:1: no UTF-8 at byte 0"),
    ],
    ids=["missing", "no records", "cut off", "bare record", "damaged gzip", "no UTF-8"],
)
def test_names_a_bad_file_in_one_line(connected, auditlog, tmp_path, content, message):
    if content is not None:
        (tmp_path / "f.json").write_bytes(content)
    result = auditlog("import", "cloudtrail", "f.json")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: f.json:")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_refuses_a_folder_without_logs(connected, auditlog, tmp_path):
    (tmp_path / "empty").mkdir()
    result = auditlog("import", "cloudtrail", "empty")
    assert (result.exit_code, result.stderr) == (2, "auditlog: empty: the folder holds no cloudtrail files\n")


def test_every_format_is_a_command(auditlog):
    listing = auditlog("import", "--help").stdout
    for name in (*FORMATS, "csv"):
        assert f"\n  {name}  " in listing
        assert auditlog("import", name, "--help").exit_code == 0


def lines(*numbers):
    return "".join(f'{{"id":"e-{number}","time":"2023-07-10T11:54:39Z","action":"a"}}\n' for number in numbers)


def test_reads_stdin_and_names_it(connected, auditlog):
    result = auditlog("import", "jsonl", "-", stdin=lines(1, 2) + "{}\n")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: stdin:3: time: missing\nauditlog: the 2 events before are recorded\n"
    assert len(connected.leaves) == 2


def test_skips_bad_lines_and_keeps_them_with_their_reasons(connected, auditlog, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(1).encode() + b"{\n\xff\n" + lines(2).encode())
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(lines(3).encode())[:-8])
    result = auditlog("import", "jsonl", "a.jsonl", "b.jsonl", "--skip-bad", "bad.jsonl", "--output", "jsonl")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.splitlines() == [
        "skipped: a.jsonl:2: no member name at character 1",
        "skipped: a.jsonl:3: no UTF-8 at byte 0",
        "skipped: b.jsonl: damaged gzip data: cut off",
        "3 bad lines are in bad.jsonl",
    ]
    assert [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == [
        {"where": "a.jsonl:2", "reason": "no member name at character 1", "text": "{"},
        {"where": "a.jsonl:3", "reason": "no UTF-8 at byte 0", "bytes": "/w=="},
        {"where": "b.jsonl", "reason": "damaged gzip data: cut off", "text": ""},
    ]
    assert (tmp_path / "bad.jsonl").stat().st_mode & 0o777 == 0o600


def test_skips_events_that_the_server_refuses(connected, auditlog, service, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(1, 2, 3, 4))
    connected.fail(service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "events[2].time: too old", "EVENT_TOO_OLD"))
    result = auditlog("import", "jsonl", "a.jsonl", "--skip-bad", "bad.jsonl")
    assert result.exit_code == 0
    assert [json.loads(leaf)["event"]["id"] for leaf in connected.leaves] == ["e-1", "e-2", "e-4"]
    (bad,) = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert (bad["where"], bad["text"]) == ("a.jsonl:3", lines(3).strip())
    assert bad["reason"] == "event.time: too old (EVENT_TOO_OLD)"


def test_a_file_of_bad_lines_is_never_written_over_and_goes_away_empty(connected, auditlog, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(1))
    assert auditlog("import", "jsonl", "a.jsonl", "--skip-bad", "bad.jsonl").exit_code == 0
    assert not (tmp_path / "bad.jsonl").exists()
    (tmp_path / "bad.jsonl").write_text("kept")
    result = auditlog("import", "jsonl", "a.jsonl", "--skip-bad", "bad.jsonl")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: bad.jsonl: exists; name a new file, so that no earlier bad line is lost\n"
    assert (tmp_path / "bad.jsonl").read_text() == "kept"


def test_stops_when_bad_lines_cannot_be_kept(connected, auditlog, tmp_path):
    (tmp_path / "a.jsonl").write_text("{\n" + lines(1))
    result = auditlog("import", "jsonl", "a.jsonl", "--skip-bad", "no/such/bad.jsonl")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: no/such/bad.jsonl: No such file or directory\n"
    assert connected.leaves == []


MAPPING = """
[read]
as = "csv"
[[field]]
to = "time"
from = "{when}"
[[field]]
to = "action"
from = "{what}"
"""


def test_csv_needs_a_mapping_and_follows_it(connected, auditlog, tmp_path):
    (tmp_path / "a.csv").write_text("when,what,who\n2023-07-10T11:54:39Z,door.open,ana\n2023-07-10T11:54:40Z,x\n")
    result = auditlog("import", "csv", "a.csv")
    assert result.stderr == "auditlog: import csv: give --mapping FILE, which says what the columns mean\n"
    (tmp_path / "m.toml").write_text(MAPPING)
    result = auditlog("import", "csv", "a.csv", "--mapping", "m.toml", "--set", "tenant=acme")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "auditlog: a.csv:3: 2 columns, expected 3"
    (leaf,) = connected.leaves
    event = json.loads(leaf)["event"]
    assert (event["action"], event["tenant"], event["attributes"]["who"]) == ("door.open", "acme", "ana")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("[", "no TOML: "),
        ("", "read: as: '', expected one of json, csv, syslog, linux-audit"),
        (MAPPING.replace("csv", "json"), "read.as: 'json', but `import csv` reads 'csv'"),
        (MAPPING + 'form = "x"', "field[1] (action): unknown key 'form'"),
        (MAPPING + "[[field]]", "field[2]: to: '' is no field; known are id, time, "),
        (MAPPING + '[[field]]\nto = "id"', "field[2] (id): from: missing"),
        (MAPPING + '[[field]]\nto = "id"\nfrom = "{a"', "field[2] (id): from: '{a': a brace without its other half"),
        (MAPPING + '[[field]]\nto = "id"\nfrom = "{a|x}"', "field[2] (id): from: {a|x}: expected `without TEXT`"),
        (MAPPING + '[[field]]\nto = "id"\nfrom = "{a..b}"', "field[2] (id): from: 'a..b' is no path"),
        (MAPPING + '[[field]]\nto = "time"\nfrom = "{a}"\nas = "noon"', "(time): as: 'noon', expected rfc3339"),
        (MAPPING + '[[field]]\nto = "time"\nfrom = "{a}"\nas = "%H"\nzone = "Mars"', "zone: 'Mars' is neither"),
        (MAPPING + '[[field]]\nto = "id"\nfrom = "{a}"\nwhen = {a = "("}', "field[2] (id): when: a: "),
        (MAPPING + '[[field]]\nto = "id"\nfrom = "{a}"\nmoves = ["b"]', "moves: 'b' does not stand whole"),
        (MAPPING + '[[resource]]\ntype = "x"', "resource[0]: a resource needs an id or a name"),
        ('[read]\nas = "csv"\n', "field: none fills 'time', which every event needs"),
        ("a = " + "[" * 5000, "no TOML: "),
    ],
)  # fmt: skip
def test_a_bad_mapping_is_named_by_its_table(auditlog, tmp_path, mapping, message):
    (tmp_path / "m.toml").write_text(mapping)
    (tmp_path / "a.csv").write_text("a\n")
    result = auditlog("import", "csv", "a.csv", "--mapping", "m.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: m.toml: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("tenant", "--set 'tenant': expected FIELD=TEXT"),
        ("time=now", "'time' is no field that can be set"),
        ("origin.ip=home", "origin.ip: 'home' is no address"),
    ],
)
def test_a_field_that_cannot_be_set_is_named(auditlog, tmp_path, flag, message):
    (tmp_path / "a.jsonl").write_text(lines(1))
    result = auditlog("import", "jsonl", "a.jsonl", "--set", flag)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_prints_a_mapping_that_can_be_used_as_it_is(auditlog, tmp_path, name):
    (tmp_path / "m.toml").write_text(auditlog("import", name, "--print-mapping").stdout)
    (tmp_path / "a").write_text("")
    result = auditlog("import", name, "a", "--mapping", "m.toml", env={"AUDITLOG_ADDRESS": "127.0.0.1:1"})
    assert (result.exit_code, result.stderr) == (0, "no events\n")


def test_strict_and_skip_bad_exclude_each_other(auditlog, tmp_path):
    result = auditlog("import", "jsonl", "-", "--strict", "--skip-bad", "bad")
    assert (result.exit_code, result.stderr) == (2, "auditlog: import: give --strict or --skip-bad, not both\n")


def test_asks_for_files(auditlog):
    result = auditlog("import", "jsonl")
    assert (result.exit_code, result.stderr) == (2, "auditlog: import jsonl: give files, folders, or `-` for stdin\n")
