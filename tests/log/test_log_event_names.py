"""Promise 5: an event is recorded once, for ever; its name with another event is an error."""

from __future__ import annotations

import pytest

from auditd.entry import Actor, Origin, Resource, Time, parse_leaf, parse_time
from auditd.errors import ConflictError, InvalidRequestError

BASE = {
    "tenant": "acme",
    "actor": Actor(type="user", id="alice"),
    "resources": (Resource(type="account", id="42"),),
    "origin": Origin(ip="203.0.113.9"),
    "attributes_json": '{"amount":1.10}',
}
DIFFERENCES = {
    "tenant": {"tenant": "other"},
    "reason": {"reason": "added"},
    "action": {"action": "user.logout"},
    "outcome": {"outcome": 2},
    "actor.id": {"actor": Actor(type="user", id="bob")},
    "actor.name": {"actor": Actor(type="user", id="alice", name="Alice")},
    "resources": {"resources": ()},
    "resources[0].id": {"resources": (Resource(type="account", id="43"),)},
    "origin": {"origin": Origin()},
    "attributes": {"attributes_json": '{"amount":1.1}'},
}


@pytest.fixture
def pair(make_events):
    """The same name twice: a first event, and one that differs in the given members."""

    def make(**members):
        return make_events(1, "one", **BASE)[0], make_events(1, "one", **(BASE | members))[0]

    return make


def conflict(run):
    with pytest.raises(ConflictError) as caught:
        run()
    return caught.value


# The same event again


def test_within_a_batch_is_recorded_once(one_log, make_events, make_submission):
    log = one_log.open()
    a, b, c = make_events(3)
    recorded = one_log.record(log, make_submission([a, b, a, c, b, a]))
    assert list(recorded.indexes) == [0, 1, 0, 2, 1, 0]
    assert recorded.duplicates == {2, 4, 5}
    assert log.size == 3
    hashes = [log.leaf_hash(index) for index in recorded.indexes]
    assert list(recorded.leaf_hashes) == hashes
    assert len(set(recorded.recorded_at_us)) == 1


def test_across_batches_of_one_commit_is_recorded_once(one_log, sent, answer):
    log = one_log.open_only()
    answers = [answer() for _ in range(3)]
    for done, (count, tag) in zip(answers, [(2, "a"), (1, "b"), (3, "a")], strict=True):
        log.submit(sent(count, tag, done=done, keep_leaves=True))
    log.start()
    first, other, third = [done.outcome() for done in answers]
    assert (first.indexes, other.indexes, third.indexes) == (range(2), range(2, 3), [0, 1, 3])
    assert third.duplicates == {0, 1}
    assert third.leaves == [*first.leaves, log.leaf(3)]
    assert first.head == third.head


@pytest.mark.parametrize("restart", [False, True], ids=["in the same process", "after a restart"])
def test_later_gets_the_first_receipt(one_log, sent, restart):
    log = one_log.open()
    first = one_log.record(log, sent(5, keep_leaves=True))
    if restart:
        log.close()
        log = one_log.open()
    one_log.now_ns += 3_600_000_000_000
    again = one_log.record(log, sent(7, keep_leaves=True))
    assert list(again.indexes) == list(range(7))
    assert again.duplicates == frozenset(range(5))
    assert again.leaves[:5] == list(first.leaves)
    assert list(again.leaf_hashes[:5]) == list(first.leaf_hashes)
    assert list(again.recorded_at_us[:5]) == list(first.recorded_at_us)
    assert again.recorded_at_us[6] == first.recorded_at_us[0] + 3_600_000_000
    assert again.head.size == 7


def test_alone_commits_nothing(one_log, sent):
    log = one_log.open()
    first = one_log.record(log, sent(5))
    again = one_log.record(log, sent(5))
    assert again.head == first.head
    assert again.duplicates == frozenset(range(5))


def test_is_found_by_its_key(one_log, sent):
    log = one_log.open()
    submission = sent(300)
    one_log.record(log, submission)
    assert [log.find(key) for key in submission.keys] == list(range(300))


# What makes a name


@pytest.mark.parametrize("moment", ["in one batch", "later"])
def test_the_same_id_at_another_time_is_another_event(one_log, make_events, make_submission, moment):
    log = one_log.open()
    early, late = make_events(1)[0], make_events(1, time=Time.from_ns(parse_time("2026-11-24T00:00:00.100Z")))[0]
    if moment == "later":
        one_log.record(log, make_submission([early]))
        assert one_log.record(log, make_submission([late])).indexes == range(1, 2)
    else:
        assert one_log.record(log, make_submission([early, late])).indexes == range(2)


def test_times_within_one_millisecond_are_still_other_events(one_log, make_events, make_submission):
    log = one_log.open()
    base = parse_time("2026-11-24T00:00:00Z")
    events = [make_events(1, time=Time.from_ns(base + ns))[0] for ns in (0, 1, 999_999, 1_000_000)]
    assert one_log.record(log, make_submission(events)).indexes == range(4)


def test_the_same_event_of_another_caller_is_another_event(one_log):
    log = one_log.open()
    assert one_log.append(log, 2, caller="alice").indexes == range(2)
    assert one_log.append(log, 2, caller="bob").indexes == range(2, 4)
    assert list(one_log.append(log, 2, caller="alice").indexes) == [0, 1]
    assert parse_leaf(log.leaf(2))["caller"]["sub"] == "bob"


# The same name with another event


@pytest.mark.parametrize("where", ["in the same batch", "in the same commit", "recorded before"])
@pytest.mark.parametrize(("path", "members"), DIFFERENCES.items(), ids=DIFFERENCES.keys())
def test_another_event_of_the_same_name_names_field_and_first_entry(
    one_log, make_events, make_submission, pair, answer, where, path, members
):
    log = one_log.open_only()
    first, second = pair(**members)
    others = make_events(3, "other")
    queued = answer()
    if where == "in the same batch":
        log.submit(make_submission([others[0], first, others[1], second], done=queued))
        index, position = 1, 3
    else:
        log.submit(make_submission([others[0], first]))
        if where == "recorded before":
            log.start()
        log.submit(make_submission([others[1], others[2], second], done=queued))
        index, position = 1, 2
    if where != "recorded before":
        log.start()
    refusal = queued.outcome()
    assert isinstance(refusal, ConflictError)
    assert refusal.reason == "EVENT_CONFLICT"
    assert refusal.facts == {"field": f"events[{position}].{path}", "index": str(index)}
    assert [violation.field for violation in refusal.violations] == [f"events[{position}].{path}"]
    assert f"events[{position}]: id 'one-0' at 2026-" in refusal.message
    assert f"entry {index}" in refusal.message
    log.close()
    assert one_log.open().size == (0 if where == "in the same batch" else 2)


def test_a_conflict_refuses_its_own_batch_only(one_log, sent, answer):
    log = one_log.open_only()
    answers = [answer() for _ in range(4)]
    log.submit(sent(2, "a", done=answers[0]))
    log.submit(sent(3, "a", done=answers[1], reason="another"))
    log.submit(sent(2, "b", done=answers[2]))
    log.submit(sent(3, "a", done=answers[3]))
    log.start()
    first, refused, other, again = [done.outcome() for done in answers]
    assert isinstance(refused, ConflictError)
    assert (first.indexes, other.indexes, list(again.indexes)) == (range(2), range(2, 4), [0, 1, 4])
    assert log.size == 5


def test_a_batch_refused_for_a_conflict_reserves_no_name(one_log, sent):
    log = one_log.open()
    one_log.record(log, sent(1, "a"))
    conflict(lambda: log.record(sent(2, "a", reason="another")))
    assert list(one_log.record(log, sent(2, "a")).indexes) == [0, 1]


# Events that must not be recorded any more


def test_a_duplicate_that_would_be_refused_if_new_still_gets_its_receipt(one_log, sent):
    log = one_log.open()
    first = one_log.record(log, sent(2))
    too_old = InvalidRequestError("EVENT_TOO_OLD", "too old")
    again = one_log.record(log, sent(2, refused_if_new={0: too_old, 1: too_old}))
    assert (list(again.indexes), list(again.leaf_hashes)) == ([0, 1], list(first.leaf_hashes))


@pytest.mark.parametrize("known", [0, 1, 2], ids=["all new", "one recorded before", "two recorded before"])
def test_a_new_event_that_must_not_be_recorded_refuses_its_batch(one_log, sent, known):
    log = one_log.open()
    if known:
        one_log.record(log, sent(known))
    too_old = InvalidRequestError("EVENT_TOO_OLD", "too old")
    with pytest.raises(InvalidRequestError) as caught:
        log.record(sent(3, refused_if_new={2: too_old}))
    assert caught.value is too_old
    assert log.size == known


def test_a_conflict_is_told_before_a_refusal_of_new_events(one_log, sent):
    log = one_log.open()
    one_log.record(log, sent(1))
    too_old = InvalidRequestError("EVENT_TOO_OLD", "too old")
    assert conflict(lambda: log.record(sent(2, refused_if_new={1: too_old}, reason="another"))).facts["index"] == "0"
