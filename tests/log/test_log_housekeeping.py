"""The write-ahead log is copied back and stays small; strangers may read the evidence meanwhile."""

from __future__ import annotations

import threading

import apsw
import pytest

from auditd.errors import UnavailableError
from auditd.log._housekeeper import Housekeeper


@pytest.fixture
def only_when_told(monkeypatch):
    """No housekeeper works by itself meanwhile."""
    monkeypatch.setattr("auditd.log._housekeeper.INTERVAL_S", 3_600)


@pytest.fixture
def few_pages(monkeypatch, only_when_told):
    monkeypatch.setattr("auditd.log._housekeeper.WAL_PAGES", 20)


def wal_bytes(one_log):
    return (one_log.folder / "evidence.db-wal").stat().st_size


def test_the_write_ahead_log_does_not_grow_without_bound(one_log, few_pages):
    log = one_log.open()
    sizes = []
    for number in range(40):
        one_log.append(log, 200, f"e{number}")
        log._housekeeper.work()
        sizes.append(wal_bytes(one_log))
    assert max(sizes[5:]) <= 2 * max(sizes[:5])
    assert one_log.evidence.stat().st_size > 10 * 4_096
    assert log.size == 8_000


def test_it_waits_where_the_disk_has_no_room_and_says_how_much_it_takes(one_log, few_pages):
    room = 0
    log = one_log.open(room=lambda more: more <= room)
    one_log.append(log, 1_000)
    before = one_log.evidence.stat().st_size
    log._housekeeper.work()
    assert one_log.evidence.stat().st_size == before
    room = owed = log.owed_bytes
    log._housekeeper.work()
    assert one_log.evidence.stat().st_size == before + owed > before
    assert log.owed_bytes == 0


def test_without_the_housekeeper_it_grows(one_log):
    log = one_log.open()
    for number in range(10):
        one_log.append(log, 200, f"e{number}")
    before = wal_bytes(one_log)
    one_log.append(log, 200, "more")
    assert wal_bytes(one_log) > before


def test_the_writer_copies_it_back_itself_where_the_housekeeper_does_not_keep_up(one_log, monkeypatch):
    monkeypatch.setattr("auditd.log._writer.INLINE_WAL_PAGES", 50)
    log = one_log.open()
    sizes = []
    for number in range(40):
        one_log.append(log, 200, f"e{number}")
        sizes.append(wal_bytes(one_log))
    assert max(sizes[5:]) <= 2 * max(sizes[:5])


def test_a_commit_is_answered_though_copying_back_fails(one_log, faulty_disk, monkeypatch):
    monkeypatch.setattr("auditd.log._writer.INLINE_WAL_PAGES", 1)
    log = one_log.open()
    faulty_disk.fail("write", apsw.FullError, for_ever=True, only="evidence.db")
    for number in range(3):
        assert len(one_log.append(log, 5, f"e{number}").indexes) == 5
    faulty_disk.heal()
    one_log.require_one_history(log)


def test_a_housekeeper_that_fails_says_so_and_tries_again(one_log, faulty_disk, few_pages, caplog):
    log = one_log.open()
    one_log.append(log, 1_000)
    before = one_log.evidence.stat().st_size
    faulty_disk.fail("write", apsw.FullError, only="evidence.db")
    log._housekeeper.work()
    assert "housekeeper-main" in caplog.text
    log._housekeeper.work()
    assert one_log.evidence.stat().st_size > before


def test_a_problem_that_stays_is_said_once_and_its_end_too(one_log, only_when_told, caplog):
    caplog.set_level("INFO")
    keeper = one_log.open()._housekeeper
    chore, keeper._chore = keeper._chore, lambda: 1 / 0
    keeper.work()
    keeper.work()
    keeper._chore = chore
    keeper.work()
    keeper.work()
    said = [record.message for record in caplog.records if record.message.startswith("housekeeper-main")]
    assert said == ["housekeeper-main: division by zero", "housekeeper-main: works again"]


def test_a_chore_that_fails_does_not_end_the_housekeeper(one_log, caplog):
    log = one_log.open()
    log._housekeeper._chore = lambda: 1 / 0
    log._housekeeper.work()
    assert "division by zero" in caplog.text
    assert log._housekeeper.is_alive()


def test_the_housekeeper_works_by_itself(one_log, monkeypatch):
    worked = threading.Event()
    monkeypatch.setattr("auditd.log._housekeeper.INTERVAL_S", 0.001)
    monkeypatch.setattr(Housekeeper, "work", lambda self: worked.set())
    one_log.open()
    assert worked.wait(30)


def test_a_log_at_rest_has_no_write_ahead_log(one_log):
    one_log.filled(300).close()
    assert {path.name for path in one_log.folder.iterdir()} == {"evidence.db", "head", "lock", "pending.db"}


# Strangers


def test_the_stock_command_line_reads_the_evidence_while_the_log_is_open(one_log, stock_sqlite):
    log = one_log.filled(300)
    for expected in (300, 301, 302):
        asked = stock_sqlite(one_log.evidence, "SELECT count(*) FROM entries; PRAGMA integrity_check")
        assert (asked.stdout, asked.stderr) == (f"{expected}\nok\n", "")
        one_log.append(log, 1, f"after{expected}")


def test_a_stranger_that_closes_the_evidence_takes_no_write_ahead_log_away(one_log, sent, stock_sqlite, monkeypatch):
    log = one_log.filled(300)
    monkeypatch.setattr(log._store, "append", lambda _: 1 / 0)
    with pytest.raises(UnavailableError):
        log.record(sent(1))
    monkeypatch.undo()
    one_log.append(log, 10, "after the writer reopened the file")
    before = wal_bytes(one_log)
    assert stock_sqlite(one_log.evidence, "SELECT count(*) FROM entries").stdout == "310\n"
    assert wal_bytes(one_log) == before
    one_log.append(log, 10, "after the stranger")
    assert len(log.leaves(0, 320)) == 320


def test_a_stranger_that_holds_the_write_lock_costs_an_answer_but_no_entry(one_log, sent, monkeypatch):
    monkeypatch.setattr("auditd.log._database.BUSY_TIMEOUT_MS", 1)
    log = one_log.filled(3)
    stranger = apsw.Connection(str(one_log.evidence))
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError) as caught:
        log.record(sent(2, "held"))
    assert caught.value.facts["recorded"] == "unknown"
    stranger.execute("ROLLBACK")
    stranger.close()
    assert one_log.record(log, sent(2, "held")).indexes == range(3, 5)
    one_log.require_one_history(log)
