"""Revoked callers are refused although their tokens verify, remembered or not."""

import pytest

from auditd.errors import InvalidRequestError
from auditd.identity import Revocation, Revocations, Revoked, RevokedKind

ISSUER = "https://idp.example.com"
THUMBPRINT = "x" * 43


@pytest.fixture
def revocations():
    return Revocations()


@pytest.fixture
def server(forge, clock, revocations):
    return forge.trust(clock=clock, revocations=revocations)


def revocation(index, kind, value="", issued_before=None, issuer=ISSUER):
    return Revocation(index, Revoked(kind, issuer, value), 1_800_000_000_000_000, issued_before, "lost")


@pytest.mark.parametrize("seen", [False, True], ids=["first seen", "remembered"])
@pytest.mark.parametrize("kind", list(RevokedKind), ids=str)
def test_revoked_token_is_refused(forge, server, revocations, kind, seen):
    token = forge.token()
    thumbprint = forge.trust().authenticate(token).key_thumbprint
    values = {"jti": "token-1", "subject": "svc-billing", "key": thumbprint, "issuer": ""}
    if seen:
        server.authenticate(token)
    revocations.add(revocation(7, kind, values[kind]))
    refusal = forge.refusal(server, token)
    assert (refusal.reason, refusal.unverified_subject) == ("TOKEN_REVOKED", "svc-billing")
    assert "entry 7 of the log control" in refusal.message
    assert forge.reason(server, token) == "TOKEN_REVOKED"


@pytest.mark.parametrize(
    "other",
    [
        (RevokedKind.JTI, "token-2"),
        (RevokedKind.SUBJECT, "token-1"),
        (RevokedKind.KEY, THUMBPRINT),
        (RevokedKind.JTI, "token-1", "https://other.example.com"),
        (RevokedKind.ISSUER, "", "https://other.example.com"),
    ],
    ids=["another jti", "a jti is no subject", "another key", "a jti of another issuer", "another issuer"],
)
def test_others_are_not_concerned(forge, server, revocations, other):
    kind, value, *issuer = other
    revocations.add(revocation(0, kind, value, issuer=issuer[0] if issuer else ISSUER))
    assert server.authenticate(forge.token()).subject == "svc-billing"


@pytest.mark.parametrize(
    ("issued", "refused"),
    [(-10, True), (0, False), (-0.5, True), (None, True)],
    ids=["earlier", "at that second", "a fraction earlier", "nobody knows when"],
)
def test_issued_before_spares_later_tokens(forge, server, revocations, issued, refused):
    iat = None if issued is None else forge.now + issued
    token = forge.token(claims=forge.claims(iat=iat))
    revocations.add(revocation(0, RevokedKind.SUBJECT, "svc-billing", issued_before=forge.now))
    if refused:
        assert forge.reason(server, token) == "TOKEN_REVOKED"
    else:
        assert server.authenticate(token)


def test_withdrawn_revocation_concerns_nobody(forge, server, revocations):
    token = forge.token()
    revocations.add(revocation(3, RevokedKind.JTI, "token-1"))
    revocations.add(revocation(4, RevokedKind.SUBJECT, "svc-billing"))
    revocations.withdraw(3)
    assert "entry 4" in forge.refusal(server, token).message
    revocations.withdraw(4)
    assert server.authenticate(token)
    assert len(revocations) == 0


def test_one_of_two_revocations_of_a_subject_is_enough(forge, server, revocations):
    revocations.add(revocation(3, RevokedKind.SUBJECT, "svc-billing", issued_before=forge.now - 100))
    revocations.add(revocation(4, RevokedKind.SUBJECT, "svc-billing"))
    assert forge.reason(server, forge.token()) == "TOKEN_REVOKED"
    revocations.withdraw(4)
    assert server.authenticate(forge.token())


def test_token_remembered_while_a_revocation_came_is_refused_next(forge, server, revocations, monkeypatch):
    require_good = revocations.require_good

    def too_early(caller):
        require_good(caller)
        revocations.add(revocation(0, RevokedKind.JTI, "token-1"))

    monkeypatch.setattr(revocations, "require_good", too_early)
    token = forge.token()
    server.authenticate(token)
    monkeypatch.setattr(revocations, "require_good", require_good)
    assert forge.reason(server, token) == "TOKEN_REVOKED"


def test_unchanged_revocations_are_not_looked_at_again(forge, server, revocations, monkeypatch):
    token = forge.token()
    server.authenticate(token)
    monkeypatch.setattr(revocations, "require_good", lambda _: pytest.fail("looked at"))
    assert server.authenticate(token)


def test_an_entry_gives_back_the_revocation():
    for one in (revocation(7, RevokedKind.SUBJECT, "bob", 12), revocation(8, RevokedKind.ISSUER)):
        assert Revocation.from_entry(one.index, one.revoked_at_us, one.attributes, one.reason) == one


def test_pages_go_on_where_the_last_one_ended(revocations):
    for index in (5, 2, 9):
        revocations.add(revocation(index, RevokedKind.JTI, f"token-{index}"))
    assert [one.index for one in revocations.from_index(3)] == [5, 9]


@pytest.mark.parametrize(
    ("kind", "issuer", "value", "field"),
    [
        (RevokedKind.JTI, "", "a", "issuer"),
        (RevokedKind.JTI, "i" * 513, "a", "issuer"),
        (RevokedKind.JTI, ISSUER, "", "jti"),
        (RevokedKind.SUBJECT, ISSUER, "a\nb", "subject"),
        (RevokedKind.KEY, ISSUER, "short", "key"),
    ],
)
def test_malformed_target_is_refused(kind, issuer, value, field):
    with pytest.raises(InvalidRequestError) as caught:
        Revoked(kind, issuer, value)
    assert [violation.field for violation in caught.value.violations] == [field]
