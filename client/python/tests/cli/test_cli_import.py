"""`auditlog import cloudtrail`."""

from __future__ import annotations

import gzip
import json

import grpc
import pytest

from auditd_client.importers import IMPORTERS


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
        "auditlog: b.json: Records[1]: eventTime: missing\nauditlog: the 1000 events before are recorded\n"
    )
    assert len(connected.leaves) == 1000


def test_names_the_record_that_the_server_refuses(connected, auditlog, service, tmp_path):
    log_file(tmp_path / "a.json", record(0))
    log_file(tmp_path / "b.json", record(1), record(2))
    connected.fail(service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "events[2].time: too old", "EVENT_TOO_OLD"))
    result = auditlog("import", "cloudtrail", "a.json", "b.json")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: b.json: Records[1]: event.time: too old (EVENT_TOO_OLD)\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"", "no CloudTrail log file: it is no JSON object"),
        (b"{}", "no CloudTrail log file: it has no `Records`"),
        (b'{"Records":[{"a":', "Records[0]: no JSON value at character 17"),
        (b'{"Records":[{}', "Records[0]: eventID: missing"),
        (gzip.compress(b'{"Records":[]}')[:-9], "damaged gzip data: "),
        (b"\xff", "no UTF-8 at byte 0"),
    ],
    ids=["missing", "empty", "no records", "cut off", "bare record", "damaged gzip", "no UTF-8"],
)
def test_names_a_bad_file_in_one_line(connected, auditlog, tmp_path, content, message):
    if content is not None:
        (tmp_path / "f.json").write_bytes(content)
    result = auditlog("import", "cloudtrail", "f.json")
    assert result.exit_code == 2
    assert result.stderr.startswith("auditlog: f.json: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_refuses_a_folder_without_logs(connected, auditlog, tmp_path):
    (tmp_path / "empty").mkdir()
    result = auditlog("import", "cloudtrail", "empty")
    assert (result.exit_code, result.stderr) == (2, "auditlog: empty: the folder holds no cloudtrail files\n")


def test_every_importer_is_a_command(auditlog):
    listing = auditlog("import", "--help").stdout
    for name, importer in IMPORTERS.items():
        assert name == importer.name
        assert f"\n  {name}  " in listing
        assert auditlog("import", name, "--help").exit_code == 0
