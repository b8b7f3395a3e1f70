"""What SQLite calls damaged is looked at again: a device that refuses reads is no damage, and is tried again."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import apsw
import pytest

from auditd.errors import DamagedError, UnavailableError
from auditd.log._plain_files import refused_read
from auditd.log.check import EvidenceReader, check_log

SIZE = 1_000


def refused():
    """What SQLite's own VFS says where a read ends with EIO."""
    error = apsw.IOError("disk I/O error")
    error.extendedresult = apsw.SQLITE_IOERR_CORRUPTFS
    return error


@pytest.fixture
def log(one_log, faulty_disk):
    one_log.filled(SIZE).close()
    return one_log.open()


def test_a_read_that_is_refused_once_is_made_again(log, faulty_disk):
    faulty_disk.fail("read", refused)
    assert log.leaf(600)
    assert (log.unreadable, log.read_failures) == ("", 0)


def test_what_stays_refused_is_remembered_until_it_can_be_read(log, faulty_disk):
    faulty_disk.fail("read", refused, for_ever=True)
    for _ in range(3):
        with pytest.raises(UnavailableError) as caught:
            log.leaf(600)
        assert caught.value.reason == "EVIDENCE_UNAVAILABLE"
    assert "main/evidence.db cannot be read now: its device refuses byte 0 of evidence.db" in log.unreadable
    assert log.read_failures == 3
    log._store.read_again()
    assert log.unreadable
    faulty_disk.heal()
    log._store.read_again()
    assert log.unreadable == ""
    assert log.leaf(600)


def test_a_place_that_is_damaged_once_it_can_be_read_is_not_called_refused(one_log, log, faulty_disk, rows):
    faulty_disk.fail("read", refused, for_ever=True)
    with pytest.raises(UnavailableError):
        log.leaf(600)
    ((frame,),) = rows(one_log.evidence, "SELECT leaf FROM entries WHERE idx = 600")
    data = bytearray(one_log.evidence.read_bytes())
    data[data.index(frame) + 20] ^= 1
    with one_log.evidence.open("r+b") as file:
        file.write(data)
    faulty_disk.heal()
    log._store.read_again()
    assert log.unreadable == ""
    with pytest.raises(DamagedError) as caught:
        log.leaf(600)
    assert (caught.value.reason, caught.value.facts["index"]) == ("EVIDENCE_UNREADABLE", "600")


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_an_append_whose_reads_are_refused_is_unavailable_and_resumes(one_log, log, faulty_disk, sent, for_ever):
    for number in range(12):
        submission = sent(3, f"s{number}")
        faulty_disk.fail("read", refused, number, for_ever=for_ever)
        with suppress(UnavailableError):
            one_log.record(log, submission)
        faulty_disk.heal()
        assert len(one_log.record(log, submission).indexes) == 3
    assert log.size == SIZE + 36
    one_log.require_one_history(log)


@pytest.fixture
def check(one_log, faulty_disk, monkeypatch):
    """Check a log whose page checksums alone are read from the disk that fails."""
    one_log.filled(SIZE).close()
    monkeypatch.setattr("auditd.log.check._reading.checksum_vfs", lambda: "faulty")
    return lambda: check_log("main", one_log.folder, one_log.signer.verifier_key)


@pytest.mark.parametrize("number", [0, 3, 20])
def test_a_page_that_is_refused_to_a_check_is_no_finding(check, faulty_disk, number):
    faulty_disk.fail("read", refused, number)
    report = check()
    assert (report.finding_count, report.entries) == (0, SIZE)
    faulty_disk.fail("read", refused, number, for_ever=True)
    report = check()
    assert "main/evidence.db cannot be read now: its device refuses byte" in report.unread
    assert (report.finding_count, report.entries, report.is_sound) == (0, SIZE, False)
    faulty_disk.heal()
    assert check().is_sound


def test_damage_is_a_finding_whatever_is_refused_beside(one_log, check, faulty_disk, rows):
    ((frame,),) = rows(one_log.evidence, "SELECT leaf FROM entries WHERE idx = 600")
    data = bytearray(one_log.evidence.read_bytes())
    data[data.index(frame) + 20] ^= 1
    one_log.evidence.write_bytes(data)
    faulty_disk.fail("read", refused, 3, for_ever=True)
    report = check()
    assert {finding.where for finding in report.findings} >= {"entry 600"}
    assert "cannot be read now" in report.unread


def test_a_page_that_makes_no_sense_costs_a_check_its_entries_alone(one_log, rows):
    one_log.filled(SIZE).close()
    ((frame,),) = rows(one_log.evidence, "SELECT leaf FROM entries WHERE idx = 600")
    data = bytearray(one_log.evidence.read_bytes())
    start = data.index(frame) // 4_096 * 4_096
    data[start : start + 4_096] = b"\xff" * 4_096
    one_log.evidence.write_bytes(data)
    report = check_log("main", one_log.folder, one_log.signer.verifier_key)
    damaged = {finding.where for finding in report.findings if finding.kind == "FRAME_DAMAGED"}
    assert "entry 600" in damaged
    assert len(damaged) < 50
    assert (report.entries, report.unread) == (SIZE, "")


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_whichever_read_is_refused_to_a_check_it_finds_nothing_wrong(one_log, faulty_disk, monkeypatch, for_ever):
    one_log.filled(SIZE).close()
    for module in ("_second_look", "check._reading"):
        monkeypatch.setattr(f"auditd.log.{module}.plain_vfs", lambda: "faulty")
    number, ended = 0, False
    while not ended:
        faulty_disk.operations.clear()
        faulty_disk.fail("read", refused, number, for_ever=for_ever)
        report = check_log("main", one_log.folder, one_log.signer.verifier_key)
        assert (report.findings, report.unread != "") == ([], not report.is_sound), number
        ended = faulty_disk.operations.count("read") <= number
        number += 1
    assert number > SIZE // 100


@pytest.mark.parametrize("number", range(6))
def test_a_tile_that_is_refused_half_way_makes_no_other_one_wrong(one_log, monkeypatch, number):
    one_log.filled(SIZE).close()
    calls, read = count(), EvidenceReader.tile

    def tile(reader, level, index):
        if next(calls) == number:
            raise refused_read(one_log.evidence, "byte 0 of evidence.db")
        return read(reader, level, index)

    monkeypatch.setattr(EvidenceReader, "tile", tile)
    report = check_log("main", one_log.folder, one_log.signer.verifier_key)
    assert (report.findings, report.unread != "") == ([], True)
