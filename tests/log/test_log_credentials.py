"""Credentials: each token's evidence once, and never its signature where a copy could act as someone."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

from auditd.errors import UnavailableError
from auditd.log import Credential


def token(name, key="key-1"):
    signature = f"SIGNATURE-OF-{name}"
    signed, signature_hash = (hashlib.sha256(text.encode()).digest() for text in (f"{name}.payload", signature))
    return Credential(
        credential=hashlib.sha256(signed + signature_hash).digest(),
        issuer="https://idp.example.com",
        header=name,
        payload="payload",
        signature=signature,
        signature_hash=signature_hash,
        expires_at=1_795_600_000,
        key_thumbprint=key,
        key_jwk=f'{{"kid":"{key}"}}',
    )


@pytest.fixture
def stored(one_log, rows):
    """The headers of the stored credentials, and the thumbprints of the stored keys."""

    def read():
        headers = rows(one_log.evidence, "SELECT header FROM credentials ORDER BY rowid")
        keys = rows(one_log.evidence, "SELECT thumbprint FROM issuer_keys ORDER BY rowid")
        return [header for (header,) in headers], [key for (key,) in keys]

    return read


@pytest.fixture
def pending(one_log, rows):
    """The signatures that wait in pending.db."""

    def read(folder=None):
        path = (folder or one_log.folder) / "pending.db"
        return sorted(signature for (signature,) in rows(path, "SELECT signature FROM signatures"))

    return read


def test_a_token_is_stored_once_however_often_it_is_used(one_log, sent, answer, stored, pending):
    log = one_log.open_only()
    for number in range(3):
        log.submit(sent(2, f"together{number}", credential=token("alice")))
    log.start()
    one_log.record(log, sent(1, "later", credential=token("alice")))
    log.close()
    log = one_log.open()
    one_log.record(log, sent(1, "after a restart", credential=token("alice")))
    assert stored() == (["alice"], ["key-1"])
    assert pending() == ["SIGNATURE-OF-alice"]


def test_tokens_of_one_key_share_its_row(one_log, sent, stored):
    log = one_log.open()
    for name, key in [("alice", "key-1"), ("bob", "key-1"), ("carol", "key-2")]:
        one_log.record(log, sent(1, name, credential=token(name, key)))
    assert stored() == (["alice", "bob", "carol"], ["key-1", "key-2"])


def test_more_tokens_than_are_remembered_are_still_stored_once(one_log, sent, stored, monkeypatch):
    monkeypatch.setattr("auditd.log._writer._KNOWN_CREDENTIALS", 2)
    log = one_log.open()
    names = [f"caller{number}" for number in range(8)]
    for turn in range(2):
        for name in names:
            one_log.record(log, sent(1, f"{name}.{turn}", credential=token(name)))
    assert stored()[0] == names


def test_the_row_is_bound_to_the_name_that_leaves_give_it(one_log, sent, rows):
    log = one_log.open()
    one_log.record(log, sent(1, credential=token("alice")))
    sql = "SELECT credential, issuer, header, payload, signature_hash, key_thumbprint FROM credentials"
    ((credential, issuer, header, payload, signature_hash, thumbprint),) = rows(one_log.evidence, sql)
    signed = hashlib.sha256(f"{header}.{payload}".encode()).digest()
    assert credential == hashlib.sha256(signed + signature_hash).digest()
    assert (issuer, thumbprint) == ("https://idp.example.com", "key-1")
    assert rows(one_log.evidence, "SELECT * FROM issuer_keys") == [("key-1", issuer, '{"kid":"key-1"}')]


@pytest.mark.parametrize("closed", [False, True], ids=["while open", "when closed"])
def test_the_signature_is_in_no_file_but_pending_db(one_log, sent, closed):
    log = one_log.open()
    for number in range(300):
        one_log.record(log, sent(1, f"e{number}", credential=token(f"t{number}")))
    if closed:
        log.close()
    holders = {
        path.name for path in one_log.folder.rglob("*") if path.is_file() and b"SIGNATURE-OF-" in path.read_bytes()
    }
    assert holders
    assert holders <= {"pending.db", "pending.db-wal"}


@pytest.mark.parametrize("exposed_before", [False, True], ids=["made anew", "found exposed"])
def test_pending_db_and_its_journals_are_readable_by_the_owner_alone(one_log, sent, exposed_before):
    umask = os.umask(0)
    try:
        if exposed_before:
            (one_log.folder / "pending.db").touch(0o666)
        log = one_log.open()
        one_log.record(log, sent(1, credential=token("alice")))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in one_log.folder.glob("pending.db*")}
    finally:
        os.umask(umask)
    assert modes == dict.fromkeys(["pending.db", "pending.db-shm", "pending.db-wal"], 0o600)


def test_the_signature_is_durable_before_the_entry_that_names_its_token(one_log, sent, pending, tmp_path, monkeypatch):
    log = one_log.open()
    append = log._store.append
    images = []

    def killed_before_the_commit(batch):
        images.append(one_log.crash_image(tmp_path / "image"))
        append(batch)

    monkeypatch.setattr(log._store, "append", killed_before_the_commit)
    one_log.record(log, sent(1, credential=token("alice")))
    monkeypatch.undo()
    assert log._writer._parts.pending._db.pragma("synchronous") == 2
    assert pending(images[0]) == ["SIGNATURE-OF-alice"]
    assert one_log.open(images[0]).size == 0


def test_nothing_is_recorded_where_the_signature_cannot_be_kept(one_log, sent, stored, monkeypatch):
    log = one_log.open()
    monkeypatch.setattr(log._writer._parts.pending, "keep", lambda _: 1 / 0)
    with pytest.raises(UnavailableError):
        log.record(sent(1, credential=token("alice")))
    assert one_log.record(log, sent(1, "without")).indexes == range(1)
    monkeypatch.undo()
    assert one_log.record(log, sent(1, credential=token("alice"))).indexes == range(1, 2)
    assert stored()[0] == ["alice"]


@pytest.mark.parametrize("outcome", ["lost", "stored"])
def test_a_credential_is_stored_once_though_its_commit_failed(one_log, sent, stored, pending, monkeypatch, outcome):
    log = one_log.open()
    append = log._store.append

    def fail(batch):
        if outcome == "stored":
            append(batch)
        raise OSError("lost")

    monkeypatch.setattr(log._store, "append", fail)
    with pytest.raises(UnavailableError):
        log.record(sent(1, credential=token("alice")))
    monkeypatch.undo()
    one_log.record(log, sent(1, credential=token("alice")))
    one_log.record(log, sent(1, "more", credential=token("alice")))
    assert stored()[0] == ["alice"]
    assert pending() == ["SIGNATURE-OF-alice"]


def test_a_token_that_brought_nothing_new_is_not_stored(one_log, sent, answer, stored):
    log = one_log.open()
    one_log.record(log, sent(2))
    log.close()
    log = one_log.open_only()
    log.submit(sent(1, "new", credential=token("brings")))
    log.submit(sent(2, credential=token("repeats")))
    log.submit(sent(3, credential=token("conflicts"), reason="another"))
    done = answer()
    log.submit(sent(1, "newer", done=done))
    log.start()
    assert done.outcome().indexes == range(3, 4)
    assert stored() == (["brings"], ["key-1"])


def test_a_credential_does_not_print_its_signature():
    assert "SIGNATURE" not in repr(token("alice"))
