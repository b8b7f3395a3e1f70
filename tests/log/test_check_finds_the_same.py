"""A check finds the same in one process and in several, in native code and without it."""

from __future__ import annotations

import multiprocessing
import os
import signal

import orjson
import pytest
import zstandard

from auditd.entry import event_key, parse_time
from auditd.errors import UnavailableError
from auditd.log.check import _leaves, _ranges, check_log

SIZE = 700


def frame(leaf):
    return zstandard.ZstdCompressor(level=1).compress(leaf)


def put(index, leaf):
    return "UPDATE entries SET leaf = ? WHERE idx = ?", (frame(leaf), index)


def changed(number, /, **members):
    """Return a change of a leaf's members, with a key that fits it."""

    def change(leaf):
        entry = orjson.loads(leaf)
        entry["event"] |= members.pop("event", {})
        entry["caller"] |= members.pop("caller", {})
        entry |= members
        caller, event = entry["caller"], entry["event"]
        key = event_key(caller.get("iss", ""), caller["sub"], event["id"], event["time"], parse_time(event["time"]))
        sql = "UPDATE entries SET leaf = ?, key = ? WHERE idx = ?"
        return sql, (frame(orjson.dumps(entry)), key, number)

    return number, change


# What is done to the leaf of one entry, and what a check finds beside the leaf that is changed.
DAMAGE = {
    "no frame": ((5, lambda _: ("UPDATE entries SET leaf = x'00' WHERE idx = 5", ())), ["FRAME_DAMAGED"]),
    "no JSON": ((5, lambda leaf: put(5, leaf[:-1])), ["LEAF_MALFORMED"]),
    "another version": ((5, lambda leaf: put(5, leaf.replace(b'"v":1', b'"v":2', 1))), ["LEAF_MALFORMED"]),
    "a member more": ((5, lambda leaf: put(5, leaf[:-1] + b',"more":1}')), ["LEAF_MALFORMED"]),
    "members in another order": (
        (5, lambda leaf: put(5, orjson.dumps(dict(reversed(orjson.loads(leaf).items()))))),
        ["LEAF_MALFORMED"],
    ),
    "an event that is none": (
        (5, lambda leaf: put(5, leaf[: leaf.index(b',"event":')] + b',"event":[]}')),
        ["LEAF_MALFORMED"],
    ),
    "another event": (changed(5, event={"action": "user.logon"}), []),
    "another key": (
        (5, lambda _: ("UPDATE entries SET key = x'00112233445566778899aabbccddeeff' WHERE idx = 5", ())),
        ["KEY_DAMAGED"],
    ),
    "another index": (changed(5, index=6), ["ENTRY_MOVED"]),
    "another log": (changed(5, log="audit.example.com/other"), ["ENTRY_MOVED"]),
    "an earlier time": (changed(300, recorded_at="2020-01-01T00:00:00.000000Z"), ["TIME_REVERSED"]),
    "a later time": (changed(300, recorded_at="2120-01-01T00:00:00.000000Z"), ["TIME_REVERSED"]),
    "an earlier time where a range begins": (
        changed(320, recorded_at="2020-01-01T00:00:00.000000Z"),
        ["TIME_REVERSED"],
    ),
    "a time that is none": (changed(5, recorded_at=7), ["LEAF_MALFORMED"]),
    "a time before 1970": ((5, lambda leaf: put(5, leaf.replace(b'"time":"2', b'"time":"1', 1))), ["LEAF_MALFORMED"]),
    "a credential that is not there": (changed(5, caller={"credential": "ab" * 32}), ["CREDENTIAL_MISSING"]),
    "an actor's credential": (
        changed(5, event={"actor": {"id": "a", "credential": "ab" * 32}}),
        ["CREDENTIAL_MISSING"],
    ),
    "a credential that is none": (changed(5, caller={"credential": "zz"}), ["LEAF_MALFORMED"]),
    "a certificate": (changed(5, caller={"kind": "certificate", "credential": "ab" * 32}), []),
    "escapes": (changed(5, event={"reason": 'a "b"\n', "id": 'a"b'}), []),
    "an entry deleted": ((5, lambda _: ("DELETE FROM entries WHERE idx = 5", ())), ["ENTRY_MISSING"]),
    "entries deleted across ranges": (
        (5, lambda _: ("DELETE FROM entries WHERE idx BETWEEN 250 AND 261", ())),
        ["ENTRY_MISSING"] * 12,
    ),
}
ACROSS_RANGES = ["an earlier time where a range begins", "entries deleted across ranges"]


@pytest.fixture(scope="module", autouse=True)
def small_ranges():
    """Divide small logs as large ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ranges, "_RANGE", 64)
        patch.setattr(_ranges, "_LEAST_A_JOB", 64)
        yield


@pytest.fixture
def found(one_log, monkeypatch):
    """Check the log in some ways; return what was found, which is the same."""

    def run(*ways):
        reports = []
        for way in ways:
            with monkeypatch.context() as patch:
                if way == "without native code":
                    patch.setattr(_leaves, "native", None)
                seen = []
                report = check_log(
                    "main",
                    one_log.folder,
                    one_log.signer.verifier_key,
                    progress=lambda done, total, seen=seen: seen.append((done, total)),
                    jobs=2 if way == "two processes" else 1,
                )
            assert seen[-1] == (report.entries, report.entries)
            reports.append(report)
        assert reports[0] == reports[-1]
        return reports[0]

    return run


def test_a_sound_log_is_sound_in_every_way(one_log, found):
    one_log.filled(SIZE).close()
    for way in ("one process", "without native code", "two processes"):
        report = found(way)
        assert (report.findings, report.entries, report.unprotected) == ([], SIZE, 0)


@pytest.mark.parametrize(("change", "expected"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_alike_with_and_without_native_code(one_log, tamper, found, change, expected):
    log = one_log.filled(SIZE)
    index, make = change
    leaf = log.leaf(index)
    log.close()
    tamper(one_log.evidence, make(leaf))
    kinds = [finding.kind for finding in found("one process", "without native code").findings]
    assert [kind for kind in kinds if kind in expected] == expected
    assert kinds
    assert set(kinds) <= {*expected, "LEAF_CHANGED"}


@pytest.mark.parametrize(
    ("index", "kind", "said"),
    [
        (2**62, "ENTRY_MISSING", f"entries {SIZE} to {2**62 - 1}"),
        (2**63 - 1, "ENTRY_MISSING", f"entries {SIZE} to {2**63 - 2}"),
        (5_000_000, "ENTRY_MISSING", f"entries {SIZE} to 4999999"),
        (-7, "ENTRY_MOVED", "entry -7"),
    ],
)
def test_a_row_far_from_all_others_is_named_at_once(one_log, tamper, found, index, kind, said):
    one_log.filled(SIZE).close()
    tamper(
        one_log.evidence,
        f"INSERT INTO entries (idx, key, leaf) VALUES ({index}, x'00112233445566778899aabbccddeeff', x'00')",
    )
    findings = [(finding.kind, finding.where) for finding in found("one process", "two processes").findings]
    assert findings == [(kind, said)]


def test_several_processes_find_what_one_finds(one_log, tamper, found):
    log = one_log.filled(SIZE)
    leaves = log.leaves(0, SIZE)
    log.close()
    tamper(
        one_log.evidence,
        "UPDATE entries SET leaf = x'00' WHERE idx = 20",
        put(100, leaves[100][:-1]),
        put(110, leaves[110].replace(b"user.login", b"user.logon")),
        "UPDATE entries SET key = x'00112233445566778899aabbccddeeff' WHERE idx = 200",
        put(500, leaves[501]),
        *(make(leaves[index]) for index, make in (DAMAGE[name][0] for name in ACROSS_RANGES)),
    )
    report = found("one process", "two processes")
    assert len({finding.kind for finding in report.findings}) == 7


def test_a_ruined_log_is_counted_alike_in_every_way(one_log, tamper, found):
    one_log.filled(SIZE).close()
    tamper(one_log.evidence, "UPDATE entries SET leaf = x'00' WHERE idx >= 130")
    report = found("without native code", "two processes")
    assert len(report.findings) == 100
    assert report.finding_count >= SIZE - 130


def test_a_process_ended_from_outside_is_an_error_not_a_finding(one_log):
    one_log.filled(SIZE).close()

    def end_all(_done, _total):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(UnavailableError, match="ended from outside"):
        check_log("main", one_log.folder, one_log.signer.verifier_key, progress=end_all, jobs=2)
