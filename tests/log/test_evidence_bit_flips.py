"""Bit rot: whatever bit of a closed evidence file flips, an answer is the same as before or a typed error."""

from __future__ import annotations

import random
import re

import apsw
import pytest

from auditd.entry import KeyMaker
from auditd.errors import AuditdError, DamagedError, FolderError, UnavailableError

SIZE = 1_200
KEY = KeyMaker("https://idp.example.com", "alice")


def answers(one_log, sent):
    """Everything that a reader could ask, each answer or its error."""
    try:
        log = one_log.open()
    except (DamagedError, FolderError) as error:
        return {"open": error}
    names = [KEY(event.id, event.time, event.time_ns) for event in sent(200, "fill1000").events]
    asked = {
        "head": lambda: log.tree_head,
        **{f"leaves {start}": lambda start=start: log.leaves(start, start + 100) for start in range(0, SIZE, 100)},
        "found": lambda: [log.find(name) for name in names],
        "proofs": lambda: log.proofs.inclusion_paths(range(0, SIZE, 31), SIZE),
        "consistency": lambda: [log.proofs.consistency(size, SIZE) for size in range(1, SIZE, 97)],
        "append again": lambda: log.record(sent(1_000, "fill0")).indexes,
        "append": lambda: log.record(sent(3, "new")).indexes,
    }
    given = {}
    for question, ask in asked.items():
        try:
            given[question] = ask()
        except AuditdError as error:
            given[question] = error
    log.close()
    return given


@pytest.mark.parametrize("flips", [30, pytest.param(500, marks=pytest.mark.soak)])
def test_a_flipped_bit_never_gives_a_wrong_answer(one_log, sent, flips):
    one_log.filled(SIZE).close()
    whole = one_log.evidence.read_bytes()
    head = (one_log.folder / "head").read_bytes()

    def put(data):
        one_log.evidence.write_bytes(data)
        (one_log.folder / "head").write_bytes(head)
        (one_log.folder / "evidence.db-wal").unlink(missing_ok=True)
        return answers(one_log, sent)

    expected = put(whole)
    choose = random.Random(2026 + flips)
    refused = 0
    for position in choose.sample(range(len(whole)), flips):
        data = bytearray(whole)
        data[position] ^= 1 << choose.randrange(8)
        given = put(data)
        errors = {question: answer for question, answer in given.items() if isinstance(answer, AuditdError)}
        for question, answer in given.items():
            if question in errors:
                kinds = (DamagedError, FolderError) if question == "open" else (DamagedError, UnavailableError)
                assert isinstance(answer, kinds), f"bit in byte {position}: {question}: {answer!r}"
            else:
                assert answer == expected[question], f"bit in byte {position}: {question}"
        refused += bool(errors)
    assert refused > flips // 2


def flip(path, position):
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_in_a_leaf_is_damage_and_spares_the_entries_of_other_pages(one_log, rows):
    one_log.filled(SIZE).close()
    ((frame,),) = rows(one_log.evidence, "SELECT leaf FROM entries WHERE idx = 700")
    flip(one_log.evidence, one_log.evidence.read_bytes().index(frame) + 20)
    log = one_log.open()
    with pytest.raises(DamagedError) as caught:
        log.leaf(700)
    assert caught.value.reason == "EVIDENCE_UNREADABLE"
    assert "run 'auditlog check', restore a backup" in caught.value.message
    assert str(one_log.folder) not in caught.value.message
    assert len(log.leaves(0, 600)) == 600
    assert log.leaf(SIZE - 1)


def test_a_flipped_bit_in_a_key_lets_no_name_in_twice(one_log, sent):
    event = sent(1_000, "fill0").events[700]
    key = KEY(event.id, event.time, event.time_ns)
    one_log.filled(SIZE).close()
    whole = one_log.evidence.read_bytes()
    places = [match.start() for match in re.finditer(re.escape(key), whole)]
    assert len(places) >= 2  # in the table and in its index
    for place in places:
        one_log.evidence.write_bytes(whole)
        flip(one_log.evidence, place + 12)
        log = one_log.open()
        with pytest.raises(DamagedError):
            log.find(key)
        with pytest.raises(DamagedError) as caught:
            log.record(sent(1_000, "fill0"))
        assert caught.value.facts["recorded"] in ("no", "unknown")
        assert log.size == SIZE
        log.close()


def io_error(code):
    error = apsw.IOError("disk I/O error")
    error.extendedresult = code
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(lambda: io_error(apsw.SQLITE_IOERR_READ), UnavailableError, id="a read that fails"),
        pytest.param(lambda: io_error(apsw.SQLITE_IOERR_DATA), DamagedError, id="a checksum"),
        pytest.param(lambda: io_error(apsw.SQLITE_IOERR_CORRUPTFS), UnavailableError, id="a medium that fails"),
        pytest.param(apsw.CorruptError, DamagedError, id="a page that makes no sense"),
        pytest.param(apsw.NoMemError, UnavailableError, id="no memory"),
    ],
)
def test_no_error_of_sqlite_reaches_a_reader(one_log, faulty_disk, error, kind):
    one_log.filled(SIZE).close()
    log = one_log.open()
    faulty_disk.fail("read", error, for_ever=True)
    for read in (lambda: log.leaf(600), lambda: log.leaves(500, 700), lambda: log.find(bytes(16))):
        with pytest.raises(kind) as caught:
            read()
        assert caught.value.reason == ("EVIDENCE_UNREADABLE" if kind is DamagedError else "EVIDENCE_UNAVAILABLE")
    faulty_disk.heal()
    assert log.leaves(500, 700)
