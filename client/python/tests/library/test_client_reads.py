"""Reading and proving through the synchronous client."""

import grpc
import pytest

from auditd_client import EventName, NotFoundError
from auditd_proto.v1 import audit_log_service_pb2 as pb


@pytest.fixture
def filled(double, connect):
    """A client of a log of 25 entries whose calls are counted from here."""
    client = connect()
    client.append([{"id": f"e-{number}", "time": "2026-11-24T00:00:00Z", "action": "a"} for number in range(25)])
    double.calls.clear()
    return client


def test_gets_an_entry_as_the_bytes_that_were_hashed(double, filled):
    entry = filled.get(7)
    assert (entry.index, entry.leaf) == (7, double.leaves[7])


def test_says_that_there_is_no_such_entry(double, filled):
    with pytest.raises(NotFoundError) as caught:
        filled.get(25)
    assert caught.value.reason == "ENTRY_NOT_FOUND"
    assert len(double.calls) == 1


@pytest.mark.parametrize(("order", "indexes"), [("desc", range(24, -1, -1)), ("asc", range(25))])
def test_follows_the_pages_of_a_query_to_its_end(double, filled, order, indexes):
    entries = list(filled.query("action = a", order=order, page_size=10))
    assert [entry.index for entry in entries] == list(indexes)
    assert [entry.leaf for entry in entries] == [double.leaves[index] for index in indexes]
    assert [request.page_token for request in double.sent("Query")] == ["", "10", "20"]
    assert {(request.filter, request.page_size) for request in double.sent("Query")} == {("action = a", 10)}


def test_reads_no_more_pages_than_it_needs(double, filled):
    query = filled.query(page_size=5)
    assert double.calls == []
    for _ in range(5):
        next(query)
    assert len(double.calls) == 1


@pytest.mark.parametrize(
    ("limit", "page_size", "sent"),
    [
        pytest.param(3, None, 3, id="a limit below a page asks for no more"),
        pytest.param(10, 5, 5, id="a limit at the end of a page"),
        pytest.param(12, 5, 5, id="a limit within a page"),
        pytest.param(5_000, None, 1_000, id="a limit above the largest page"),
        pytest.param(None, None, 1_000, id="no limit"),
    ],
)
def test_stops_at_the_limit(double, filled, limit, page_size, sent):
    entries = list(filled.query(limit=limit, page_size=page_size))
    assert [entry.index for entry in entries] == list(range(24, -1, -1))[:limit]
    assert {request.page_size for request in double.sent("Query")} == {sent}
    assert len(double.calls) == -(-len(entries) // sent)


def test_goes_on_after_an_empty_page(double, filled, monkeypatch):
    answers = iter(
        [
            pb.QueryResponse(next_page_token="2"),
            pb.QueryResponse(entries=[pb.Entry(index=4)], next_page_token="3"),
            pb.QueryResponse(),
        ]
    )
    monkeypatch.setattr(filled._stub, "Query", lambda *_, **__: next(answers))
    assert [entry.index for entry in filled.query()] == [4]


def test_passes_on_how_to_read(double, filled):
    next(filled.query(order="asc", no_index=True, log="access"))
    (request,) = double.sent("Query")
    assert (request.order, request.no_index, request.log) == (pb.ORDER_OLDEST_FIRST, True, "access")


@pytest.mark.parametrize("options", [{"limit": 0}, {"page_size": 0}, {"order": "newest"}])
def test_refuses_query_options_out_of_range_when_called(filled, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        filled.query(**options)


def test_proves_an_entry_by_index(double, filled):
    proof = filled.prove(3)
    assert (proof.index, proof.tree_size, proof.leaf) == (3, 25, double.leaves[3])
    assert list(proof.hashes) == double.tree.path(3, 0, 25)
    assert proof.checkpoint == double.tree.note()


def test_proves_an_entry_by_the_name_of_its_event_in_an_older_tree(double, filled):
    name = EventName("https://idp.example.com", "svc", "e-3", "2026-11-24T01:00:00.5+01:00")
    proof = filled.prove(event_name=name, tree_size=9)
    assert (proof.index, proof.tree_size) == (3, 9)
    target = double.sent("Prove")[0].event_name
    assert (target.issuer, target.subject) == ("https://idp.example.com", "svc")
    assert target.time.ToJsonString() == "2026-11-24T00:00:00.500Z"


@pytest.mark.parametrize("options", [{}, {"index": 1, "event_name": EventName("i", "s", "e", "t")}])
def test_proves_exactly_one_entry(filled, options):
    with pytest.raises(ValueError, match="give index or event_name"):
        filled.prove(**options)


def test_proves_the_entry_at_index_0(filled):
    assert filled.prove(0).index == 0


def test_proves_consistency_up_to_now_or_to_a_size(double, filled):
    proof = filled.prove_consistency(4, 9)
    assert (proof.from_size, proof.to_size) == (4, 9)
    assert list(proof.hashes) == double.tree.consistency(4, 0, 9)
    assert filled.prove_consistency(4).to_size == 25
    assert not double.sent("Prove")[1].consistency.HasField("to_size")


def test_reads_the_checkpoint_with_a_proof_from_a_known_size(double, filled):
    result = filled.checkpoint(known_size=6)
    assert (result.checkpoint, result.tree_size) == (double.tree.note(), 25)
    assert list(result.consistency_proof) == double.tree.consistency(6, 0, 25)
    assert filled.checkpoint().consistency_proof == ()


def test_lists_the_logs(double, filled):
    (log,) = filled.logs()
    assert (log.name, log.origin, log.tree_size) == ("main", "audit.example.com/main", 25)
    assert log.verifier_key == double.tree.vkey


def test_tries_a_read_again(double, filled, service, pauses):
    double.fail(service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY"))
    assert filled.get(1).index == 1
    assert pauses == [0.1]
