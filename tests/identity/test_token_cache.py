"""Verified tokens are remembered, but never longer than they are good."""

import threading

import pytest

from auditd.errors import FolderError
from auditd.identity import Authenticator, _authenticator


@pytest.fixture
def verifications(monkeypatch):
    """Counts how often a signature is really verified."""
    count = []
    verify = _authenticator.verify_signature
    monkeypatch.setattr(_authenticator, "verify_signature", lambda *args: (count.append(1), verify(*args)))
    return count


def test_second_use_of_a_token_verifies_no_signature(forge, server, verifications):
    token = forge.token()
    assert server.authenticate(token) is server.authenticate(token)
    assert len(verifications) == 1


def test_remembered_token_expires_on_time(forge, clock, server):
    token = forge.token()
    server.authenticate(token)
    clock.now = forge.now + 629.999
    assert server.authenticate(token)
    clock.now = forge.now + 630
    assert forge.reason(server, token) == "TOKEN_EXPIRED"
    assert len(server._cache) == 0


def test_new_epoch_has_every_token_verified_afresh(forge, server, verifications):
    token = forge.token()
    server.authenticate(token)
    server.bump_epoch()
    assert len(server._cache) == 0
    server.authenticate(token)
    assert len(verifications) == 2


def test_token_verified_while_the_epoch_changed_is_not_remembered(forge, server, monkeypatch, verifications):
    token = forge.token()
    check = _authenticator.check_claims

    def change_epoch(*args):
        server.bump_epoch()
        return check(*args)

    monkeypatch.setattr(_authenticator, "check_claims", change_epoch)
    server.authenticate(token)
    monkeypatch.setattr(_authenticator, "check_claims", check)
    server.authenticate(token)
    assert len(verifications) == 2


def test_token_unused_for_longest_is_forgotten_first(forge, verifications):
    server = forge.trust(cache_size=2)
    first, second, third = (forge.token(claims=forge.claims(jti=name)) for name in "abc")
    for token in (first, second, first, third):
        server.authenticate(token)
    assert len(verifications) == 3
    server.authenticate(first)
    assert len(verifications) == 3
    server.authenticate(second)
    assert len(verifications) == 4


def test_authenticator_without_memory_still_verifies(forge, verifications):
    server = forge.trust(cache_size=0)
    token = forge.token()
    assert server.authenticate(token) == server.authenticate(token)
    assert len(verifications) == 2


def test_many_threads_may_share_one_authenticator(forge):
    server = forge.trust(cache_size=2)
    tokens = [forge.token(claims=forge.claims(jti=str(number))) for number in range(4)]
    errors = []

    def use():
        try:
            for number in range(100):
                server.authenticate(tokens[number % 4])
        except Exception as error:  # noqa: BLE001  # whatever it is, the test must see it
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_one_issuer_configured_twice_is_refused(forge, server):
    twice = list(server._issuers.values()) * 2
    with pytest.raises(FolderError, match="configured twice"):
        Authenticator(twice, forge.audience)
    with pytest.raises(FolderError, match="configured twice"):
        server.replace_issuers(twice)
    assert server.authenticate(forge.token())
