"""Signatures of expired tokens move from `pending.db` into the evidence, once, whatever fails on the way."""

from __future__ import annotations

import hashlib

import pytest

from auditd.errors import NotFoundError
from auditd.log import Credential
from auditd.log._release import RELEASE_AFTER_S
from auditd.log.check import evidence_reader

EXPIRES_AT = 1_795_600_000


def token(name, expires_at=EXPIRES_AT):
    signature = f"SIGNATURE-OF-{name}"
    signed, signature_hash = (hashlib.sha256(text.encode()).digest() for text in (f"{name}.payload", signature))
    return Credential(
        credential=hashlib.sha256(signed + signature_hash).digest(),
        issuer="https://idp.example.com",
        header=name,
        payload="payload",
        signature=signature,
        signature_hash=signature_hash,
        expires_at=expires_at,
        key_thumbprint="key-1",
        key_jwk='{"kid":"key-1"}',
    )


@pytest.fixture
def moves(one_log, sent):
    """Let time pass to `seconds` (Unix), and the log do its chores, so that all that is due has been moved."""
    count = 0

    def run(log, seconds=EXPIRES_AT + RELEASE_AFTER_S):
        nonlocal count
        one_log.now_ns = seconds * 1_000_000_000
        log._housekeeper.work()
        for _ in range(2):  # what the second waits for comes after the chores taken together with the first
            count += 1
            one_log.record(log, sent(1, f"settle{count}"))

    return run


@pytest.fixture
def where(one_log, rows):
    """Which signatures wait in pending.db, and which are in the evidence."""

    def read(folder=None):
        folder = folder or one_log.folder
        pending = rows(folder / "pending.db", "SELECT signature FROM signatures ORDER BY 1")
        evidence = rows(folder / "evidence.db", "SELECT signature FROM credential_signatures ORDER BY 1")
        return [s for (s,) in pending], [s for (s,) in evidence]

    return read


def test_a_signature_moves_once_its_token_has_expired_everywhere(one_log, sent, moves, where):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    moves(log, EXPIRES_AT + RELEASE_AFTER_S - 1)
    assert where() == (["SIGNATURE-OF-alice"], [])
    assert log.credential(token("alice").credential).waits
    moves(log)
    assert where() == ([], ["SIGNATURE-OF-alice"])
    stored = log.credential(token("alice").credential)
    assert (stored.signature, stored.waits, stored.key_jwk) == ("SIGNATURE-OF-alice", False, '{"kid":"key-1"}')


def test_those_that_are_still_good_stay(one_log, sent, moves, where):
    log = one_log.open()
    one_log.record(log, sent(1, "a", credential=token("bob", EXPIRES_AT + 1)))
    one_log.record(log, sent(1, "b", credential=token("alice")))
    moves(log)
    assert where() == (["SIGNATURE-OF-bob"], ["SIGNATURE-OF-alice"])


def test_many_move_a_few_at_a_time(one_log, sent, moves, where, monkeypatch):
    monkeypatch.setattr("auditd.log._release.RELEASED_AT_ONCE", 2)
    log = one_log.open()
    names = sorted(f"caller{number}" for number in range(7))
    for name in names:
        one_log.record(log, sent(1, name, credential=token(name)))
    for _ in range(4):
        moves(log)
    assert where() == ([], [f"SIGNATURE-OF-{name}" for name in names])


def test_what_expired_while_the_log_was_closed_moves_after_the_start(one_log, sent, moves, where):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    log.close()
    moves(one_log.open())
    assert where() == ([], ["SIGNATURE-OF-alice"])


@pytest.mark.parametrize("point", ["before the evidence", "between the two files", "after both"])
def test_a_kill_on_the_way_loses_and_repeats_nothing(one_log, sent, moves, where, tmp_path, monkeypatch, point):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    release, remove, images = log._store.release, log._pending.remove, []

    def image():
        images.append(one_log.crash_image(tmp_path / f"image{len(images)}"))

    def released(signatures):
        image()
        release(signatures)
        image()

    def removed(credentials):
        remove(credentials)
        image()

    monkeypatch.setattr(log._store, "release", released)
    monkeypatch.setattr(log._pending, "remove", removed)
    moves(log)
    monkeypatch.undo()
    before, between, after = images
    folder = {"before the evidence": before, "between the two files": between, "after both": after}[point]
    there = one_log.open(folder)
    moves(there)
    there.close()
    assert where(folder) == ([], ["SIGNATURE-OF-alice"])


@pytest.mark.parametrize("outcome", ["lost", "stored"])
@pytest.mark.parametrize("step", ["release", "remove"])
def test_a_failure_on_the_way_harms_no_append_and_is_made_up_for(
    one_log, sent, moves, where, monkeypatch, step, outcome
):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    owner = log._store if step == "release" else log._pending
    work = getattr(owner, step)

    def fail(items):
        if outcome == "stored":
            work(items)
        raise OSError("lost")

    monkeypatch.setattr(owner, step, fail)
    moves(log)
    monkeypatch.undo()
    moves(log)
    assert where() == ([], ["SIGNATURE-OF-alice"])


def test_a_signature_whose_entry_was_never_recorded_is_dropped(one_log, moves, where):
    log = one_log.open()
    log._pending.keep([token("nobody")])
    moves(log)
    assert where() == ([], [])


def test_a_token_without_a_signature_to_keep_is_recorded_all_the_same(one_log, sent, moves, where):
    import dataclasses

    log = one_log.open()
    one_log.record(log, sent(1, credential=dataclasses.replace(token("alice"), signature=None)))
    moves(log)
    assert where() == ([], [])
    stored = log.credential(token("alice").credential)
    assert (stored.signature, stored.waits) == (None, False)


def test_an_unknown_credential_is_not_found(one_log):
    with pytest.raises(NotFoundError, match="no credential 0707"):
        one_log.open().credential(b"\7" * 32)


@pytest.mark.parametrize("closed", [False, True], ids=["beside a server", "beside a stopped one"])
def test_the_checker_knows_which_signatures_wait(one_log, sent, moves, closed):
    log = one_log.open()
    for name, expires_at in (("alice", EXPIRES_AT), ("bob", EXPIRES_AT + 1), ("carol", EXPIRES_AT + 1)):
        one_log.record(log, sent(1, name, credential=token(name, expires_at)))
    moves(log)
    log._pending.remove([token("carol", EXPIRES_AT + 1).credential])
    if closed:
        log.close()
    with evidence_reader(one_log.folder) as reader:
        found = {stored.header: (stored.signature, stored.waits) for stored in reader.credentials()}
    assert found == {"alice": ("SIGNATURE-OF-alice", False), "bob": (None, True), "carol": (None, False)}


def test_the_checker_leaves_no_copy_of_a_signature_behind(one_log, sent, tmp_path):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    image = one_log.crash_image(tmp_path / "logs" / "image")
    with evidence_reader(image) as reader:
        assert [stored.waits for stored in reader.credentials()] == [True]
        assert all(path.stat().st_mode & 0o077 == 0 for path in image.parent.glob(".check-*"))
    assert list(image.parent.glob(".check-*")) == []


@pytest.mark.parametrize("reopened", [False, True], ids=["retired", "opened without its signing key"])
def test_the_last_signatures_come_into_a_closed_log_that_has_no_threads(one_log, sent, where, reopened):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    log.retire()
    if reopened:
        log.close()
        log = one_log.open(signer=one_log.signer.verifier_key)
    log.tend()
    assert where() == (["SIGNATURE-OF-alice"], [])
    one_log.now_ns = (EXPIRES_AT + RELEASE_AFTER_S) * 1_000_000_000
    log.tend()
    assert where() == ([], ["SIGNATURE-OF-alice"])
