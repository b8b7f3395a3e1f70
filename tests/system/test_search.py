"""Searching through a real server: orders, pages, explanations, and refusals that programs understand."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.rpc import error_details_pb2

from auditd_client import Client
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import detail_of

COUNT = 600
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with events whose own times run against the order in which they were recorded."""
    from tests.system.conftest import Server

    folder = tmp_path_factory.mktemp("search") / "server"
    server = Server.make(folder)
    server.start()
    with Client(server.address, token=server.token("admin")) as client:
        client.append([_event(number) for number in range(COUNT)])
    yield server
    server.stop()


def _event(number):
    attributes = {"note": f"needle-{number}" if number % 100 == 7 else "hay"}
    return {
        "id": str(uuid.uuid4()),
        "time": (NOW - timedelta(minutes=number)).isoformat().replace("+00:00", "Z"),
        "action": "user.login" if number % 2 else "record.read",
        "attributes": attributes,
    }


class Caller:
    def __init__(self, server, subject="svc-test"):
        self._stub = server.stub()
        self._metadata = (("authorization", f"Bearer {server.token('admin', subject=subject)}"),)

    def query(self, **members):
        return self._stub.Query(pb.QueryRequest(**members), metadata=self._metadata, timeout=30)

    def append(self, *numbers):
        from auditd_client import event_from_dict

        request = pb.AppendRequest(events=[event_from_dict(_event(number)) for number in numbers])
        return self._stub.Append(request, metadata=self._metadata, timeout=30)

    def refusal(self, **members):
        """Return the code, and the `ErrorInfo` and `BadRequest` of a query that is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.query(**members)
        details = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)
        return caught.value.code(), *(detail_of(caught.value, kind) for kind in details)


@pytest.fixture
def caller(served):
    return Caller(served)


@pytest.mark.parametrize("order", [pb.ORDER_LATEST_EVENT_FIRST, pb.ORDER_EARLIEST_EVENT_FIRST])
@pytest.mark.parametrize("no_index", [False, True])
def test_pages_by_event_time_neither_repeat_nor_lose_an_entry_while_appends_go_on(caller, order, no_index):
    wanted = {"filter": "time > now-5h AND action = user.login", "order": order, "page_size": 40, "no_index": no_index}
    times, indexes, token = [], [], ""
    while True:
        page = caller.query(**wanted, page_token=token)
        times += [json.loads(entry.leaf)["event"]["time"] for entry in page.entries]
        indexes += [entry.index for entry in page.entries]
        caller.append(11, 13)
        token = page.next_page_token
        if not token:
            break
    assert times == sorted(times, reverse=order == pb.ORDER_LATEST_EVENT_FIRST)
    # 150 when these tests were collected, one less with every other minute since.
    assert len(set(indexes)) == len(indexes) >= 120
    assert max(indexes) < page.tree_size


def test_a_page_token_is_good_for_its_query_and_caller_alone(served, caller):
    first = {"filter": "action = user.login", "page_size": 5, "order": pb.ORDER_LATEST_EVENT_FIRST}
    token = caller.query(**first).next_page_token
    other = Caller(served, "svc-other")
    altered = ("A" if token[0] != "A" else "B") + token[1:]
    for asking, change in [
        (other, {}),
        (caller, {"page_token": altered}),
        (caller, {"filter": "action = record.read"}),
        (caller, {"order": pb.ORDER_NEWEST_FIRST}),
        (caller, {"log": "access"}),
        (caller, {"no_index": True}),
    ]:
        code, info, bad = asking.refusal(**({**first, "page_token": token} | change))
        assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
        assert [violation.field for violation in bad.field_violations] == ["page_token"]
    assert caller.query(**first, page_token=token).entries


def test_the_pages_of_one_query_may_differ_in_size(caller):
    wanted = {"filter": "action = user.login", "order": pb.ORDER_OLDEST_FIRST}
    first = caller.query(**wanted, page_size=5)
    caller.append(15, 17)
    second = caller.query(**wanted, page_size=9, page_token=first.next_page_token, explain=True)
    assert (len(first.entries), len(second.entries)) == (5, 9)
    assert first.tree_size == second.tree_size
    whole = caller.query(**wanted, page_size=14)
    assert [*first.entries, *second.entries] == list(whole.entries)


def test_a_refused_filter_tells_programs_where(caller):
    code, info, bad = caller.refusal(filter="action = user.login AND actr.id = x")
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER")
    assert dict(info.metadata) == {"column": "25", "nearest": "actor.id"}
    assert [violation.field for violation in bad.field_violations] == ["filter"]


def test_an_explanation_says_what_narrowed_the_search(caller):
    request = {"filter": 'action = user.login AND "needle-7"', "explain": True}
    page = caller.query(**request)
    assert len(page.entries) == 1
    found = page.explanation
    assert [(item.by, item.detail) for item in found.narrowings] == [(pb.NARROWED_BY_FIELDS, 'action = "user.login"')]
    assert 1 <= found.examined <= found.in_range == page.tree_size
    scanned = caller.query(**request, no_index=True)
    assert scanned.entries == page.entries
    assert not scanned.explanation.narrowings
    assert scanned.explanation.examined == scanned.tree_size
    assert scanned.explanation.uncovered <= found.uncovered, "what is indexed does not depend on whether it is used"


def test_the_command_explains_for_people_and_machines(served):
    done = served.cli("query", "time >= now-1h", "--explain")
    assert done.returncode == 0, done.stderr
    assert "event time" in done.stdout
    assert "examined" in done.stdout
    done = served.cli("query", "outcome = FAILURE", "--explain", "--output", "json")
    explanation = json.loads(done.stdout)
    assert explanation["narrowings"] == [{"narrowed_by": "fields", "part": 'outcome = "FAILURE"'}]
    assert explanation["found"] == 0
    done = served.cli("query", "needle", "--explain", "--no-index")
    assert "the index was not used, because of --no-index" in done.stdout
    assert "not indexed" not in done.stdout


def test_the_command_orders_by_event_time(served):
    done = served.cli("query", "needle", "--order", "time-asc", "--output", "jsonl", "--limit", "0")
    assert done.returncode == 0, done.stderr
    times = [json.loads(line)["event"]["time"] for line in done.stdout.splitlines()]
    assert len(times) == 6
    assert times == sorted(times)


def test_a_page_that_may_take_no_time_leads_to_the_next_one_and_nothing_is_lost(caller):
    wanted = {
        "filter": "NOT attributes.note = hay",
        "no_index": True,
        "order": pb.ORDER_OLDEST_FIRST,
        "page_size": 1_000,
    }
    whole = caller.query(**wanted)
    assert not whole.next_page_token
    entries, pages, token = [], 0, ""
    while pages == 0 or token:
        page = caller.query(**wanted, max_wait_ms=1, page_token=token)
        entries += page.entries
        token = page.next_page_token
        pages += 1
    assert entries == list(whole.entries)[: len(entries)]
    assert [entry.index for entry in whole.entries if entry.index < page.tree_size] == [
        entry.index for entry in entries
    ]
    # 256 entries are read at a time, however little the time.
    assert pages <= page.tree_size // 256 + 1
    code, _, bad = caller.refusal(max_wait_ms=-1)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in bad.field_violations] == ["max_wait_ms"]


def test_a_client_gives_what_it_finds_as_it_goes(served):
    with Client(served.address, token=served.token("admin")) as client:
        found = client.query("needle", order="asc", page_size=2)
        first = next(found)
        assert json.loads(first.leaf)["event"]["attributes"]["note"] == "needle-7"
        batches = list(client.query("needle", order="asc", page_size=2, limit=5).batches())
        assert [len(batch) for batch in batches if batch] == [2, 2, 1]
