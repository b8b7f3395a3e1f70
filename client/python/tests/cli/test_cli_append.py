"""`auditlog append`: what scripts rely on, and how bad input is answered."""

from __future__ import annotations

import json
import threading

import grpc
import pytest
from google.rpc import error_details_pb2

from auditd_client import event_from_json
from auditd_client.cli import _event_lines
from auditd_client.cli._ahead import read_ahead
from auditd_client.cli._recording import Chunk, record
from auditd_client.importers import PlacedEvent

EVENT = '{"id":"%s","time":"2026-11-24T00:26:13.100Z","action":"a.b"}'


def lines_of(*ids):
    return "".join(EVENT % name + "\n" for name in ids)


def bad_request(field, description):
    return error_details_pb2.BadRequest(
        field_violations=[error_details_pb2.BadRequest.FieldViolation(field=field, description=description)]
    )


def test_prints_a_receipt_a_line_in_the_order_of_the_input(connected, auditlog):
    result = auditlog("append", "--output", "jsonl", stdin=lines_of("1", "2", "1"))
    assert result.exit_code == 0
    first = '{"index":0,"recorded_at":"2026-11-24T00:26:13.123456Z","leaf_hash":"%s","duplicate":%s,"tree_size":2}'
    hashes = [value.hex() for value in connected.tree.hashes]
    assert result.stdout.splitlines() == [
        first % (hashes[0], "false"),
        first.replace('"index":0', '"index":1') % (hashes[1], "false"),
        first % (hashes[0], "true"),
    ]


def test_prints_the_receipts_as_one_json_array(connected, auditlog):
    receipts = json.loads(auditlog("append", "-", "--output", "json", stdin=lines_of("1", "2")).stdout)
    assert [receipt["index"] for receipt in receipts] == [0, 1]


def test_prints_an_empty_json_array_for_no_events(connected, auditlog):
    assert auditlog("append", "-", "--output", "json", stdin="\n").stdout == "[]\n"


def test_summarises_many_events_in_a_table(connected, auditlog):
    result = auditlog("append", "-", stdin=lines_of("1", "2", "1"))
    assert result.stdout == (
        "events  new  duplicates  first index  last index  tree size\n"
        "     3    2           1            0           0          2\n"
    )


def test_keeps_the_text_of_attributes_as_written(connected, auditlog):
    attributes = '{"amount": 1.10,  "b":1e2, "big":123456789012345678901234567890, "u":"\\u00e9"}'
    auditlog("append", "-", stdin='{"action":"a","attributes":' + attributes + "}")
    auditlog("append", "--action", "a", "--attributes", attributes)
    sent = [event.attributes_json for request in connected.sent("Append") for event in request.events]
    assert sent == [attributes, attributes]


def test_records_one_event_from_flags(connected, auditlog):
    result = auditlog(
        "append", "--action", "user.login", "--outcome", "denied",
        "--actor-id", "alice", "--actor-type", "user",
        "--resource", "account:42", "--resource", "arn:aws:s3:::x", "--role", "admin", "--reason", "locked",
        "--tenant", "acme", "--id", "e-1", "--time", "2026-11-24T00:26:13.1Z", "--ip", "203.0.113.9",
    )  # fmt: skip
    assert result.exit_code == 0
    assert json.loads(connected.leaves[0])["event"] == {
        "id": "e-1",
        "time": "2026-11-24T00:26:13.100Z",
        "tenant": "acme",
        "action": "user.login",
        "outcome": "DENIED",
        "reason": "locked",
        "actor": {"type": "user", "id": "alice", "roles": ["admin"]},
        "resources": [{"type": "account", "id": "42"}, {"type": "arn", "id": "aws:s3:::x"}],
        "origin": {"ip": "203.0.113.9"},
    }


def test_reads_files_in_order_and_stdin_among_them(connected, auditlog, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines_of("1"))
    (tmp_path / "b.jsonl").write_text("\n" + (EVENT % "3"))
    auditlog("append", "a.jsonl", "-", "b.jsonl", stdin=lines_of("2"))
    assert [json.loads(leaf)["event"]["id"] for leaf in connected.leaves] == ["1", "2", "3"]


def test_keeps_the_order_of_the_input_over_many_batches(connected, auditlog, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(*map(str, range(2500))))
    result = auditlog("append", "many.jsonl", "--output", "jsonl")
    assert [json.loads(line)["index"] for line in result.stdout.splitlines()] == list(range(2500))
    assert [len(request.events) for request in connected.sent("Append")] == [1000, 1000, 500]


def test_uses_the_log_that_is_named(connected, auditlog):
    auditlog("append", "--action", "a", "--log", "payments")
    assert connected.sent("Append")[0].log == "payments"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"action":"a","time":"yesterday"}', "events.jsonl:4: event.time: 'yesterday' is no RFC 3339 time"),
        ('{"action":"a","actor":{"nick":"x"}}', "events.jsonl:4: event.actor.nick: unknown member"),
        ('{"action":"a"', "events.jsonl:4: event: not JSON"),
        ("[]", "events.jsonl:4: event: not a JSON object"),
        ('{"action":"a","outcome":"OK"}', "events.jsonl:4: event.outcome: 'OK', expected one of SUCCESS"),
        ("\udcff", "events.jsonl:4: event: not UTF-8 at byte 0"),
    ],
    ids=["time", "unknown member", "cut off", "no object", "outcome", "no UTF-8"],
)
def test_names_file_line_and_field_of_an_event_that_cannot_be_read(connected, auditlog, tmp_path, line, message):
    text = lines_of("1") + "\n" + lines_of("2") + line + "\n"
    (tmp_path / "events.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = auditlog("append", "events.jsonl", "--output", "jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"auditlog: {message}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert connected.leaves == []


def test_names_file_line_and_field_of_an_event_that_the_server_refuses(connected, auditlog, service, tmp_path):
    (tmp_path / "many.jsonl").write_text(lines_of(*map(str, range(1500))))
    refusal = service.Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "events[3].time: before 1970",
        "INVALID_EVENT",
        details=[bad_request("events[3].time", "before 1970")],
    )
    connected.fail(None, refusal)
    result = auditlog("append", "many.jsonl", "--output", "jsonl")
    assert result.exit_code == 2
    assert result.stderr == (
        "auditlog: many.jsonl:1004: event.time: before 1970 (INVALID_EVENT)\n"
        "auditlog: the 1000 events before are recorded\n"
    )
    assert len(result.stdout.splitlines()) == len(connected.leaves) == 1000


def test_names_the_line_whose_event_name_is_taken(connected, auditlog, service):
    connected.fail(service.Failure(grpc.StatusCode.ALREADY_EXISTS, "events[1] differs from entry 7", "EVENT_CONFLICT"))
    result = auditlog("append", "-", stdin=lines_of("1", "2"))
    assert result.exit_code == 2
    assert result.stderr == ("auditlog: stdin:2 differs from entry 7 (EVENT_CONFLICT); give the event another id\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["append", "nowhere.jsonl"], "auditlog: nowhere.jsonl: No such file or directory\n"),
        (["append", "-", "--action", "a"], "auditlog: append: give files, or flags of one event, not both\n"),
        (["append", "--outcome", "DENIED"], "auditlog: append: --action is missing; an event needs one\n"),
        (
            ["append", "--action", "a", "--resource", "42"],
            "auditlog: append: --resource '42': expected TYPE:ID\n",
        ),
        (
            ["append", "--action", "a", "--time", "noon"],
            "auditlog: flags: event.time: 'noon' is no RFC 3339 time with an offset, such as 2026-11-24T00:26:13.1Z\n",
        ),
    ],
    ids=["missing file", "both", "no action", "resource", "time"],
)
def test_refuses_misuse_in_one_line(connected, auditlog, arguments, message):
    result = auditlog(*arguments)
    assert (result.exit_code, result.stderr) == (2, message)
    assert connected.leaves == []


def test_refuses_a_line_that_no_request_can_hold(connected, auditlog, tmp_path):
    (tmp_path / "big.jsonl").write_bytes(b"\n" + b"x" * (5 << 20))
    result = auditlog("append", "big.jsonl")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: big.jsonl:2: longer than 4194304 bytes\n"


def test_reading_ahead_keeps_order_and_raises_where_the_failing_item_stands():
    def items():
        yield from range(5)
        raise ValueError("six")

    ahead = read_ahead(items())
    assert [next(ahead) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="six"):
        next(ahead)


def test_reading_ahead_ends_its_thread_when_nobody_reads_on():
    made = []

    def items():
        for number in range(1000):
            made.append(number)
            yield number

    ahead = read_ahead(items())
    next(ahead)
    ahead.close()
    for thread in threading.enumerate():
        if thread.name == "read-ahead":
            thread.join(5)
            assert not thread.is_alive()
    assert len(made) < 10


def test_answers_a_line_of_a_slow_input_before_the_next_one_comes(connected, connect):
    answered = threading.Event()

    def slow_input():
        yield Chunk([PlacedEvent("stdin:1", event_from_json(EVENT % "1"))], is_last_for_now=True)
        assert answered.wait(10), "the first event was not answered"
        yield Chunk([PlacedEvent("stdin:2", event_from_json(EVENT % "2"))], is_last_for_now=True)

    indexes = []
    for receipt in record(connect(), slow_input()):
        indexes.append(receipt.index)
        answered.set()
    assert indexes == [0, 1]


def test_lines_that_arrive_in_pieces_are_put_together(connected, auditlog, tmp_path, monkeypatch):
    monkeypatch.setattr(_event_lines, "_READ_BYTES", 7)
    (tmp_path / "events.jsonl").write_text(lines_of("1", "2") + "\n" + lines_of("3").strip() + "\r\n[")
    result = auditlog("append", "events.jsonl")
    assert result.stderr.startswith("auditlog: events.jsonl:5: event: ")
    (tmp_path / "events.jsonl").write_text(lines_of("1", "2") + "\n" + lines_of("3").strip())
    assert auditlog("append", "events.jsonl").exit_code == 0
    assert [json.loads(leaf)["event"]["id"] for leaf in connected.leaves] == ["1", "2", "3"]
