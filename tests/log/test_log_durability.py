"""Promises 1 and 2: what was acknowledged is there, and every checkpoint extends those before it."""

from __future__ import annotations

import itertools
import os
import resource

import apsw
import pytest

from auditd.errors import UnavailableError
from auditd.log import Recorded


def fsync_failed():
    error = apsw.IOError("fsync failed")
    error.extendedresult = apsw.SQLITE_IOERR_FSYNC
    return error


def write_failed():
    error = apsw.IOError("write failed")
    error.extendedresult = apsw.SQLITE_IOERR_WRITE
    return error


def disk_full():
    return apsw.FullError("disk full")


FAULTS = [
    pytest.param("write", write_failed, False, id="a write is lost"),
    pytest.param("write", write_failed, True, id="a write is stored, but fails"),
    pytest.param("write", disk_full, False, id="the disk is full"),
    pytest.param("sync", fsync_failed, False, id="a sync is lost"),
    pytest.param("sync", fsync_failed, True, id="a sync is done, but fails"),
]


def refused(one_log, log, sent):
    with pytest.raises(UnavailableError) as caught:
        one_log.record(log, sent)
    return caught.value


def test_acknowledged_entries_survive_a_kill(one_log, tmp_path):
    log = one_log.open()
    acknowledged = [one_log.append(log, count, f"batch{count}") for count in (1, 7, 300)]
    leaves = log.leaves(0, log.size)
    again = one_log.open(one_log.crash_image(tmp_path / "image"))
    assert again.leaves(0, again.size) == leaves
    assert again.tree_head == acknowledged[-1].head
    one_log.require_one_history(again)


def test_the_order_is_sync_then_head_then_answer(one_log, faulty_disk, monkeypatch):
    order = faulty_disk.operations
    pwrite = os.pwrite
    monkeypatch.setattr("auditd.log._head.os.pwrite", lambda *args: (order.append("head"), pwrite(*args))[1])

    def deliver(answers):
        order.append("answer")
        for submission, outcome in answers:
            submission.done(outcome)

    log = one_log.open(deliver=deliver)
    one_log.append(log, 3, "first")
    order.clear()
    one_log.append(log, 3, "second")
    steps = [step for step, _ in itertools.groupby(order) if step != "read"]
    assert steps[-4:] == ["write", "sync", "head", "answer"]
    assert [steps.count(step) for step in ("sync", "head", "answer")] == [1, 1, 1]


@pytest.mark.parametrize(("operation", "error", "stored"), FAULTS)
def test_a_commit_that_fails_at_any_step_is_made_good(one_log, sent, faulty_disk, tmp_path, operation, error, stored):
    log = one_log.open()
    one_log.append(log, 250, "before")
    for number in itertools.count():
        head = log.tree_head
        submission = sent(10, f"batch{number}")
        faulty_disk.fail(operation, error, number, stored=stored)
        outcome = one_log.outcome(log, submission)
        if isinstance(outcome, Recorded):  # it has no such step any more
            break
        assert outcome.facts["recorded"] == "unknown"
        faulty_disk.heal()
        assert log.tree_head == head
        one_log.require_image_goes_on(tmp_path / f"image{number}", submission, head.size)
        assert list(one_log.record(log, submission).indexes) == list(range(head.size, head.size + 10))
    assert number >= (1 if operation == "sync" else 5)
    one_log.require_one_history(log)


def test_a_commit_answered_as_failed_that_was_stored_gives_its_first_receipt(one_log, sent, monkeypatch):
    log = one_log.open()
    one_log.append(log, 3, "before")
    append = log._store.append

    def stored_but_failed(batch):
        append(batch)
        monkeypatch.undo()
        raise OSError("the answer got lost")

    monkeypatch.setattr(log._store, "append", stored_but_failed)
    head = log.tree_head
    submission = sent(5, "lost")
    assert refused(one_log, log, submission).facts == {"recorded": "unknown"}
    assert log.tree_head == head
    retried = one_log.record(log, submission)
    assert (list(retried.indexes), retried.duplicates) == ([3, 4, 5, 6, 7], frozenset(range(5)))
    assert log.size == 8
    one_log.require_one_history(log)


def test_a_failed_commit_refuses_everyone_in_it_and_no_one_after_it(one_log, sent, answer, faulty_disk):
    log = one_log.open_only()
    answers = [answer() for _ in range(4)]
    for number, done in enumerate(answers):
        log.submit(sent(2, f"s{number}", done=done))
    faulty_disk.fail("write", disk_full)
    log.start()
    reasons = {done.outcome().reason for done in answers}
    assert reasons == {"COMMIT_FAILED"}
    assert one_log.append(log, 1, "after").indexes == range(1)


def test_a_transaction_that_a_failed_commit_left_open_does_not_stop_the_log(one_log, sent, monkeypatch):
    log = one_log.open()

    def left_open(_):
        log._store._writer.execute("BEGIN IMMEDIATE")
        raise OSError("and the rollback failed too")

    monkeypatch.setattr(log._store, "append", left_open)
    refused(one_log, log, sent(2))
    monkeypatch.undo()
    assert one_log.record(log, sent(2)).indexes == range(2)


def test_appends_resume_by_themselves_after_a_full_disk(one_log, sent, faulty_disk):
    log = one_log.open()
    one_log.append(log, 2, "before")
    faulty_disk.fail("write", disk_full, for_ever=True)
    submission = sent(2, "full")
    for _ in range(3):
        assert refused(one_log, log, submission).reason == "COMMIT_FAILED"
    faulty_disk.heal()
    assert list(one_log.record(log, submission).indexes) == [2, 3]
    one_log.require_one_history(log)


def test_appends_resume_after_a_file_size_limit_was_met(one_log, sent):
    log = one_log.open()
    one_log.append(log, 2, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((one_log.folder / "evidence.db-wal").stat().st_size, hard))
    submission = sent(50, "limited")
    try:
        assert refused(one_log, log, submission).facts["recorded"] == "unknown"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(one_log.record(log, submission).indexes) == 50
    one_log.require_one_history(log)


def failing(pwrite, outcome):
    def write(descriptor, data, offset):
        if outcome == "stored":
            pwrite(descriptor, data, offset)
        elif outcome == "torn":
            return pwrite(descriptor, data[:40], offset)
        raise OSError(5, "Input/output error")

    return write


@pytest.mark.parametrize("outcome", ["lost", "stored", "torn"])
def test_a_checkpoint_is_not_shown_until_head_holds_it(one_log, sent, monkeypatch, tmp_path, outcome):
    log = one_log.open()
    one_log.append(log, 3, "before")
    head = log.tree_head
    pwrite = os.pwrite
    monkeypatch.setattr("auditd.log._head.os.pwrite", failing(pwrite, outcome))
    submission = sent(2, "unseen")
    first = refused(one_log, log, submission)
    second = refused(one_log, log, sent(2, "later"))
    assert (first.reason, first.facts["recorded"]) == ("COMMIT_FAILED", "unknown")
    assert (second.reason, second.facts["recorded"]) == ("NOT_RECORDED", "no")
    assert (log.tree_head, log.size) == (head, 3)
    with pytest.raises(ValueError, match="tree of size 3"):
        log.leaves(3, 5)
    assert log.find(submission.keys[0]) is None
    monkeypatch.setattr("auditd.log._head.os.pwrite", pwrite)
    image = one_log.open(one_log.crash_image(tmp_path / "image"))
    assert image.size == 5
    retried = one_log.record(log, submission)
    assert (list(retried.indexes), retried.duplicates) == ([3, 4], frozenset({0, 1}))
    assert log.size == 5
    one_log.require_one_history(log)


def test_an_observer_that_raises_costs_an_answer_but_no_entry(one_log, sent):
    class Observer:
        failures = 1

        def committed(self, plan):
            if self.failures:
                self.failures -= 1
                raise RuntimeError("index gone")

    log = one_log.open(observer=Observer())
    submission = sent(2)
    assert refused(one_log, log, submission).facts["recorded"] == "unknown"
    assert one_log.record(log, submission).duplicates == frozenset({0, 1})
    one_log.require_one_history(log)


def test_the_observer_is_told_of_each_commit_after_head_was_written(one_log):
    told = []

    class Observer:
        def committed(self, plan):
            told.append((plan.size, len(plan.keys), log.size))

    log = one_log.open(observer=Observer())
    one_log.append(log, 2, "a")
    one_log.append(log, 3, "b")
    one_log.append(log, 3, "b")
    assert told == [(0, 2, 2), (2, 3, 5)]
