"""The writer: group commit, order, limits of the queue, and an end at which no one is left waiting."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from auditd.entry import MAX_LEAF_BYTES, parse_leaf
from auditd.errors import ExhaustedError, InvalidRequestError, UnavailableError
from auditd.log import QueueLimits, Recorded


def test_what_is_queued_together_is_one_commit_under_one_checkpoint(one_log, sent, answer):
    commits = []

    class Observer:
        def committed(self, plan):
            commits.append(len(plan.keys))

    log = one_log.open_only(observer=Observer())
    answers = [answer() for _ in range(50)]
    for number, done in enumerate(answers):
        log.submit(sent(2, f"s{number}", done=done))
    log.start()
    outcomes = [done.outcome() for done in answers]
    assert commits == [100]
    assert len({outcome.head for outcome in outcomes}) == 1
    assert len({time for outcome in outcomes for time in outcome.recorded_at_us}) == 1


def test_entries_stand_in_the_order_in_which_they_were_submitted(one_log, sent, answer):
    log = one_log.open_only()
    answers = [answer() for _ in range(20)]
    for number, done in enumerate(answers):
        log.submit(sent(3, f"s{number}", done=done))
    log.start()
    assert [list(done.outcome().indexes) for done in answers] == [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(20)]


def test_a_writer_that_has_ended_before_it_is_waited_for_leaves_nobody_waiting(one_log, sent):
    log = one_log.open_only()
    writer = log._writer

    class Queue(queue.SimpleQueue):
        def put(self, item):
            super().put(item)
            if item is None:
                writer.join(10)

    writer._queue._queue = Queue()
    log.start()
    log.record(sent())
    closing = threading.Thread(target=log.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_many_threads_append_at_once_and_each_gets_its_own(one_log, sent):
    log = one_log.open()

    def caller(name):
        return [log.record(sent(1 + number % 3, f"{name}.{number}", name)) for number in range(25)]

    with ThreadPoolExecutor(16) as threads:
        by_caller = dict(zip(map(str, range(16)), threads.map(caller, map(str, range(16))), strict=True))
    assert sorted(i for receipts in by_caller.values() for r in receipts for i in r.indexes) == list(range(log.size))
    for name, receipts in by_caller.items():
        indexes = [index for receipt in receipts for index in receipt.indexes]
        assert indexes == sorted(indexes)
        sizes = [receipt.head.size for receipt in receipts]
        assert sizes == sorted(sizes)
        assert all(receipt.indexes[-1] < receipt.head.size for receipt in receipts)
        first = parse_leaf(log.leaf(indexes[0]))
        assert (first["caller"]["sub"], first["event"]["id"]) == (name, f"{name}.0-0")
        one_log.seen += [receipt.head.note for receipt in receipts]
    one_log.require_one_history(log)


def test_leaves_come_with_the_receipt_if_asked_for(one_log, sent):
    log = one_log.open()
    assert one_log.record(log, sent(3, "a")).leaves == ()
    assert one_log.record(log, sent(3, "b", keep_leaves=True)).leaves == log.leaves(3, 6)


# Limits


@pytest.mark.parametrize("limit", ["max_queued_events", "max_queued_bytes"])
def test_a_full_queue_refuses_at_once_and_has_room_again_later(one_log, sent, answer, limit):
    room = 10 if limit == "max_queued_events" else sent(10, "a").events.event_bytes
    log = one_log.open_only(limits=QueueLimits(**{limit: room}))
    queued = answer()
    log.submit(sent(9, "a", done=queued))
    with pytest.raises(ExhaustedError) as caught:
        log.submit(sent(2, "b"))
    assert (caught.value.reason, caught.value.facts) == ("QUEUE_FULL", {"limit": limit, "value": str(room)})
    assert caught.value.retry_after_s > 0
    log.submit(sent(1, "c"))
    log.start()
    assert isinstance(queued.outcome(), Recorded)
    assert len(one_log.record(log, sent(10, "d")).indexes) == 10


def test_room_is_given_back_for_refused_and_failed_submissions_too(one_log, sent, monkeypatch):
    log = one_log.open(limits=QueueLimits(max_queued_events=3))
    one_log.record(log, sent(3, "a"))
    for _ in range(3):
        with pytest.raises(InvalidRequestError):
            log.record(sent(3, "a", reason="another"))
    monkeypatch.setattr(log._store, "append", lambda _: 1 / 0)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            log.record(sent(3, "b"))
    monkeypatch.undo()
    assert len(one_log.record(log, sent(3, "b")).indexes) == 3


def test_a_leaf_that_could_not_be_read_again_is_refused_before_it_is_queued(one_log, make_submission, make_events):
    log = one_log.open()
    long = make_events(1, "long", attributes_json=f'{{"a":"{"x" * 59_000}"}}')
    for length in (7_000, 6_000):
        batch = make_submission([*make_events(1, "short"), *long], caller="c" * length)
        if length == 7_000:
            with pytest.raises(InvalidRequestError) as caught:
                log.record(batch)
            assert (caught.value.reason, caught.value.violations[0].field) == ("LEAF_TOO_LARGE", "events[1]")
        else:
            one_log.record(log, batch)
    assert MAX_LEAF_BYTES - 700 < len(log.leaf(1)) <= MAX_LEAF_BYTES
    log.close()
    assert one_log.open().size == 2


def test_a_submission_without_events_or_keys_is_a_mistake_of_the_program(one_log, make_submission, make_events):
    log = one_log.open()
    with pytest.raises(ValueError, match="0 events with 0 keys"):
        log.submit(make_submission([]))
    short = make_submission(make_events(2))
    short.keys = short.keys[:1]
    with pytest.raises(ValueError, match="2 events with 1 keys"):
        log.submit(short)
    assert one_log.append(log, 1).indexes == range(1)


# Trouble outside


def test_a_caller_that_cannot_take_its_answer_disturbs_no_other(one_log, sent, answer, caplog):
    def gone(_):
        raise RuntimeError("the caller went away")

    log = one_log.open_only()
    other = answer()
    log.submit(sent(1, "a", done=gone))
    log.submit(sent(1, "b", done=other))
    log.start()
    assert other.outcome().indexes == range(1, 2)
    assert one_log.append(log, 1, "c").indexes == range(2, 3)
    assert "the caller went away" in caplog.text


def test_the_writer_survives_a_delivery_that_fails(one_log, sent, caplog):
    broken = [True]
    delivered = threading.Event()

    def deliver(answers):
        if broken:
            broken.clear()
            delivered.set()
            raise RuntimeError("event loop is closed")
        for submission, outcome in answers:
            submission.done(outcome)

    log = one_log.open(deliver=deliver)
    log.submit(sent(1, "a"))
    assert delivered.wait(30)
    assert one_log.append(log, 1, "b").indexes == range(1, 2)
    assert list(one_log.append(log, 1, "a").indexes) == [0]
    assert "event loop is closed" in caplog.text


def test_the_writer_survives_a_clock_that_fails(one_log, sent):
    moments = iter([one_log.now_ns])
    log = one_log.open(clock=lambda: next(moments))
    one_log.record(log, sent(1, "a"))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            log.record(sent(1, "b"))
    moments = iter([one_log.now_ns])
    assert one_log.record(log, sent(1, "b")).indexes == range(1, 2)


# The end


def test_close_records_what_is_queued(one_log, sent, answer):
    log = one_log.open()
    answers = [answer() for _ in range(30)]
    for number, done in enumerate(answers):
        log.submit(sent(10, f"s{number}", done=done))
    log.close()
    assert all(done.given for done in answers)
    assert sum(len(done.outcome().indexes) for done in answers) == 300
    assert one_log.open().size == 300


def test_closing_a_log_that_was_never_started_refuses_what_is_queued(one_log, sent, answer):
    log = one_log.open_only()
    queued = answer()
    log.submit(sent(1, done=queued))
    log.close()
    refusal = queued.outcome()
    assert isinstance(refusal, UnavailableError)
    assert refusal.facts == {"recorded": "no"}
    assert one_log.open().size == 0


def test_nothing_hangs_after_close(one_log, sent):
    log = one_log.filled(300)
    log.close()
    log.close()
    for ask in (
        lambda: log.submit(sent(1, "late")),
        lambda: log.record(sent(1, "late")),
        lambda: log.leaf(0),
        lambda: log.leaves(0, 300),
        lambda: log.find(bytes(16)),
    ):
        with pytest.raises(UnavailableError):
            ask()
    with pytest.raises(UnavailableError) as caught:
        log.record(sent(1, "late"))
    assert caught.value.facts == {"recorded": "no"}
    assert log.tree_head.size == 300


def test_close_while_callers_append_answers_every_one_of_them(one_log, sent):
    log = one_log.open()
    under_way = threading.Barrier(5)

    def caller(name):
        for number in range(5):
            log.record(sent(1, f"{name}.{number}", name))
        under_way.wait(30)
        for number in itertools.count(5):
            outcome = one_log.outcome(log, sent(1, f"{name}.{number}", name))
            if not isinstance(outcome, Recorded):
                return number, outcome
        raise AssertionError

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(caller, str(number)) for number in range(4)]
        under_way.wait(30)
        log.close()
        ends = [task.result(30) for task in running]
    assert [refusal.facts for _, refusal in ends] == [{"recorded": "no"}] * 4
    assert one_log.open().size == sum(recorded for recorded, _ in ends)


def test_close_while_readers_read_leaves_no_one_waiting(one_log):
    log = one_log.filled(600)
    under_way = threading.Barrier(13)

    def reader(start):
        under_way.wait(30)
        try:
            while True:
                assert len(log.leaves(start, start + 100)) == 100
        except UnavailableError as refusal:
            return refusal.reason

    with ThreadPoolExecutor(12) as threads:
        running = [threads.submit(reader, number * 40) for number in range(12)]
        under_way.wait(30)
        log.close()
        assert {task.result(30) for task in running} == {"LOG_CLOSED"}


def test_a_last_checkpoint_that_cannot_be_stored_is_only_logged(one_log, monkeypatch, caplog):
    log = one_log.filled(3)

    def fail(_):
        raise UnavailableError("EVIDENCE_UNAVAILABLE", "disk full")

    monkeypatch.setattr(log._store, "append", fail)
    with caplog.at_level(logging.WARNING):
        log.close()
    assert "the last checkpoint could not be stored: disk full" in caplog.text
    assert one_log.open().size == 3
