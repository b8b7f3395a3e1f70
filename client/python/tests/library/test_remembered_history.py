"""A client with the log's key notices that history was rewritten, at no extra call."""

import grpc
import pytest

from auditd_client import HistoryRewrittenError, LogBehindCallerError, RetryPolicy
from auditd_client._history import History
from auditd_client.verify import (
    BadSignatureError,
    MalformedError,
    MismatchError,
    ProofError,
    VerificationError,
    WrongLogError,
)


@pytest.fixture
def tree(service):
    """A tree of 20 leaves."""
    tree = service.Tree()
    for number in range(20):
        tree.append(b"%d" % number)
    return tree


@pytest.fixture
def fork(service):
    """Another tree under the same key, that agrees with `tree` on 5 leaves."""
    tree = service.Tree()
    for number in range(20):
        tree.append(b"%d" % number if number < 5 else b"forged")
    return tree


def extend(history, tree, size, known=None):
    known = known or history.borrow()
    proof = tree.consistency(known.size, 0, size) if known and known.size else []
    end = history.extend(known, tree.note(size), proof)
    history.give_back(known)
    return end


class TestRemembered:
    def test_the_newest_checkpoint_is_remembered(self, tree):
        history = History(tree.vkey)
        assert history.borrow() is history.newest is None
        for size in (0, 3, 3, 8):
            extend(history, tree, size)
            assert history.newest.note == tree.note(size)
            assert history.borrow().size == size

    def test_a_tree_of_one_size_has_one_root(self, tree, fork):
        history = History(tree.vkey, tree.note(9))
        for answer in (history.check, lambda known, note: history.extend(known, note, [])):
            with pytest.raises(HistoryRewrittenError) as caught:
                answer(history.borrow(), fork.note(9))
            assert (caught.value.known, caught.value.offered) == (tree.note(9), fork.note(9))

    def test_answers_to_calls_in_flight_that_share_a_size_share_a_root(self, tree, fork):
        history = History(tree.vkey, tree.note(4))
        first, second = history.borrow(), history.borrow()
        extend(history, tree, 9, first)
        with pytest.raises(HistoryRewrittenError) as caught:
            extend(history, fork, 9, second)
        assert (caught.value.known, caught.value.offered) == (tree.note(9), fork.note(9))

    def test_a_fork_has_no_proof(self, tree, fork):
        history = History(tree.vkey, tree.note(9))
        proof = fork.consistency(9, 0, 12)
        with pytest.raises(HistoryRewrittenError) as caught:
            history.extend(history.borrow(), fork.note(12), proof)
        assert caught.value.proof == tuple(proof)
        assert isinstance(caught.value.__cause__, VerificationError)
        assert history.newest.note == tree.note(9)

    @pytest.mark.parametrize("size", [0, 1, 8])
    def test_a_log_never_shrinks(self, tree, size):
        history = History(tree.vkey, tree.note(9))
        with pytest.raises(HistoryRewrittenError):
            history.extend(history.borrow(), tree.note(size), [])
        with pytest.raises(HistoryRewrittenError):
            history.check(history.borrow(), tree.note(size))

    def test_answers_that_overtake_each_other_are_verified_by_their_own_proofs(self, tree):
        history = History(tree.vkey, tree.note(4))
        first, second = history.borrow(), history.borrow()
        extend(history, tree, 11, second)
        assert extend(history, tree, 7, first).size == 7
        assert history.newest.size == 11

    def test_each_end_is_proven_by_a_later_call(self, tree):
        history = History(tree.vkey, tree.note(4))
        first, second = history.borrow(), history.borrow()
        extend(history, tree, 11, second)
        extend(history, tree, 7, first)
        assert sorted([history.borrow().size, history.borrow().size]) == [7, 11]

    def test_a_fork_between_calls_in_flight_is_found_by_the_next_calls(self, tree, fork):
        """The operator puts back a copy of size 4 while two calls are under way; one is answered by each."""
        history = History(tree.vkey, tree.note(4))
        first, second = history.borrow(), history.borrow()
        extend(history, tree, 9, first)
        extend(history, fork, 10, second)
        with pytest.raises(HistoryRewrittenError) as caught:
            extend(history, fork, 11)
        assert caught.value.known == tree.note(9)

    def test_there_are_never_more_ends_than_calls_in_flight(self, tree):
        history = History(tree.vkey)
        size = 0
        for _ in range(6):
            lent = [history.borrow() for _ in range(3)]
            for known in reversed(lent):
                size += 1
                proof = tree.consistency(known.size, 0, size) if known else []
                history.extend(known, tree.note(size), proof)
                history.give_back(known)
            assert len(history._ends) <= 3

    def test_a_call_that_failed_gives_its_checkpoint_back(self, tree):
        history = History(tree.vkey, tree.note(4))
        for _ in range(3):
            history.give_back(history.borrow())
        assert set(history._ends.values()) == {0}

    def test_only_the_log_that_has_the_key_is_believed(self, tree, service):
        other = service.Tree("other.example.com/main")
        with pytest.raises(WrongLogError):
            History(tree.vkey).extend(None, other.note(), [])
        with pytest.raises(BadSignatureError):
            History(tree.vkey).check(None, tree.note(7).replace("\n7\n", "\n8\n"))
        with pytest.raises(WrongLogError):
            History(tree.vkey, other.note())
        with pytest.raises(MalformedError):
            History("key")


def some(count):
    return [{"action": "a"}] * count


def test_every_append_proves_that_the_log_extends_what_was_seen(double, connect):
    client = connect(key=double.tree.vkey)
    for count in (1, 4, 2):
        client.append(some(count))
        assert client.newest_checkpoint() == double.tree.note()
    requests = double.sent("Append")
    assert [request.known_size for request in requests] == [0, 1, 5]
    assert not requests[0].HasField("known_size")
    assert len(double.calls) == 3


def test_without_a_key_nothing_is_asked_for(double, connect):
    client = connect()
    client.append(some(1))
    client.append(some(1))
    assert not [request for request in double.sent("Append") if request.HasField("known_size")]
    assert client.newest_checkpoint() is None


def test_a_log_put_back_and_grown_again_is_found_by_the_next_append(double, connect):
    client = connect(key=double.tree.vkey)
    client.append(some(3))
    before = client.newest_checkpoint()
    double.reset()
    connect().append(some(5))
    with pytest.raises(HistoryRewrittenError) as caught:
        client.append(some(1))
    assert (caught.value.known, caught.value.offered) == (before, double.tree.note())
    assert client.newest_checkpoint() == before


def test_a_log_put_back_is_behind_its_caller(double, connect, pauses):
    client = connect(key=double.tree.vkey)
    client.append(some(3))
    double.reset()
    with pytest.raises(LogBehindCallerError) as caught:
        client.append(some(1))
    assert caught.value.known == client.newest_checkpoint()
    assert double.leaves == []
    assert pauses == []


def test_a_checkpoint_kept_from_an_earlier_process_is_proven(double, connect):
    first = connect(key=double.tree.vkey)
    first.append(some(3))
    known = first.newest_checkpoint()
    second = connect(key=double.tree.vkey, known=known)
    assert second.newest_checkpoint() == known
    assert second.checkpoint().tree_size == 3
    double.reset()
    connect().append(some(5))
    with pytest.raises(HistoryRewrittenError):
        connect(key=double.tree.vkey, known=known).checkpoint()


def test_a_proof_that_comes_with_a_smaller_checkpoint_is_refused(double, connect):
    client = connect(key=double.tree.vkey)
    client.append(some(8))
    double.reset()
    connect().append(some(5))
    for prove in (lambda: client.prove(1), lambda: client.prove_consistency(2)):
        with pytest.raises(HistoryRewrittenError):
            prove()


def test_inclusion_proofs_are_verified(double, connect):
    client = connect(key=double.tree.vkey)
    client.append(some(8))
    assert client.prove(5).index == 5
    assert client.prove(5, tree_size=6).tree_size == 6
    double.leaves[5] = double.leaves[4]
    with pytest.raises(ProofError):
        client.prove(5)


def test_receipts_with_leaf_and_proof_are_verified_against_what_was_sent(double, connect, monkeypatch):
    client = connect(key=double.tree.vkey)
    options = {"return_leaves": True, "include_proofs": True}
    event = {"action": "user.login", "outcome": "DENIED", "attributes_json": '{ "amount":1.10}'}
    assert len(client.append([event] * 7, **options).receipts) == 7
    record = double._record

    def record_another(event):
        event.reason = "changed"
        return record(event)

    monkeypatch.setattr(double, "_record", record_another)
    with pytest.raises(MismatchError, match="reason"):
        client.append([event], **options)


def test_a_callers_own_known_size_goes_first(double, connect):
    client = connect(key=double.tree.vkey)
    client.append(some(8))
    result = client.append(some(1), known_size=3)
    assert double.sent("Append")[1].known_size == 3
    assert list(result.consistency_proof) == double.tree.consistency(3, 0, 9)
    assert client.checkpoint(known_size=4).tree_size == 9


def test_each_log_has_a_key_of_its_own(double, connect, service):
    keys = {"main": double.tree.vkey, "other": service.Tree("elsewhere.example.com/other").vkey}
    client = connect(key=keys)
    client.append(some(1))
    client.append(some(1), log="unknown")
    connect(key=keys, known=client.newest_checkpoint()).append(some(1))
    with pytest.raises(WrongLogError):
        client.append(some(1), log="other")
    assert client.newest_checkpoint("other") is client.newest_checkpoint("unknown") is None


def test_a_stream_with_several_batches_under_way_is_verified(double, connect):
    client = connect(key=double.tree.vkey)
    client.append(some(2))
    receipts = list(client.append_stream(some(9_000), max_in_flight=4))
    assert len(receipts) == 9_000
    assert all(request.known_size >= 2 for request in double.sent("Append")[1:])
    double.reset()
    connect().append(some(9_500))
    with pytest.raises(HistoryRewrittenError):
        client.checkpoint()


def test_a_failed_call_forgets_nothing(double, connect, service):
    client = connect(key=double.tree.vkey, retry=RetryPolicy(max_attempts=1))
    client.append(some(2))
    double.fail(service.Failure(grpc.StatusCode.UNAVAILABLE, reason="BUSY"))
    with pytest.raises(Exception, match="refused"):
        client.append(some(1))
    client.append(some(1))
    assert [request.known_size for request in double.sent("Append")] == [0, 2, 2]
