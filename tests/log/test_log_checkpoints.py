"""Stored checkpoints, and the times of entries."""

from __future__ import annotations

import pytest

from auditd.entry import parse_leaf
from auditd_client.verify import open_checkpoint


@pytest.fixture
def stored(one_log, rows):
    """Sizes of the stored checkpoints; each note must be one of the log's, at the size of its row."""

    def sizes():
        found = rows(one_log.evidence, "SELECT id, size, note FROM checkpoints ORDER BY id")
        assert [row[0] for row in found] == list(range(len(found)))
        one_log.seen += [note for *_, note in found]
        for _, size, note in found:
            assert open_checkpoint(note, str(one_log.signer.verifier_key)).size == size
        return [size for _, size, _ in found]

    return sizes


def test_a_commit_stores_the_checkpoint_of_the_one_before_it(one_log, stored):
    log = one_log.open()
    for number in range(4):
        one_log.append(log, 10, f"e{number}")
        assert stored() == [10 * n for n in range(1, number + 1)]
        one_log.seconds += 1.0
    one_log.require_one_history(log)


def test_at_most_one_checkpoint_a_second_is_stored(one_log, stored):
    log = one_log.open()
    for number in range(31):
        one_log.append(log, 1, f"e{number}")
        one_log.seconds += 0.1
    assert len(stored()) in (3, 4)
    assert stored()[0] == 1


def test_the_last_checkpoint_is_stored_at_the_end(one_log, stored):
    log = one_log.open()
    for number in range(5):
        one_log.append(log, 2, f"e{number}")
    log.close()
    assert stored() == [2, 10]


def test_an_empty_log_stores_no_checkpoint(one_log, stored):
    one_log.open().close()
    assert stored() == []


def test_repeated_events_store_no_checkpoint(one_log, stored):
    log = one_log.open()
    one_log.append(log, 3)
    one_log.seconds += 60
    one_log.append(log, 3)
    assert stored() == []


def test_a_checkpoint_is_stored_again_after_the_commit_that_held_it_failed(one_log, sent, monkeypatch, stored):
    log = one_log.open()
    one_log.append(log, 1, "a")
    monkeypatch.setattr(log._store, "append", lambda _: 1 / 0)
    with pytest.raises(Exception, match="division by zero"):
        log.record(sent(1, "b"))
    monkeypatch.undo()
    one_log.seconds += 1.0
    one_log.append(log, 1, "c")
    assert stored() == [1]


def test_checkpoints_carry_what_is_said_of_the_other_logs(one_log, rows):
    notes = iter(["first", "second"])
    log = one_log.open(peers=lambda: next(notes))
    one_log.append(log, 1, "a")
    one_log.append(log, 1, "b")
    log.close()
    assert rows(one_log.evidence, "SELECT peers FROM checkpoints ORDER BY id") == [("first",), ("second",)]


# Times


def recorded_at(log):
    return [parse_leaf(leaf)["recorded_at"] for leaf in log.leaves(0, log.size)]


def test_recorded_at_is_the_clocks_in_microseconds(one_log):
    one_log.now_ns = 1_795_500_000_123_456_789
    log = one_log.open()
    recorded = one_log.append(log, 2)
    assert list(recorded.recorded_at_us) == [1_795_500_000_123_456] * 2
    assert recorded_at(log) == ["2026-11-24T06:00:00.123456Z"] * 2


@pytest.mark.parametrize("restart", [False, True], ids=["while open", "over a restart"])
def test_recorded_at_never_goes_back_with_a_clock_that_does(one_log, restart):
    log = one_log.open()
    receipts = []
    for number, step_s in enumerate([0, 5, -3_600, -1, 0, 3_599, 10]):
        one_log.now_ns += step_s * 1_000_000_000
        receipts.append(one_log.append(log, 1, f"e{number}").recorded_at_us[0])
        if restart:
            log.close()
            log = one_log.open()
    assert receipts == sorted(receipts)
    assert receipts[1:6] == [receipts[0] + 5_000_000] * 5
    assert receipts[6] == receipts[0] + 13_000_000
    assert recorded_at(log) == sorted(recorded_at(log))
