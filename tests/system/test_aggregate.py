"""Counts from a real server, by API, client and command line."""

from __future__ import annotations

import csv
import json
import time

import grpc
import pytest

from auditd_client import AsyncClient, Client
from auditd_proto.v1 import audit_log_service_pb2 as pb

OUTCOMES = ("SUCCESS", "SUCCESS", "FAILURE", "DENIED")
HOSTILE = "\x1b[2J\u202e=cmd"


@pytest.fixture(scope="module")
def filled(shared_server):
    """400 entries: 40 hours of ten each, by five people, a quarter refused, one of hostile name."""
    with Client(shared_server.address, shared_server.token("importer")) as client:
        client.append(
            {
                "time": f"2026-11-{20 + number // 240:02}T{number // 10 % 24:02}:00:00Z",
                "action": ("user.login", "record.read")[number % 2],
                "outcome": OUTCOMES[number % 4],
                "actor": {"id": f"user-{number % 5}"},
                "attributes": {"size": number % 3},
            }
            for number in range(399)
        )
        client.append(
            {
                "time": "2026-11-22T00:00:00Z",
                "action": "x",
                "outcome": "SUCCESS",
                "attributes": {"note": HOSTILE},
            }
        )
    limit = time.monotonic() + 30
    with Client(shared_server.address, shared_server.token("reader")) as client:
        while client.aggregate("action = x").examined > 1:  # until the index covers all of them
            assert time.monotonic() < limit
    return shared_server


@pytest.fixture(scope="module")
def call(filled):
    stub = filled.stub()

    def call(*roles, **members):
        metadata = (("authorization", f"Bearer {filled.token(*roles or ('reader',))}"),)
        return stub.Aggregate(pb.AggregateRequest(**members), metadata=metadata, timeout=30)

    return call


def test_counts_by_field_with_a_filter(call):
    answer = call(by=[pb.Dimension(field="outcome")], filter="action = user.login")
    assert (answer.count, answer.first_index, answer.next_index, answer.tree_size) == (200, 0, 400, 400)
    assert [(list(group.values), group.count) for group in answer.groups] == [
        (['"SUCCESS"'], 100),
        (['"FAILURE"'], 100),
    ]
    assert (answer.unlisted_count, answer.max_error, answer.next_page_token) == (0, 0, "")
    assert answer.examined < 400, "the index has narrowed it"


def test_counts_over_time(call):
    answer = call(by=[pb.Dimension(field="time", bucket_s=86_400)])
    assert [(group.values[0], group.count) for group in answer.groups] == [
        ('"2026-11-20T00:00:00Z"', 240),
        ('"2026-11-21T00:00:00Z"', 159),
        ('"2026-11-22T00:00:00Z"', 1),
    ]


def test_counts_everything(call):
    answer = call()
    assert (answer.count, list(answer.groups), answer.examined) == (400, [], 0)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"by": [pb.Dimension(field="actor.idd")]}, "by[0].field"),
        ({"by": [pb.Dimension(field="outcome"), pb.Dimension(field="time")]}, "by[1].bucket_s"),
        ({"by": [pb.Dimension(field="outcome")] * 3}, "by: 3 dimensions"),
        ({"max_groups": -1}, "max_groups"),
        ({"page_token": "x"}, "page_token"),
        ({"filter": "outcome ="}, ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refuses_what_cannot_be_counted(call, members, field):
    with pytest.raises(grpc.RpcError) as caught:
        call(**members)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in caught.value.details()


def test_refuses_whoever_may_not_read(call):
    with pytest.raises(grpc.RpcError) as caught:
        call("writer")
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_token_of_a_query_is_no_token_of_counts(filled, call):
    metadata = (("authorization", f"Bearer {filled.token('reader')}"),)
    page = filled.stub().Query(pb.QueryRequest(page_size=1), metadata=metadata, timeout=30)
    with pytest.raises(grpc.RpcError) as caught:
        call(page_token=page.next_page_token)
    assert "belongs to another" in caught.value.details()


def test_counting_is_seen_before_it_is_answered(filled, call):
    call(by=[pb.Dimension(field="tenant"), pb.Dimension(field="time", bucket_s=60)], filter="action = seen")
    with Client(filled.address, filled.token("auditor"), log="access") as auditor:
        newest = json.loads(next(auditor.query('action = "log.aggregate"', limit=1)).leaf)["event"]
    assert newest["attributes"] == {"filter": "action = seen", "by": ["tenant", "time/60s"]}


def test_when_the_time_is_up_the_counts_so_far_are_an_answer_and_go_on(make_server):
    server = make_server(limits="max_query_s = 1")
    with Client(server.address, server.token("admin"), timeout_s=60) as client:
        for _ in client.append_stream({"action": "a", "attributes": {"n": n}} for n in range(4_000)):
            pass
        filter_ = " OR ".join(f'"never-{number}\u00df"' for number in range(180)) + ' OR "a"'
        steps = list(client.aggregate_steps(filter_, ["action"]))
    assert len(steps) > 1
    assert not steps[0].is_complete
    assert steps[-1].is_complete
    assert [group.count for group in steps[-1].groups] == [4_000]
    assert [step.count for step in steps] == [step.next_index for step in steps]


async def test_both_clients_count(filled):
    token = filled.token("reader")
    with Client(filled.address, token) as client:
        counts = client.aggregate("", ["actor.id", "outcome"], max_groups=3)
        assert (counts.count, counts.is_complete, counts.is_exact) == (400, True, True)
        assert len(counts.groups) == 3
        assert counts.unlisted_count == 400 - sum(group.count for group in counts.groups)
    async with AsyncClient(filled.address, token) as client:
        counts = await client.aggregate('actor.id = "user-1"', [("time", 3_600), "attributes.size"])
        assert counts.count == 80
        assert counts.groups[0].values == ("2026-11-20T00:00:00Z", 0)


class TestCommand:
    def test_shows_bars(self, filled):
        said = filled.cli("stats", "--by", "outcome").stdout.splitlines()
        assert said[1].split() == ["SUCCESS", "201", "50.2", "%", "█" * 40]
        assert said[2].split() == ["FAILURE", "100", "25.0", "%", "█" * 19 + "▉"]
        assert said[-1] == "400 entries of 400"

    def test_shows_a_histogram_with_the_hours_in_which_nothing_was(self, filled):
        said = filled.cli("stats", "--over", "1h", "outcome = DENIED AND actor.id = user-3").stdout.splitlines()
        assert said[1].startswith("2026-11-20T00:00:00Z      1")
        assert said[2].split()[:2] == ["2026-11-20T01:00:00Z", "0"]
        assert said[-1] == "20 entries of 400"

    def test_shows_a_cross_table(self, filled):
        said = filled.cli("stats", "--by", "action", "--by", "outcome", "--top", "2").stdout.splitlines()
        assert said[0].split() == ["action", "\\", "outcome", "SUCCESS", "FAILURE", "DENIED", "all"]
        assert sorted(line.split() for line in said[1:3]) == [
            ["record.read", "100", "0", "99", "199"],
            ["user.login", "100", "100", "0", "200"],
        ]
        assert said[-1] == "1 more in groups that are not shown"

    def test_prints_json_and_csv(self, filled):
        found = json.loads(filled.cli("stats", "--by", "attributes.size", "--output", "json").stdout)
        assert found["groups"][0] == {"values": [0], "count": 133}
        assert (found["count"], found["exact"], found["complete"]) == (400, True, True)
        done = filled.cli("stats", "--by", "action", "--output", "csv")
        rows = list(csv.reader(done.stdout.splitlines()))
        assert rows[:2] == [["action", "count"], ["user.login", "200"]]

    def test_hostile_text_is_shown_escaped(self, filled):
        shown = filled.cli("stats", "--by", "attributes.note").stdout
        assert "\\u001b[2J\\u202e=cmd" in shown
        assert "\x1b" not in shown

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--by", "actor.idd"], "did you mean actor.id?"),
            (["--over", "1y"], "no width such as"),
            (["--by", "a", "--by", "b", "--over", "1h"], "at most two"),
            (["--over", "500d"], "must be 1 to"),
            (["outcome ="], "INVALID_FILTER"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_refuses_what_cannot_be_counted(self, filled, arguments, said):
        done = filled.cli("stats", *arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
