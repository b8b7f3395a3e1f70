"""`auditlog tail` and `auditlog stats`, whatever text was recorded."""

from __future__ import annotations

import csv
import io
import json
import re

import grpc
import pytest

from auditd_client.cli import shown
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.hostile_text import every_recordable_text, is_formula, is_harmless

COLOURS = re.compile(r"\x1b\[(?:0|1|2|3[1-3])m")


@pytest.fixture
def tailed(connected, service):
    """Have the next tail send all entries of the log, and then end for damage, which alone ends it."""

    def send(**members):
        end = service.Failure(grpc.StatusCode.DATA_LOSS, "damaged", "LEAF_DAMAGED")
        connected.tails.append(lambda _: [connected.message(0, len(connected.leaves), **members), end])

    return send


@every_recordable_text
def test_a_tail_shows_hostile_text_escaped(connected, connect, auditlog, tailed, hostile, request):
    event = {"action": "a", "outcome": "DENIED", "actor": {"name": hostile.text}, "reason": hostile.text}
    connect().append(event)
    tailed()
    result = auditlog("tail", "--from", "0")
    assert result.exit_code == 1
    assert result.stdout.count(hostile.escape or shown(hostile.text).strip()) >= 2
    assert is_harmless(result.stdout.replace("\n", ""))
    assert result.stdout.count("\n") == 1
    request.getfixturevalue("terminal")
    tailed()
    coloured = auditlog("tail", "--from", "0").stdout
    assert "\x1b[31mDENIED" in coloured
    assert is_harmless(COLOURS.sub("", coloured).replace("\n", ""))


def test_no_colour_where_none_is_wanted(connected, connect, auditlog, tailed, terminal):
    connect().append({"action": "a", "outcome": "DENIED"})
    tailed()
    assert "\x1b" not in auditlog("tail", "--from", "0", env={"NO_COLOR": "1"}).stdout


def test_a_tail_prints_leaves_verbatim(connected, connect, auditlog, tailed):
    connect().append([{"action": "a", "reason": "\u202e", "attributes_json": '{"x": 1.10}'}, {"action": "b"}])
    tailed()
    result = auditlog("tail", "--from", "0", "--output", "jsonl")
    assert result.stdout_bytes == b"".join(leaf + b"\n" for leaf in connected.leaves)
    assert "LEAF_DAMAGED" in result.stderr


def test_a_tail_with_a_key_prints_nothing_that_does_not_verify(connected, connect, auditlog):
    connect().append([{"action": "a"}, {"action": "b"}])
    message = connected.message(0, 2)
    message.entries[0].leaf, message.entries[1].leaf = connected.leaves[1], connected.leaves[0]
    connected.tails.append(lambda _: [message])
    result = auditlog("tail", "--from", "0", "--key", connected.tree.vkey)
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_tail_passes_on_what_it_is_asked_for(connected, auditlog, service):
    refusal = service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "no", "INVALID_FILTER")
    connected.tails.extend([lambda _: [refusal]] * 2)
    assert auditlog("tail", "x =", "--log", "access").exit_code == 2
    auditlog("tail", "--from", "7")
    assert connected.sent("Tail") == [
        pb.TailRequest(log="access", filter="x =", heartbeat_s=5),
        pb.TailRequest(log="main", from_index=7, heartbeat_s=5),
    ]


def test_a_tail_of_no_server_says_so_soon(auditlog):
    result = auditlog("tail", "--address", "127.0.0.1:1", "--timeout", "0.5")
    assert (result.exit_code, result.stdout) == (3, "")


def counts(*groups, **members):
    members = {"count": 10, "next_index": 10, "tree_size": 10} | members
    answer = pb.AggregateResponse(**members)
    for *values, count in groups:
        answer.groups.add(values=[value if value == "" else json.dumps(value) for value in values], count=count)
    return answer


@every_recordable_text
def test_stats_show_hostile_text_escaped_and_hand_it_on_whole(connected, auditlog, hostile):
    for arguments in (["stats"], ["stats", "--by", "actor.id", "--by", "action"]):
        values = [hostile.text] * (2 if len(arguments) > 1 else 1)
        connected.counts.append(counts((*values, 10)))
        table = auditlog(*arguments).stdout
        assert is_harmless(table.replace("\n", "").replace("\u2588", ""))
    connected.counts.append(counts((hostile.text, 10)))
    assert json.loads(auditlog("stats", "--output", "json").stdout)["groups"][0]["values"] == [hostile.text]
    connected.counts.append(counts((hostile.text, 10)))
    written = auditlog("stats", "--output", "csv").stdout_bytes.decode()
    header, row = csv.reader(io.StringIO(written, newline=""))
    assert (header, row[1]) == (["action", "count"], "10")
    assert not is_formula(row[0])


def test_stats_say_what_they_are_not(connected, auditlog):
    partial = counts(("a", 3), count=7, next_index=5, unlisted_count=4, unlisted_max=2, max_error=1)
    connected.counts.append(partial)
    said = auditlog("stats").stdout.splitlines()
    assert said[-4:] == [
        "7 entries of 5",
        "4 more in groups that are not shown",
        "approximate: too many groups to keep; each count may be too low by up to 1",
        "partial: the time was up after 5 of 10 entries",
    ]
    connected.counts.append(partial)
    assert "partial: " in auditlog("stats", "--output", "csv").stderr
    connected.counts.append(partial)
    found = json.loads(auditlog("stats", "--output", "json").stdout)
    assert (found["exact"], found["max_error"], found["complete"], found["next_index"]) == (False, 1, False, 5)


def test_stats_stop_when_their_time_is_up(connected, auditlog):
    parts = 5_000
    for at in range(parts):
        part = counts(("a", 1), count=1, first_index=at, next_index=at + 1, tree_size=parts, next_page_token="more")
        connected.counts.append(part)
    found = json.loads(auditlog("stats", "--max-time", "0.3", "--output", "json").stdout)
    assert not found["complete"]
    assert found["count"] == found["next_index"] == len(connected.sent("Aggregate"))


def test_stats_pass_on_what_they_are_asked_for(connected, auditlog):
    for arguments in (["x", "--no-index"], ["--over", "5m", "--time", "recorded_at", "--by", "outcome"]):
        connected.counts.append(counts())
        assert auditlog("stats", *arguments).exit_code == 0
    first, second = connected.sent("Aggregate")
    assert (first.filter, list(first.by), first.no_index) == ("x", [pb.Dimension(field="action")], True)
    assert list(second.by) == [pb.Dimension(field="recorded_at", bucket_s=300), pb.Dimension(field="outcome")]
